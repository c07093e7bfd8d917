"""Facts of a method: those of the installed method, whatever an entry says."""

from importlib.metadata import EntryPoint

import pytest
from helpers.report import a_spec

from evenhand.bench.leaderboard import method_facts
from evenhand.bench.leaderboard.method_facts import facts_of
from evenhand.bench.policy.ranking import TRACK_ORDER
from evenhand.bench.registry.entry_points import METHODS
from evenhand.methods.base import TRACKS
from evenhand.methods.prompts.entigen import Entigen
from evenhand.reports.leaderboard.row_facts import TRACK_TEXTS, TRACK_TITLES


def a_card(name, **changes):
    card = a_spec(name, concepts=["nurse"]).method
    return card.model_copy(update={"name": name, "parameters": {}} | changes)


@pytest.mark.parametrize(
    ("name", "parameters", "track"),
    [
        ("mist", {}, "one model"),
        ("mist", {"scope": "per-concept"}, "a model per concept"),
        ("mist", {"scope": "per-concept", "gone": 1}, "a model per concept"),
        ("fair-diffusion", {}, "at sampling time"),
        ("finetuning", {"steps": "many"}, ""),
        ("not-installed", {}, ""),
    ],
)
def test_the_track_follows_from_method_and_parameters(name, parameters, track):
    assert facts_of(a_card(name, parameters=parameters)).track == track


def test_the_statement_of_an_entry_counts_only_if_the_method_is_not_installed():
    assert facts_of(a_card("mist", track="at sampling time")).track == "one model"
    assert facts_of(a_card("not-installed", track="at sampling time")).track == "at sampling time"
    assert facts_of(a_card("not-installed", track="the best")).track == ""


def test_ours_are_sortition_and_the_targeted_prompt():
    names = ("sortition", "targeted-attribute-prompt", "random-attribute-prompt", "uce", "not-installed")
    assert [facts_of(a_card(name)).ours for name in names] == [True, True, False, False, False]


@pytest.mark.parametrize(("name", "nothing"), [("entigen", True), ("mist", False), ("not-installed", False)])
def test_a_bundled_method_that_declares_no_space_has_nothing_to_tune(name, nothing):
    assert facts_of(a_card(name)).nothing_to_tune is nothing


def test_a_method_of_a_third_party_that_declares_no_space_may_be_worth_a_search(monkeypatch):
    elsewhere = EntryPoint("entigen", "somewhere.methods:Entigen", "evenhand.methods")
    monkeypatch.setattr(type(METHODS), "entries", lambda self: {"entigen": elsewhere})
    monkeypatch.setattr(method_facts, "method_class", lambda name: Entigen)
    assert facts_of(a_card("entigen")).nothing_to_tune is False


def test_a_shorter_training_is_a_share_of_the_published_one():
    facts = facts_of(a_card("finetuning", parameters={"steps": 24, "batch": 12}))
    assert facts.share_trained == pytest.approx(24 * 12 / (15_000 * 40))
    assert facts_of(a_card("finetuning")).share_trained == 1
    assert facts_of(a_card("uce")).share_trained is None


def test_the_leaderboard_knows_every_track():
    assert (*TRACKS, "") == TRACK_ORDER
    assert set(TRACK_TITLES) == set(TRACK_TEXTS) == set(TRACK_ORDER)
