"""The judges' section: measured errors and corrections."""

import re

import pytest
from helpers.full_report import a_full_run, error_rows
from helpers.report import ATTRIBUTES, CONCEPTS, JUDGES, NAN, a_result, an_estimate, parsed

from evenhand.bench.report import render_report
from evenhand.bench.results.lookup import Reading
from evenhand.reports.run.judge_errors import corrections, errors_figure, errors_tables

METHODS = ["base", "mist", "uce"]


@pytest.fixture(scope="module")
def tree():
    return parsed(render_report(a_full_run(methods=METHODS, concepts=CONCEPTS[:3])))


def a_reading(label="base", **parts):
    return Reading.of(a_result(label, concepts=CONCEPTS[:3]).model_copy(update=parts))


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
