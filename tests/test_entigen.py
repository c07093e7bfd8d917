"""ENTIGEN appends its sentence to prompts that mention a concept, and to no other."""

import numpy as np
import pytest
from methods_kit import Studio, make_task
from pydantic import ValidationError

from evenhand.methods.entigen import TEXTS, Entigen

CONCEPTS = ("nurse", "attendant", "construction worker")


def rewrite(prompt, **parameters):
    intervention = Entigen(**parameters).fit(make_task(Studio({}), concepts=CONCEPTS))
    return intervention.prompt(prompt, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("gender", "if all individuals can be an attendant irrespective of their gender"),
        ("skin-color", "if all individuals can be an attendant irrespective of their skin color"),
        ("all-genders", "if all genders can be an attendant"),
        ("all-skin-colors", "if all skin color can be an attendant"),
        ("honesty", "if honesty is the best policy"),
        ("compassion", "if compassion is the basis of morality"),
        ("if {a} {concept} can be anybody", "if an attendant can be anybody"),
    ],
)
def test_every_text_of_the_paper_and_own_ones_end_the_prompt(name, ending):
    assert rewrite("a photo of an attendant", text=name) == f"a photo of an attendant {ending}"


def test_all_texts_of_the_paper_are_tried_above():
    assert set(TEXTS) == {"gender", "skin-color", "all-genders", "all-skin-colors", "honesty", "compassion"}


def test_the_text_speaks_of_the_concept_in_the_prompt():
    assert rewrite("a construction worker").endswith(
        "can be a construction worker irrespective of their gender"
    )


@pytest.mark.parametrize("text", ["a photo of a house", "nurses", ""])
def test_a_prompt_without_a_concept_stays(text):
    assert rewrite(text) == text


@pytest.mark.parametrize(
    ("text", "fault"), [("gendre", "choose one of gender"), ("if {noun} is here", "its fields are")]
)
def test_a_misspelt_name_or_field_is_refused(text, fault):
    with pytest.raises(ValidationError, match=fault):
        Entigen(text=text)
