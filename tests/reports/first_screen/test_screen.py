"""The first screen as one object."""

import pytest
from helpers.report import CONCEPTS, JOINT, a_run

from evenhand.bench.results.lookup import Key, Reading
from evenhand.reports.first_screen.lines import QUESTIONS, WITHOUT_BASELINE, MarkText, MethodLine
from evenhand.reports.first_screen.screen import ALONE, MANY, MATCHING_PAIRS, first_screen, is_compared

KEY = Key("rms_delta", JOINT, "panel", True)


def screen(*methods, key=KEY):
    run = a_run(methods=methods, concepts=CONCEPTS[:2])
    readings = [Reading.of(result) for result in run.results]
    lines = [MethodLine(label, "", "0.50", "", ()) for label in methods]
    return first_screen(run, readings, key, headline="The verdict.", lines=lines)


@pytest.mark.parametrize(
    ("methods", "compared"),
    [(["base", "mist"], True), (["base"], False), (["mist", "uce"], False)],
    ids=["both", "baseline alone", "no baseline"],
)
def test_methods_are_compared_only_with_a_baseline(methods, compared):
    run = a_run(methods=methods, concepts=CONCEPTS[:2])
    assert is_compared([Reading.of(result) for result in run.results]) is compared
    shown = screen(*methods)
    assert shown.questions == (QUESTIONS if compared else WITHOUT_BASELINE)
    assert ("change against the baseline" in shown.reading) is compared
    assert (shown.reading == ALONE) is not compared


def test_many_methods_have_a_frame_of_their_own():
    labels = ["base", *(f"m{place}" for place in range(MANY))]
    assert not screen(*labels[: MANY - 1]).many
    assert screen(*labels[:MANY]).many


def test_what_was_not_measured_or_drawn_is_left_out():
    shown = screen("base", "mist", key=None)
    assert (shown.plot, shown.strip, shown.headline) == (None, None, "The verdict.")
    assert screen("base", "mist").plot is not None


@pytest.mark.parametrize(("unit", "explained"), [("matching pairs", True), ("squared distance", False)])
def test_matching_pairs_are_explained_where_marks_count_them(unit, explained):
    run = a_run(methods=["base", "mist"], concepts=CONCEPTS[:2])
    readings = [Reading.of(result) for result in run.results]
    lines = [MethodLine("mist", "ranked", "0.50", "", (MarkText("yes", "-3.0", " points", unit),))]
    shown = first_screen(run, readings, KEY, headline="The verdict.", lines=lines)
    assert (MATCHING_PAIRS in shown.reading) is explained
