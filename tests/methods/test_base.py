"""What methods and interventions have in common: identity, track, training length, conditions."""

from typing import ClassVar

import pytest
import torch
from helpers.methods import GENDER, JOINT
from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Intervention, Method, MethodInfo
from evenhand.methods.baseline import Base


def test_the_record_does_not_change_the_digest():
    assert Intervention(record={"rounds": 1}).digest() == Intervention().digest()


def test_names_values_and_data_change_the_digest():
    one = torch.ones(2)
    variants = [
        Intervention(),
        Intervention(tensors={"a": one}),
        Intervention(tensors={"b": one}),
        Intervention(tensors={"a": one * 2}),
        Intervention(tensors={"a": one.double()}),
        Intervention(tensors={"a": one[None]}),
        Intervention(weights={"a": one}),
        Intervention(data={"a": 1}),
    ]
    assert len({variant.digest() for variant in variants}) == len(variants)


def test_cells_are_named_by_their_groups_in_order():
    assert [cell.name for cell in JOINT] == ["woman*adult", "man*adult", "woman*older", "man*older"]


class Rewriting(Intervention):
    """Acts on the prompt."""

    def prompt(self, text, draw):
        return text.upper()


class Trained(Method):
    """A method with a training of 10 x 4 examples and at most two cells."""

    info: ClassVar[MethodInfo] = Base.info.model_copy(
        update={"name": "trained", "architectures": ("sd1", "sd2")}
    )
    max_cells: ClassVar[int | None] = 2
    training_length: ClassVar[tuple[str, ...]] = ("steps", "batch")
    steps: int = 10
    batch: int = 4

    def fit(self, task):
        return Intervention()


class AtSampling(Trained):
    """Its interventions act while an image is sampled."""

    intervention_type: ClassVar[type[Intervention]] = Rewriting


def test_the_track_follows_from_what_the_intervention_overrides():
    assert (Trained().track, AtSampling().track) == ("one model", "at sampling time")


def test_the_share_trained_is_a_product_and_at_most_one():
    assert Trained().share_trained == 1
    assert Trained(steps=5, batch=2).share_trained == 0.25
    assert Trained(steps=100).share_trained == 1
    assert Base().share_trained is None


def test_a_task_that_the_method_cannot_solve_is_an_error():
    Trained().check(family="sd2", cells=GENDER)
    with pytest.raises(EvenhandError, match="method 'trained' works on sd1, sd2, not on 'sdxl'"):
        Trained().check(family="sdxl", cells=GENDER)
    with pytest.raises(EvenhandError, match="at most 2 cells, not the 4 of gender x age"):
        Trained().check(family="sd1", cells=JOINT)


def test_parameters_are_checked_and_fixed():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Trained(stepps=3)
    with pytest.raises(ValidationError, match="frozen"):
        Trained().steps = 3
