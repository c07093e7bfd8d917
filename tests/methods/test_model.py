"""What a method reads from the loaded model."""

import torch

from evenhand.methods.model import TextStates


def test_states_are_picked_at_one_position_of_each_prompt():
    states = torch.arange(24.0).reshape(2, 4, 3)
    text = TextStates(states, first_eos=torch.tensor([1, 3]))
    assert text.at(text.first_eos - 1).tolist() == [states[0, 0].tolist(), states[1, 2].tolist()]
