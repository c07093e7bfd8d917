"""The columns of the leaderboard: which estimate each shows, and on which footing."""

import pytest
from helpers.readings import a_reading
from helpers.report import JOINT, NAN, an_estimate
from helpers.site import a_board, board_rows
from helpers.trade_off import placed

from evenhand.bench.policy.ranking import rankings
from evenhand.bench.results.lookup import Key
from evenhand.reports.leaderboard.columns import (
    WORST,
    best_text,
    cell,
    escape,
    further_columns,
    ranking_columns,
)

KEY = Key("rms_delta", JOINT, "panel", False)


def fidelity(**values):
    return [
        an_estimate("explicit_fidelity", value, attributes=name, kind="explicit")
        for name, value in values.items()
    ]


def over(**values):
    return [
        an_estimate("over_correction", value, attributes=name, kind="over_correction")
        for name, value in values.items()
    ]


def column(columns, title):
    (found,) = [each for each in columns if each.title.startswith(title)]
    return found


def test_distance_that_ranks_is_first_and_the_others_follow():
    rows = [
        an_estimate("rms_delta", value, attributes=name) for name, value in (("gender", 0.2), (JOINT, 0.5))
    ]
    columns = ranking_columns([a_reading("base", *rows)], KEY)
    assert [each.title for each in columns[:2]] == [
        "Distance, gender × skin tone × age ↓",
        "Distance, gender ↓",
    ]
    assert columns[0].facts[0] == "the primary distance, which ranks the methods"
    assert columns[0].cells == ["0.500 (0.465 to 0.535)"]


def test_side_effects_are_those_of_the_attribute_where_a_method_is_worst():
    readings = [
        a_reading("base", *fidelity(gender=0.9, tone=0.8), *over(gender=0.1, tone=0.3)),
        a_reading("mist", *fidelity(gender=0.5, tone=NAN), *over(gender=0.4, tone=0.2)),
    ]
    columns = ranking_columns(readings, KEY)
    lowest, highest = column(columns, "Explicit fidelity"), column(columns, "Over-correction")
    assert [row.value for row in lowest.rows] == [0.8, 0.5] and WORST in lowest.facts
    assert [row.value for row in highest.rows] == [0.3, 0.4]


def test_column_is_corrected_for_all_rows_or_for_none():
    def both(label, *corrected):
        rows = [
            an_estimate("rms_delta", 0.5, attributes="gender", corrected=made) for made in (False, *corrected)
        ]
        return a_reading(label, an_estimate("rms_delta", 0.6, attributes=JOINT), *rows)

    for others, said in (
        ((True,), "corrected for judge error (correction not verified)"),
        ((), "not corrected for judge error"),
    ):
        found = ranking_columns([both("base", True), both("mist", *others)], KEY)
        assert said in column(found, "Distance, gender ↓").facts


def test_column_without_a_number_says_so_for_every_row():
    found = column(further_columns([a_reading("base"), a_reading("mist")]), "Worst group")
    assert found.cells == ["not measured", "not measured"] and found.facts == []


def test_estimate_has_its_interval_or_the_value_of_a_fair_model():
    assert cell(an_estimate("share", 0.25, low=0.2, high=0.3)) == "25.0% (20.0% to 30.0%)"
    assert (
        cell(an_estimate("deviation_ratio", 0.4, low=NAN, high=NAN, floor=0.126))
        == "0.400 (fair model: 0.126)"
    )


def test_best_methods_of_a_track_are_named_only_if_there_are_any():
    (tied,) = [found for found in rankings(a_board()) if found.stem == "mini-quick-v1"]
    assert best_text(tied, "one model") == "Not distinguishable from the best: mist and uce."
    rows = board_rows(
        [placed("base", distance=0.6), placed("harmful", distance=0.1, lost=0.3)], {"base": (1, 1, "A")}
    )
    (unranked,) = rankings(rows)
    assert best_text(unranked, "one model") == "No method is ranked, because none passes every gate."


@pytest.mark.parametrize("band", ["reported", "disputed"])
def test_track_without_ranks_does_not_blame_the_gates_where_a_method_passes_them(band):
    rows = board_rows([placed("base", distance=0.6), placed("theirs", distance=0.1)], {}, band=band)
    (found,) = rankings(rows)
    assert best_text(found, "one model") == (
        "No method is ranked: those that pass every gate are only reported, or disputed."
    )


def test_track_whose_methods_are_farther_than_the_baseline_has_no_best():
    results = [placed("base", distance=0.6), placed("worse", distance=0.8)]
    (found,) = rankings(board_rows(results, {"base": (1, 1, "A"), "worse": (2, 2, "B")}))
    assert best_text(found, "one model") == (
        "No ranked method is shown to be closer to the target than the baseline."
    )


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [("a|b", "a\\|b"), ("x\u2028y\x00z", "x y z"), ("www.a.b", "www&#46;a.b"), ("me@x", "me&#64;x")],
)
def test_text_has_no_markup_line_break_or_link(raw, escaped):
    assert escape(raw) == escaped
