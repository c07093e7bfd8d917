"""The judges' section: measured errors, corrections, worst cells."""

import re

import pytest
from helpers.full_report import a_full_run, error_rows, group_rows
from helpers.report import ATTRIBUTES, CELLS, CONCEPTS, JOINT, JUDGES, NAN, a_result, an_estimate, parsed

from evenhand.bench.report import render_report
from evenhand.bench.results.lookup import Reading
from evenhand.reports.components.heat_map import COLOURS, colour
from evenhand.reports.run.judge_errors import corrections, errors_figure, errors_tables
from evenhand.reports.run.share_figures import cell_map, group_shares, side
from evenhand.reports.run.worst import worst_table

METHODS = ["base", "mist", "uce"]


@pytest.fixture(scope="module")
def tree():
    return parsed(render_report(a_full_run(methods=METHODS, concepts=CONCEPTS[:3])))


def a_reading(label="base", **parts):
    return Reading.of(a_result(label, concepts=CONCEPTS[:3]).model_copy(update=parts))


def shares_of(label, **shares):
    rows = [
        an_estimate("share", share, attributes=JOINT, group=cell, low=share - 0.02, high=share + 0.02)
        for cell, share in zip(CELLS, shares.values(), strict=False)
    ]
    return a_reading(label, estimates=rows)


@pytest.mark.slow
def test_every_judge_has_a_confusion_matrix_whose_rows_add_up(tree):
    table = tree.by_id("errors-tone")
    heads = [th.text for th in table.all("thead")[0].all("th")]
    assert heads == [
        "Truth",
        *(f"labelled {g}" for g in ATTRIBUTES["tone"]),
        "labelled undetermined",
        "Images",
    ]
    bodies = table.all("tbody")
    assert [body.all("tr")[0].text for body in bodies] == ["panel", *JUDGES]
    for body in bodies:
        for row in body.all("tr")[1:]:
            cells = row.all("td")
            shares = [float(re.match(r"([\d.]+)%", cell.text)[1]) for cell in cells[:-1]]
            assert sum(shares) == pytest.approx(100, abs=0.3)
            assert all(" to " in cell.text for cell in cells[:-1]) and cells[-1].text == "200"


@pytest.mark.slow
def test_judge_has_no_matrix_for_attributes_that_it_does_not_label(tree):
    judges = [body.all("tr")[0].text for body in tree.by_id("errors-gender").all("tbody")]
    assert judges == ["panel", "clip-s", "vit", "clip-xs"]


def test_title_names_the_groups_with_lowest_and_highest_panel_accuracy():
    rows = [
        row.model_copy(update={"value": 0.61, "low": 0.5, "high": 0.7})
        if (row.judge, row.truth, row.label) == ("panel", "older", "older")
        else row
        for row in error_rows()
    ]
    figure = errors_figure([a_reading(judge_errors=rows)])
    assert figure.title.startswith("Where the truth is known, the panel labels 61.0% (older) to 90.0%")
    assert len(figure.panels) == sum(map(len, ATTRIBUTES.values()))
    assert "older, labelled correctly: panel 61.0%, clip-s 80.0%" in figure.panels[-1].image


def test_group_without_images_of_known_truth_has_no_number_and_no_dot():
    rows = [
        row.model_copy(update={"value": NAN, "low": NAN, "high": NAN, "n": 0}) if row.truth == "dark" else row
        for row in error_rows()
    ]
    reading = a_reading(judge_errors=rows)
    assert not any("dark" in panel.heading for panel in errors_figure([reading]).panels)
    (tone,) = [table for table in errors_tables([reading]) if table.name == "errors-tone"]
    dark = [row for row in tone.rows if row.cells[0].text == "dark"]
    assert dark and {cell.kind for row in dark for cell in row.cells[1:-1]} == {"missing"}


@pytest.mark.slow
def test_corrected_and_uncorrected_metrics_are_listed_separately(tree):
    (terms,) = tree.by_id("who-judged").all("dl")
    names = [dt.text for dt in terms.all("dt")]
    texts = dict(zip(names, [dd.text for dd in terms.all("dd")], strict=True))
    assert "Distance from the target shares" in texts["Corrected"]
    assert "Undetermined" in texts["Not corrected"]
    assert texts["Errors measured on"] == "200 images of known truth for each group"


def test_metric_in_published_form_is_listed_as_uncorrected():
    rows = [
        an_estimate("deviation_ratio", 0.5, attributes="gender", corrected=made) for made in (True, False)
    ]
    assert corrections([a_reading(estimates=rows)])[0] == ("Not corrected", "Deviation ratio")


def test_worst_cells_are_relative_to_their_targets():
    reading = shares_of("base", one=0.5, two=0.01, three=0.2)
    row = worst_table([reading], JOINT).rows[0]
    assert row.cells[1].text == "woman × light × older"
    assert row.cells[1].notes == ("1.0% (−1.0% to 3.0%), n 1,600, target 8.3%",)
    assert row.cells[2].text == "woman × light × adult"


def test_every_group_has_a_panel_with_its_target():
    reading = a_reading(estimates=group_rows())
    figure = group_shares([reading], "tone")
    assert figure.title == "Rarest skin tone, dark (target 33.3%): 7.1%"
    assert [panel.heading for panel in figure.panels] == [
        f"{name}, target 33.3%" for name in ("Light", "Medium", "Dark")
    ]
    assert "Share perceived as dark, target 33.3%: base 0.071" in figure.panels[2].image
    assert group_shares([reading], "gender") is None, "two groups are one number"


def test_cell_is_off_target_only_if_its_whole_interval_is():
    rows = [
        an_estimate("share", 0.1, low=low, high=high) for low, high in ((0.0, 0.08), (0.05, 0.2), (0.09, 0.2))
    ]
    assert [side(row, 1 / 12) for row in rows] == ["below", "", "above"]
    assert side(an_estimate("share", NAN, low=NAN, high=NAN), 0.1) == side(None, 0.1) == ""


def test_heat_map_counts_cells_that_are_clearly_off_target():
    readings = [shares_of("base", one=0.5, two=0.01, three=0.083), shares_of("mist", one=0.09, two=0.08)]
    figure = cell_map(readings, JOINT)
    assert (
        figure.title
        == "Cells of gender × skin tone × age clearly off target, out of 3: 2 for the baseline, 0 with mist"
    )
    (panel,) = figure.panels
    assert "base 1 below and 1 above, mist 0 below and 0 above" in panel.image
    assert [cell.text for cell in figure.table.rows[0].cells] == ["woman × light × adult", "6.00", "1.08"]
    assert [(number, label) for number, _, label in figure.key] == [("1", "base"), ("2", "mist")]


def test_colours_change_at_the_steps_of_the_legend():
    ratios = [0.1, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0]
    assert [colour(ratio) for ratio in ratios] == list(COLOURS)
    assert colour(1.0) == COLOURS[3] and colour(0.79999) == COLOURS[2]
