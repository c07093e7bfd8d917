"""Which group of every attribute an image shows."""

import json

import numpy as np
import pytest
from helpers.methods import JOINT, Studio, make_task

from evenhand.bench.errors import EvenhandError
from evenhand.methods.hooks import Batch
from evenhand.methods.shared.group_assignment import assigned_groups, assignment_spec, group_words

TARGET = [0.5, 0.0, 0.0, 0.5]
"""Women are adult and men older."""


def task(cells):
    return make_task(Studio({}), cells=cells, target=TARGET)


@pytest.mark.parametrize(
    ("stated", "expected"), [("draw", {(0, 0), (1, 1)}), ("leave", {(-1, 0)}), ("follow", {(0, 0)})]
)
def test_stated_attributes_are_drawn_left_or_followed(stated, expected):
    spec = assignment_spec(task(JOINT), stated=stated)
    n = 50
    draws = tuple(np.random.default_rng(i) for i in range(n))
    drawn = assigned_groups(Batch(texts=("a female nurse",) * n, seeds=(0,) * n, draws=draws), spec)
    assert set(zip(drawn["gender"], drawn["age"], strict=True)) == expected


def test_attributes_with_one_group_are_left_out():
    assert group_words(JOINT[:2]) == {"gender": {"woman": "female", "man": "male"}}
    with pytest.raises(EvenhandError, match="all cells show"):
        group_words(JOINT[:1])


def test_groups_are_drawn_from_the_joint_target_and_keep_their_order_after_storage():
    spec = assignment_spec(task(JOINT))
    spec = json.loads(json.dumps(spec, sort_keys=True))
    n = 400
    draws = tuple(np.random.default_rng(i) for i in range(n))
    drawn = assigned_groups(Batch(texts=("a nurse",) * n, seeds=(0,) * n, draws=draws), spec)
    assert list(drawn) == ["gender", "age"]
    pairs = list(zip(drawn["gender"], drawn["age"], strict=True))
    assert set(pairs) == {(0, 0), (1, 1)}
    assert 0.4 < pairs.count((0, 0)) / n < 0.6


def test_an_image_without_a_concept_has_no_group_and_draws_nothing():
    draws = tuple(np.random.default_rng(seed) for seed in range(2))
    batch = Batch(texts=("a cat", "a nurse"), seeds=(0, 1), draws=draws)
    drawn = assigned_groups(batch, assignment_spec(task(JOINT)))
    assert drawn["gender"][0] == drawn["age"][0] == -1 and drawn["gender"][1] == drawn["age"][1] >= 0
    assert draws[0].random() == np.random.default_rng(0).random()


def test_two_stated_groups_of_an_attribute_are_left_to_the_prompt():
    spec = assignment_spec(task(JOINT), stated="follow")
    batch = Batch(texts=("a female and a male nurse",), seeds=(0,), draws=(np.random.default_rng(0),))
    drawn = assigned_groups(batch, spec)
    assert drawn["gender"] == [-1] and drawn["age"][0] in (0, 1)
