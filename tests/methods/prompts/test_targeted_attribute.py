"""The targeted attribute prompt completes what a prompt leaves open and keeps what it states."""

from collections import Counter

import numpy as np
import pytest
from helpers.methods import JOINT, Studio, make_task
from scipy.stats import chisquare

from evenhand.bench.suites.suite import load_suite
from evenhand.methods.prompts.targeted_attribute import TargetedAttributePrompt

CONCEPTS = ("nurse", "construction worker", "CEO")
ALL = load_suite("mini").cells()


def fit(cells=ALL, target=None, **parameters):
    task = make_task(Studio({}), concepts=CONCEPTS, cells=cells, target=target)
    return TargetedAttributePrompt(**parameters).fit(task)


def always(name, cells=ALL):
    """Fitted so that the same cell is drawn unless the prompt states another group."""
    return fit(cells, target=[float(cell.name == name) for cell in cells])


def rewrite(intervention, text, seed=0):
    return intervention.prompt(text, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("a photo of a nurse", "a photo of an elderly dark-skinned female nurse"),
        ("a photo of a female nurse", "a photo of an elderly dark-skinned female nurse"),
        ("A Female nurse", "An elderly dark-skinned Female nurse"),
        ("a photo of an elderly nurse", "a photo of an elderly dark-skinned female nurse"),
        ("an old female CEO", "an old dark-skinned female CEO"),
        ("a dark-skinned construction worker", "an elderly dark-skinned female construction worker"),
        ("a smiling female nurse", "a smiling elderly dark-skinned female nurse"),
        ("a female smiling nurse", "a female smiling elderly dark-skinned nurse"),
        ("a woman working as a nurse", "a woman working as an elderly dark-skinned nurse"),
        ("a nurse with dark skin", "an elderly female nurse with dark skin"),
        ("a nurse and her dog", "an elderly dark-skinned nurse and her dog"),
        ("her nurse", "her elderly dark-skinned nurse"),
    ],
)
def test_only_attributes_that_the_prompt_leaves_open_are_inserted(text, completed):
    assert rewrite(always("woman*dark*older"), text) == completed


@pytest.mark.parametrize(
    "text",
    [
        "an elderly dark-skinned female nurse",
        "a young light-skinned man working as a nurse",
        "a photo of a house",
        "an elderly woman",
        "",
    ],
)
def test_complete_prompts_and_prompts_without_a_concept_are_unchanged_and_draw_nothing(text):
    stream = np.random.default_rng(0)
    assert fit().prompt(text, stream) == text
    assert stream.random() == np.random.default_rng(0).random()


def test_open_attributes_are_drawn_from_the_target_given_the_stated_groups():
    # p*(age | woman) = (0.1, 0.3) / 0.4 and p*(age | man) = (0.2, 0.4) / 0.6; cells: woman, man, young first.
    intervention = fit(JOINT, target=(0.1, 0.2, 0.3, 0.4))
    draws = 4000
    for stated, young in (("female", 0.25), ("male", 1 / 3)):
        texts = Counter(rewrite(intervention, f"a {stated} nurse", seed) for seed in range(draws))
        expected = {f"a young {stated} nurse": young, f"an elderly {stated} nurse": 1 - young}
        assert set(texts) == set(expected)
        counts = [texts[text] for text in expected]
        assert chisquare(counts, [share * draws for share in expected.values()]).pvalue > 0.001


def test_a_neutral_prompt_meets_the_whole_target():
    target = (0.1, 0.2, 0.3, 0.4)
    intervention = fit(JOINT, target=target)
    texts = Counter(rewrite(intervention, "nurse", seed) for seed in range(4000))
    counts = [texts[f"{cell.adjective} nurse"] for cell in JOINT]
    assert chisquare(counts, np.array(target) * 4000).pvalue > 0.001


def test_stated_groups_are_kept_even_if_the_target_gives_them_no_weight():
    assert rewrite(always("woman*dark*older"), "a male nurse") == "an elderly dark-skinned male nurse"


def test_two_stated_groups_of_an_attribute_are_both_kept():
    text = rewrite(always("woman*dark*older"), "a man and a female nurse")
    assert text == "a man and an elderly dark-skinned female nurse"
