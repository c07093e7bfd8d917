"""Groups that a prompt states, and the target given them."""

import numpy as np
import pytest
from helpers.methods import GENDER, Studio, make_task

from evenhand.bench.suites.suite import load_suite
from evenhand.methods.prompts.targeted_attribute import TargetedAttributePrompt
from evenhand.methods.shared.stated_groups import SYNONYMS, conditional, stated_groups, stating_phrases

CONCEPTS = ("nurse", "construction worker", "CEO")
ALL = load_suite("mini").cells()


def fit(cells=ALL, target=None, **parameters):
    task = make_task(Studio({}), concepts=CONCEPTS, cells=cells, target=target)
    return TargetedAttributePrompt(**parameters).fit(task)


def rewrite(intervention, text, seed=0):
    return intervention.prompt(text, np.random.default_rng(seed))


def test_a_group_is_stated_by_its_adjective_its_own_noun_or_a_synonym():
    assert stating_phrases(ALL, {})["gender"] == {"woman": ["female", "woman"], "man": ["male", "man"]}
    assert stating_phrases(GENDER, {})["gender"] == {"woman": ["female", "woman"], "man": ["male", "man"]}
    assert stating_phrases(ALL, {"older": ("grey",)})["age"]["older"] == ["elderly", "grey"]
    intervention = fit(GENDER, synonyms={"woman": ("matron",)})
    assert rewrite(intervention, "a matron nurse") == "a matron nurse"
    assert rewrite(intervention, "a nurse") != "a nurse"


CELLS = [{"gender": g, "age": a} for a in ("adult", "older") for g in ("woman", "man")]


def test_the_target_given_a_group_keeps_the_ratios_of_its_cells():
    assert conditional([0.1, 0.2, 0.3, 0.4], CELLS, {"gender": {"woman"}}) == pytest.approx(
        [0.25, 0, 0.75, 0]
    )
    assert conditional([0.1, 0.2, 0.3, 0.4], CELLS, {}) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    both = {"gender": {"woman", "man"}, "age": {"older"}}
    assert conditional([0.1, 0.2, 0.3, 0.4], CELLS, both) == pytest.approx([0, 0, 3 / 7, 4 / 7])


def test_groups_without_weight_in_the_target_leave_it_unchanged():
    assert conditional([0, 0.5, 0, 0.5], CELLS, {"gender": {"woman"}}).tolist() == [0, 0.5, 0, 0.5]


def test_groups_are_found_as_whole_words_in_any_case():
    stating = stating_phrases(GENDER, SYNONYMS)
    assert stated_groups("a Female nurse", stating) == {"gender": {"woman"}}
    assert stated_groups("a man and his mother", stating) == {"gender": {"woman", "man"}}
    assert stated_groups("the human manager of a womanly shop", stating) == {}
