"""The suite of an entry is the registered one, never what the entry says."""

import pytest
from helpers.report import a_result

from evenhand.bench.leaderboard.suite import known_suite
from evenhand.bench.suites.suite import load_suite


@pytest.mark.parametrize("name", ["mini", "mini-2"])
def test_every_registered_version_of_a_suite_is_known(name):
    suite = load_suite(name)
    result = a_result("base").spec.model_copy(
        update={"suite": suite.name, "suite_version": suite.version, "suite_digest": suite.digest()}
    )
    assert known_suite(result).suite == suite
    assert known_suite(result.model_copy(update={"suite_version": "99"})) is None


def spec_of(name, **changes):
    suite = load_suite(name)
    own = {"suite": suite.name, "suite_version": suite.version, "suite_digest": suite.digest()}
    return a_result("base").spec.model_copy(update=own | changes)


@pytest.mark.parametrize(
    "change",
    [{"suite": "nobody"}, {"suite_digest": "00" * 32}, {"suite": "mini-quick.toml"}, {"suite": "../mini"}],
)
def test_other_name_or_digest_is_not_known(change):
    assert known_suite(spec_of("mini-quick")) is not None
    assert known_suite(spec_of("mini-quick", **change)) is None


def test_suite_states_the_fields_that_an_entry_must_share():
    known = known_suite(spec_of("mini-quick"))
    assert known.stated["suite_digest"] == load_suite("mini-quick").digest()
    assert known.stated["concepts"] == list(known.concepts)
    assert known.stated["model"] == "mini" and "method" not in known.stated


def test_judges_that_only_steer_are_not_those_of_the_suite():
    known = known_suite(spec_of("mini-quick"))
    cards = a_result("base").spec.judges
    strange = cards[0].model_copy(update={"name": "mine", "role": "steering"})
    spec = spec_of("mini-quick", judges=[*cards, strange])
    named = {*known.suite.panel, *known.suite.non_voting_judges}
    assert {card.name for card in known.judges(spec)} == named & {card.name for card in cards}
    assert "mine" not in named


def test_plan_of_a_look_is_that_with_as_many_images_as_the_result():
    known, result = known_suite(spec_of("mini-quick")), a_result("base")

    def planned(number):
        coverage = result.coverage.model_copy(update={"planned": number})
        return known.of(result.model_copy(update={"coverage": coverage}))

    assert planned(len(known.items)).look == 1
    assert planned(3).items == known.items, "no look has so few images"
