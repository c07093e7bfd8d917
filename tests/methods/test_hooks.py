"""Hooks of the denoising change nothing by default."""

import numpy as np
import pytest
import torch

from evenhand.methods.hooks import Batch, Site, Steering, Step

STEP = Step(index=0, count=4, timestep=torch.tensor(999), scale=2.5)


def test_the_default_prediction_is_classifier_free_guidance():
    uncond, text = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 0.5])
    assert Steering().noise(STEP, uncond, text, ()).tolist() == [1 + 2.5 * 2, -2 + 2.5 * 2.5]


def test_text_states_and_module_outputs_are_returned_unchanged():
    states = torch.randn(2, 3, 4)
    site = Site("mid_block", torch.nn.Identity(), (states,), {})
    assert Steering().text(STEP, states, states) is states
    assert Steering().feature(STEP, site, states) is states
    assert Steering().branches == ()


def test_a_batch_has_the_length_of_its_texts_and_needs_a_model_to_encode():
    draws = tuple(np.random.default_rng(seed) for seed in range(2))
    batch = Batch(texts=("a", "b"), seeds=(0, 1), draws=draws)
    assert len(batch) == 2
    with pytest.raises(ValueError, match="created without a text encoder; pass one as `encode`"):
        batch.encode(["a"])
