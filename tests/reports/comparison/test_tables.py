"""The tables of a comparison: signs, directions, and the settings that differ."""

import csv
import io

import pytest
from helpers.comparisons import compared, difference, readings_of
from helpers.report import NAN

from evenhand.reports.comparison.tables import (
    difference_records,
    differences_table,
    direction,
    setup_names,
    setup_table,
    shown,
    sides_table,
    signed,
    summary,
)


def fidelity(value, **where):
    keys = {"metric": "explicit_fidelity", "attributes": "gender", "kind": "explicit"}
    return difference("mist", value, **(keys | where))


def texts(table):
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_difference_has_its_sign_and_its_interval():
    assert signed(difference("mist", 0.2)) == "+0.200"
    assert shown(difference("mist", -0.2)) == "−0.200 (95% interval −0.300 to −0.100)"
    assert shown(fidelity(0.02), digits=2) == "+2.0 points (95% interval −8.0 to 12.0)"


def test_interval_is_cut_where_no_difference_can_lie_and_left_out_where_nothing_was_resampled():
    assert shown(difference("mist", -0.95)).endswith("−1.000 to −0.850)")
    assert shown(difference("mist", -0.5, low=-0.5, high=-0.5)) == "−0.500 (no interval)"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (difference("mist", -0.2), "better"),
        (difference("mist", 0.2), "worse"),
        (fidelity(0.2), "better"),
        (fidelity(-0.2), "worse"),
        (fidelity(0.05), ""),
        (difference("mist", -0.5, low=-0.5, high=-0.5), ""),
        (difference("mist", NAN), ""),
        (difference("mist", 0.5, metric="preservation_distance", attributes=""), "other"),
        (difference("mist", 0.5, metric="share", group="woman"), "other"),
    ],
)
def test_direction_is_that_of_the_metric_and_needs_an_interval_without_zero(row, said):
    assert direction(row) == said


def test_summary_has_a_line_per_pair_also_where_nothing_was_measured():
    columns, lines = summary(compared(difference("mist", -0.2, p=0.01, p_holm=0.02)))
    assert columns == [
        "method",
        "minus",
        "squared RMSDelta gender × skin tone × age, uncorrected",
        "p (Holm)",
    ]
    assert lines == [
        ["mist", "base", "−0.200 (95% interval −0.300 to −0.100)", "0.020"],
        ["uce", "base", "not measured", "-"],
    ]


def test_single_pair_has_the_values_of_both_sides_and_several_have_a_column_each():
    pair = compared(difference("mist", -0.2), methods=["mist"])
    table = differences_table(pair, readings_of(pair))
    assert table.columns == ["Measure", "Difference", "p", "mist", "base"]
    assert table.rows[0].cells[1].notes == ("−0.300 to −0.100", "clearly better")
    several = compared(difference("mist", -0.2))
    table = differences_table(several, readings_of(several))
    assert table.columns == ["Measure", "mist minus base", "uce minus base"]
    assert texts(table)[0][1:] == ["−0.200", "not measured"]


def test_over_correction_with_a_wide_interval_is_not_shown_as_a_number():
    rows = [
        difference(
            "mist", 0.1, metric="over_correction", attributes="gender", kind="over_correction", high=high
        )
        for high in (0.2, 0.31)
    ]
    tables = [
        differences_table(one, readings_of(one)) for one in (compared(row, methods=["mist"]) for row in rows)
    ]
    assert [texts(table)[0][1] for table in tables] == ["+10.0 points", "not measurable here"]
    assert tables[1].rows[0].cells[1].notes == ("the interval is 31 points wide, less than 30 are needed",)


def test_only_settings_that_differ_are_listed_and_neither_run_nor_method_is_named():
    comparison = compared(methods=["mist"])
    base, mist = comparison.sides
    software = mist.result.environment.model_copy(update={"device": "cuda"})
    mist = mist.model_copy(
        update={"run": "other", "result": mist.result.model_copy(update={"environment": software})}
    )
    found = texts(setup_table([base, mist]))
    assert ["Run", "r", "other"] in found and ["Device", "cpu", "cuda"] in found
    assert "Python" not in [row[0] for row in found]
    assert setup_names([base, mist]) == ["Device"]
    assert texts(setup_table([base, base])) == []


def test_sides_have_their_run_and_the_images_that_are_shared():
    assert texts(sides_table(compared(methods=["mist"]).sides)) == [
        ["base", "r", "8", "2,200", "2,198"],
        ["mist", "r", "8", "2,200", "2,198"],
    ]


def test_download_has_every_row_with_every_field():
    rows = [difference("mist", -0.2), difference("uce", NAN, concept="nurse", judge="vit", corrected=True)]
    found = list(csv.DictReader(io.StringIO(difference_records(compared(*rows)).csv)))
    assert [(row["label"], row["concept"], row["judge"], row["corrected"]) for row in found] == [
        ("mist", "", "panel", "false"),
        ("uce", "nurse", "vit", "true"),
    ]
    assert float(found[0]["value"]) == -0.2
