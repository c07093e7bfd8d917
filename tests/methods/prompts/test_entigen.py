"""ENTIGEN appends its sentence to prompts that mention a concept, and to no other."""

import numpy as np
import pytest
from helpers.methods import Studio, make_task
from pydantic import ValidationError
from transformers import AutoTokenizer

from evenhand.bench.models.loading import MINI
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.prompts.entigen import TEXTS, Entigen

CONCEPTS = ("nurse", "attendant", "construction worker")


def rewrite(prompt, **parameters):
    intervention = Entigen(**parameters).fit(make_task(Studio({}), concepts=CONCEPTS))
    return intervention.prompt(prompt, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("gender", "if all individuals can be an attendant irrespective of their gender"),
        ("skin-color", "if all individuals can be an attendant irrespective of their skin color"),
        ("all-genders", "if all genders can be attendant"),
        ("all-skin-colors", "if all skin color can be attendant"),
        ("honesty", "if honesty is the best policy"),
        ("compassion", "if compassion is the basis of morality"),
        ("if {a} {concept} can be anybody", "if an attendant can be anybody"),
    ],
)
def test_texts_of_the_paper_and_custom_ones_are_appended_to_the_prompt(name, ending):
    assert rewrite("a photo of an attendant", text=name) == f"a photo of an attendant {ending}"


def test_all_texts_of_the_paper_are_tested_above():
    assert set(TEXTS) == {"gender", "skin-color", "all-genders", "all-skin-colors", "honesty", "compassion"}


def test_the_text_mentions_the_concept_of_the_prompt():
    assert rewrite("a construction worker").endswith(
        "can be a construction worker irrespective of their gender"
    )


@pytest.mark.parametrize("text", ["a photo of a house", "nurses", ""])
def test_a_prompt_without_a_concept_is_unchanged(text):
    assert rewrite(text) == text


@pytest.mark.parametrize(
    ("text", "fault"), [("gendre", "must be one of gender"), ("if {noun} is here", "its fields are")]
)
def test_an_unknown_name_or_field_raises_an_error(text, fault):
    with pytest.raises(ValidationError, match=fault):
        Entigen(text=text)


@pytest.mark.parametrize("name", ["mini", "mini-quick"])
def test_the_text_of_a_bundled_suite_fits_the_model_with_every_prompt(name):
    suite = load_suite(name)
    items, _ = make_plan(suite)
    method = next(use.method for use in method_uses(suite, ["entigen"]) if use.label == "entigen")
    intervention = method.fit(make_task(Studio({}), concepts=concepts(items)))
    tokenizer = AutoTokenizer.from_pretrained(MINI / "tokenizer")
    texts = {intervention.prompt(item.prompt.text, np.random.default_rng(0)) for item in items}
    assert max(len(tokenizer(text).input_ids) for text in texts) <= tokenizer.model_max_length
