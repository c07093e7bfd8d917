"""Fits with other seeds: their labels, their identity, and what a run keeps of them."""

import shutil

import pytest
from helpers.entry import METHODS, small_run

from evenhand.bench import evaluate
from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching.planned_images import plan
from evenhand.bench.leaderboard.build import board_rows
from evenhand.bench.leaderboard.check import check_entries
from evenhand.bench.leaderboard.submit import submit
from evenhand.bench.leaderboard.verification.verify import verify
from evenhand.bench.policy.ranking import fits_text
from evenhand.bench.registry.method_spec import parse_method
from evenhand.bench.suites.suite import load_suite


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run of the small suite with one fit, the same run with two, and its folder."""
    out = shutil.copytree(small_run(), tmp_path_factory.mktemp("fits") / "run")
    alone = evaluate("small", methods=METHODS, out=out)
    return alone, evaluate("small", methods=METHODS, out=out, fits=2), out


def by_label(run):
    return {result.spec.method.label: result for result in run.results}


def test_a_second_fit_is_a_method_with_its_own_label():
    use = parse_method("mist:step_size=0.3,fit=2", suite=load_suite("mini"))
    assert (use.label, use.fit, use.fit_of) == ("mist:fit=2,step_size=0.3", 2, "mist:step_size=0.3")
    assert use.nth_fit(1) == parse_method("mist:step_size=0.3", suite=load_suite("mini"))
    assert parse_method("mist:fit=1", suite=load_suite("mini")).label == "mist"


@pytest.mark.parametrize("given", ["0", "1.5", "true", "many", "100"])
def test_a_fit_that_is_no_number_is_refused(given):
    with pytest.raises(EvenhandError, match="fit must be a number from 1 to 99"):
        parse_method(f"mist:fit={given}", suite=load_suite("mini"))


def test_a_suite_says_how_often_its_methods_are_fitted():
    assert load_suite("mini-2").fits == 3 and load_suite("mini").fits == 1
    methods = {row.method for row in plan("mini-2", methods=["uce"])}
    assert methods == {"base", "uce", "uce:fit=2", "uce:fit=3"}
    assert {row.method for row in plan("mini-2", methods=["uce"], fits=1)} == {"base", "uce"}


def test_the_number_of_fits_does_not_change_the_digest_of_a_suite():
    suite = load_suite("mini-2")
    assert suite.digest() == suite.model_copy(update={"fits": 1}).digest()


@pytest.mark.slow
def test_the_first_fit_of_several_is_the_only_one_of_a_run_with_one(fitted):
    alone, first = (by_label(run)["mist"] for run in fitted[:2])
    assert first.spec.method.intervention == alone.spec.method.intervention
    assert first.estimates == alone.estimates
    assert alone.spec.method.other_fits == []


@pytest.mark.slow
def test_a_second_fit_has_other_seeds_and_its_own_images(fitted):
    results = by_label(fitted[1])
    first, second = results["mist"].spec.method, results["mist:fit=2"].spec.method
    assert (second.fit, second.fit_of, second.row) == (2, "mist", "mist")
    assert first.other_fits == [second.intervention] != [first.intervention]
    assert (second.parameters, second.track) == (first.parameters, "a model per concept")
    assert results["mist:fit=2"].coverage.made == results["mist"].coverage.made > 0


@pytest.mark.slow
def test_a_deterministic_method_is_drawn_once(fitted):
    results = by_label(fitted[1])
    assert set(results) == {*METHODS, "mist:fit=2"}
    card = results["random-attribute-prompt"].spec.method
    assert card.other_fits == [card.intervention]


@pytest.mark.slow
def test_the_fits_are_one_row_of_the_board_and_each_entry_is_checked_and_verified(fitted, tmp_path):
    entries = tmp_path / "entries"
    submit(fitted[2], entries)
    valid, faults = check_entries(entries)
    assert not faults and len(valid) == 4
    rows = {row.label: row for row in board_rows(entries)}
    assert set(rows) == set(METHODS)
    mist = rows["mist"]
    assert [fit.entry for fit in mist.fits] == ["mist@small-v1", "mist-fit-2@small-v1"]
    assert mist.published.distance == max(fit.distance for fit in mist.fits), "the worse of two"
    assert fits_text(mist).startswith("2 fits: ")
    assert fits_text(rows["random-attribute-prompt"]) == "one fit: deterministic"
    assert rows["mist"].result.cost.relative_passes == 1
    found = verify(entries / "mist-fit-2@small-v1", images=2, seed=1)
    assert found.same_intervention and found.fitted
