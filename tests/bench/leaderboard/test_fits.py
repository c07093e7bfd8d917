"""The fits of a row: the median, and entries that leave a fit out or change more than its seeds."""

import pytest
from helpers.report import a_spec

from evenhand.bench.leaderboard.fits import fit_faults, median_fit

FIRST, SECOND, THIRD = (number * 32 for number in ("a1", "b2", "c3"))


def a_card(number, intervention, /, **changes):
    card = a_spec("mist", concepts=["nurse"]).method
    later = {"label": f"mist:fit={number}", "fit": number, "fit_of": "mist"} if number > 1 else {}
    other_fits = [SECOND, THIRD] if number == 1 else []
    return card.model_copy(update={"intervention": intervention, "other_fits": other_fits} | later | changes)


def three(**changes):
    """The cards of three fits; changes are by number, ``fit2={...}``."""
    interventions = enumerate((FIRST, SECOND, THIRD), start=1)
    return [a_card(number, digest, **changes.get(f"fit{number}", {})) for number, digest in interventions]


def faults(cards):
    return [fault for card in cards for fault in fit_faults(card, cards)]


@pytest.mark.parametrize(
    ("distances", "place"),
    [([0.3], 0), ([0.3, 0.1, 0.2], 2), ([0.1, 0.2], 1), ([0.1, float("nan"), 0.2], 2)],
    ids=["one", "three", "the worse of two", "an unknown distance is the worst"],
)
def test_the_median_fit(distances, place):
    assert median_fit(distances) == place


def test_three_fits_that_differ_in_seeds_only_are_valid():
    assert faults(three()) == []


def test_a_fit_cannot_be_left_out():
    first, second, _ = three()
    assert faults([first, second]) == ["its fit 3 has no entry; submit the complete run"]
    assert "fit 2 of 'mist' has no entry; submit the complete run" in faults([three()[0], three()[2]])


def test_the_repeated_fits_of_a_deterministic_method_need_no_entries():
    assert faults([a_card(1, FIRST, other_fits=[FIRST, FIRST])]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit2": {"parameters": {"step_size": 9}}}, "differs from 'mist' in more than its seeds"),
        ({"fit2": {"version": "9"}}, "differs from 'mist' in more than its seeds"),
        ({"fit2": {"intervention": "d4" * 32}}, "its intervention is not that of a fit of 'mist'"),
        ({"fit2": {"label": "mist:lucky"}}, "cannot have the label 'mist:lucky'"),
        ({"fit1": {"fit_of": "uce"}}, "its first fit cannot be a fit of 'uce'"),
    ],
)
def test_a_fit_that_differs_in_more_than_its_seeds_is_refused(changes, message):
    assert any(message in fault for fault in faults(three(**changes)))
