"""How far a closed-form edit reaches into other prompts, read off the edit without drawing an image.

An edit of rows ``c_i`` changes the output of any other text state ``x`` by ``sum_i (v_i - W c_i)(q_i . x)``
in every projection (:mod:`evenhand.methods.shared.closed_form`). The vectors ``v_i - W c_i`` differ between
projections, the responses ``q_i . x`` do not: an edited row answers with almost one, a state that the edit
leaves alone with zero. An edit is disentangled as far as prompts about other things, and prompts that already
say who is to be seen, do not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from evenhand.methods.base import EditableModel
from evenhand.methods.shared.closed_form import ClosedForm, response


def responses(
    model: EditableModel, form: ClosedForm, *, texts: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Mean and largest response of the text states of several lists of texts.

    A state's response is its largest ``|q_i . x|`` over the edited rows ``i``. States are told apart by their
    place, because a causal encoder gives them different tasks: ``begin`` is equal in all prompts, ``content``
    holds the words, ``end`` (the first end-of-text token) and ``pads`` sum up the prompt.

    Args:
        model: Encodes the texts.
        form: The edit.
        texts: Name of a list to its texts; an empty list has no rows.

    Returns:
        One row per list and place that occurs in it: ``texts``, ``states``, ``mean``, ``max``, the last two
        zero or above.
    """
    return [
        {"texts": name, "states": place, "mean": float(values.mean()), "max": float(values.max())}
        for name, listed in texts.items()
        if listed
        for place, values in _by_place(model, form, listed).items()
        if len(values)
    ]


def _by_place(model: EditableModel, form: ClosedForm, texts: Sequence[str]) -> dict[str, Tensor]:
    """Place to the responses of all states there."""
    encoded = model.encode(texts)
    states = encoded.states.detach().cpu().to(form.directions.dtype)
    strongest = response(form.directions, states.flatten(0, 1)).amax(dim=1).reshape(states.shape[:2])
    position = torch.arange(states.shape[1]).expand_as(strongest)
    end = encoded.first_eos.cpu()[:, None]
    return {
        "begin": strongest[position == 0],
        "content": strongest[(position > 0) & (position < end)],
        "end": strongest[position == end],
        "pads": strongest[position > end],
    }
