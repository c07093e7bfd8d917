"""InterMit chooses the attributes whose balancing removes most bias, and completes prompts with these."""

import numpy as np
import pytest
from helpers.methods import make_task
from hypothesis import given
from hypothesis import strategies as st

from evenhand.bench.errors import EvenhandError
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.prompts.intermit import InterMit, apportioned
from evenhand.methods.shared.prompt_text import first_phrase

ALL = load_suite("mini").cells()
NAMES = [cell.groups for cell in ALL]


class World:
    """Draws images that are the number of a cell: groups that the prompt leaves open follow ``law``."""

    def __init__(self, law):
        self.law, self.prompts, self.rng = law, [], np.random.default_rng(0)

    def sample(self, prompts, seeds, *, intervention=None, negative_prompt=""):
        self.prompts += prompts
        return np.stack([np.full((1, 1, 3), self._cell(text), dtype=np.uint8) for text in prompts])

    def _cell(self, text):
        stated = {
            name: cell.groups[name]
            for cell in ALL
            for name, words in cell.adjectives.items()
            if first_phrase(text, (words,))
        }
        weights = np.array([self.law(groups, stated) for groups in NAMES])
        weights *= [all(groups[name] == group for name, group in stated.items()) for groups in NAMES]
        return self.rng.choice(len(ALL), p=weights / weights.sum())

    def judge(self, images, texts):
        return np.eye(len(ALL))[images[:, 0, 0, 0]]


def fitted(law, concepts=("nurse",), **parameters):
    world = World(law)
    task = make_task(world, concepts=concepts, cells=ALL)
    return InterMit(images=120, **parameters).fit(task), world


def only(**wanted):
    """Attributes that the prompt leaves open always show these groups; all others are even."""
    return lambda groups, stated: all(name in stated or groups[name] == one for name, one in wanted.items())


def women_are_old(groups, stated):
    """Women are not drawn unasked, and gender decides age: balancing gender balances age too."""
    asked = "gender" in stated or groups["gender"] == "man"
    aged = "age" in stated or (groups["age"] == "older") == (groups["gender"] == "woman")
    return asked and aged


def test_only_the_uneven_attribute_is_balanced():
    intervention, _ = fitted(only(gender="man"))
    assert intervention.data["axes"] == {"nurse": ["gender"]}
    texts = {intervention.prompt("a nurse", np.random.default_rng(seed)) for seed in range(40)}
    assert texts == {"a female nurse", "a male nurse"}
    assert intervention.prompt("a male nurse", np.random.default_rng(0)) == "a male nurse"
    first, after = intervention.record["bias"]["nurse"]
    assert first == pytest.approx(0.5 / 3, abs=0.08) and after < 0.1


def test_an_attribute_that_another_one_balances_is_left_alone():
    intervention, _ = fitted(women_are_old)
    assert intervention.data["axes"] == {"nurse": ["gender"]}, "age follows gender"


def test_priorities_decide_what_is_balanced_first_and_what_not_at_all():
    young_men = only(gender="man", age="adult")
    assert {*fitted(young_men)[0].data["axes"]["nurse"]} == {"gender", "age"}
    assert fitted(young_men, priorities={"gender": 3})[0].data["axes"]["nurse"][0] == "gender"
    assert fitted(young_men, priorities={"age": 3})[0].data["axes"]["nurse"][0] == "age"
    only_age = fitted(young_men, priorities={"gender": 0, "tone": 0})[0]
    assert only_age.data["axes"]["nurse"] == ["age"]


def test_a_balanced_concept_is_measured_once_and_its_prompts_stay():
    intervention, world = fitted(lambda groups, stated: 1.0, concepts=("nurse", "CEO"))
    assert intervention.data["axes"] == {"nurse": [], "CEO": []}
    assert len(world.prompts) == 2 * 120
    assert intervention.prompt("a nurse", np.random.default_rng(0)) == "a nurse"


def test_an_attribute_whose_words_have_no_effect_is_not_chosen():
    class Deaf(World):
        def _cell(self, text):
            return super()._cell("a nurse")

    world = Deaf(only(gender="man"))
    task = make_task(world, concepts=("nurse",), cells=ALL)
    chosen = InterMit(images=120, threshold=0).fit(task).data["axes"]["nurse"]
    assert "gender" not in chosen


def test_counterfactual_prompts_have_the_shares_of_the_target():
    _, world = fitted(only(gender="man"))
    of_gender = [
        text for text in world.prompts if text in ("a photo of a female nurse", "a photo of a male nurse")
    ]
    assert len(of_gender) == 120 and of_gender.count("a photo of a male nurse") == 60


def test_cost_is_within_the_budget():
    everything = fitted(only(**NAMES[0]), threshold=0)[1]
    budget = InterMit(images=120).budget(concepts=1, cells=ALL)
    assert len(everything.prompts) == budget.images == 7 * 120


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=9).map(lambda found: np.array(found) / sum(found)),
    st.integers(1, 200),
)
def test_apportioned_numbers_are_within_one_of_their_shares(shares, count):
    found = apportioned(shares, count)
    assert sum(found) == count and np.abs(np.array(found) - shares * count).max() < 1 + 1e-9


@pytest.mark.parametrize(
    ("priorities", "words"),
    [({"hair": 1}, "'hair', which is not balanced"), (dict.fromkeys(NAMES[0], 0), "all priorities are 0")],
)
def test_priorities_without_effect_are_refused(priorities, words):
    with pytest.raises(EvenhandError, match=words):
        InterMit(priorities=priorities).check(family="sd1", cells=ALL)
