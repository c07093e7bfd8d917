"""Edit leakage: how strongly a closed-form edit changes other prompts, computed without generating images.

An edit of rows ``c_i`` changes the output of any other text state ``x`` by ``sum_i (v_i - W c_i)(q_i . x)``
in every projection (:mod:`evenhand.methods.shared.closed_form`). The vectors ``v_i - W c_i`` differ between
projections; the scalars ``q_i . x`` do not. They are almost 1 for an edited row and 0 for a state that the
edit does not change. A disentangled edit has small values for unrelated prompts and for prompts that already
state a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from evenhand.methods.base import EditableModel
from evenhand.methods.shared.closed_form import ClosedForm, leakage


def leakage_rows(
    model: EditableModel, form: ClosedForm, *, texts: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Mean and maximum edit leakage into the text states of several lists of texts.

    The leakage of a state is its largest ``|q_i . x|`` over the edited rows ``i``. States are grouped by
    position, because a causal encoder gives positions different roles: ``begin`` is the same in all prompts,
    ``content`` holds the words, ``end`` (the first end-of-text token) and ``pads`` summarize the prompt.

    Args:
        model: Encodes the texts.
        form: The edit.
        texts: Name of a list to its texts; an empty list has no rows.

    Returns:
        One row per list and position that occurs in it: ``texts``, ``states``, ``mean``, ``max``; ``mean``
        and ``max`` are non-negative.
    """
    return [
        {"texts": name, "states": position, "mean": float(values.mean()), "max": float(values.max())}
        for name, listed in texts.items()
        if listed
        for position, values in _by_position(model, form, listed).items()
        if len(values)
    ]


def _by_position(model: EditableModel, form: ClosedForm, texts: Sequence[str]) -> dict[str, Tensor]:
    """Position to the leakage into all states there."""
    encoded = model.encode(texts)
    states = encoded.states.detach().cpu().to(form.directions.dtype)
    largest = leakage(form.directions, states.flatten(0, 1)).amax(dim=1).reshape(states.shape[:2])
    index = torch.arange(states.shape[1]).expand_as(largest)
    end = encoded.first_eos.cpu()[:, None]
    return {
        "begin": largest[index == 0],
        "content": largest[(index > 0) & (index < end)],
        "end": largest[index == end],
        "pads": largest[index > end],
    }
