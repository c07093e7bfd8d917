"""Prompts are completed with the groups that they leave open, among the adjectives that they have."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from helpers.methods import JOINT, Studio, make_task

from evenhand.methods.shared.completion import CompletingIntervention, completed, completion_data

ADJECTIVES = {"age": "elderly", "tone": "dark-skinned", "gender": "female"}
STATING = {
    "age": {"older": ["elderly", "old"]},
    "tone": {"dark": ["dark-skinned"]},
    "gender": {"woman": ["female", "her"]},
}


@pytest.mark.parametrize(
    ("text", "left_open", "expected"),
    [
        ("a nurse", "age tone gender", "an elderly dark-skinned female nurse"),
        ("a female nurse", "age tone", "an elderly dark-skinned female nurse"),
        ("an old female nurse", "tone", "an old dark-skinned female nurse"),
        ("her nurse", "age", "her elderly nurse"),
    ],
)
def test_open_attributes_take_their_place_among_the_stated_adjectives(text, left_open, expected):
    noun = text.index("nurse")
    assert completed(text, noun, ADJECTIVES, left_open.split(), STATING) == expected


@dataclass(frozen=True, eq=False)
class Weighted(CompletingIntervention):
    weights_of_cells: ClassVar[str] = "weights"


def test_cells_are_drawn_with_the_named_weights():
    task = make_task(Studio({}), concepts=("nurse",), cells=JOINT)
    weights = {"nurse": [float(cell is JOINT[2]) for cell in JOINT]}
    fitted = Weighted(data={"weights": weights, "target": {"nurse": None}, **completion_data(task, {})})
    for seed in range(5):
        assert fitted.prompt("the nurse", np.random.default_rng(seed)) == f"the {JOINT[2].adjective} nurse"
