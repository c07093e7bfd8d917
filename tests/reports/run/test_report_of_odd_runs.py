"""Degenerate and hostile runs have a valid report of bounded size."""

import pytest
from helpers.full_report import METHODS, a_full_run, images_of_every_kind, nothing_decided
from helpers.page_checks import (
    PHONE,
    REPORT,
    assert_accessible,
    assert_layout_holds,
    assert_no_requests,
    assert_valid_html,
    assert_within,
    open_everything,
    opened,
)
from helpers.report import CONCEPTS, a_coverage, parsed

from evenhand.bench.report import render_report
from evenhand.bench.results.result import Coverage

pytestmark = pytest.mark.slow

FEW = CONCEPTS[:3]
RIGHT_TO_LEFT = "مهندسة معمارية تعمل في موقع بناء كبير جدا"
EMOJI = "👩🏽‍🔬👨🏿‍🚒🧑🏻‍🏫👷🏾‍♀️ scientists"
SCRIPT = "<script>alert(document.domain)</script>\"'&"


def altered(run, **parts):
    """The run with parts of every result replaced."""
    return run.model_copy(update={"results": [r.model_copy(update=parts) for r in run.results]})


def odd_names(folder):
    methods = ["base", SCRIPT, EMOJI, RIGHT_TO_LEFT]
    run = a_full_run(folder, methods=methods, concepts=[RIGHT_TO_LEFT, EMOJI, SCRIPT, "x" * 40])
    images = images_of_every_kind(folder, methods, seeds=1)
    named = [row.model_copy(update={"concept": RIGHT_TO_LEFT, "prompt": SCRIPT}) for row in images]
    return run.model_copy(update={"images": named})


def one_image(folder):
    run = a_full_run(folder, methods=["base"], concepts=["nurse"])
    rows = [row.model_copy(update={"n": 1, "low": 0.0, "high": 1.0}) for row in run.results[0].estimates]
    run = altered(run, estimates=rows, coverage=Coverage(planned=1, made=1, rows=[]))
    return run.model_copy(update={"images": images_of_every_kind(folder, ["base"], seeds=1)[:1]})


def undecided(folder):
    run = a_full_run(folder, methods=METHODS[:3], concepts=FEW)
    return run.model_copy(update={"results": [nothing_decided(result) for result in run.results]})


def without_base(folder):
    run = a_full_run(folder, methods=["base", "mist", "uce"], concepts=FEW)
    return run.model_copy(update={"results": run.results[1:]})


def without_errors(folder):
    return altered(a_full_run(folder, methods=METHODS[:2], concepts=FEW), judge_errors=[])


def many_concepts(folder):
    concepts = [f"occupation number {place}" for place in range(500)]
    return a_full_run(folder, methods=METHODS[:2], concepts=concepts)


RUNS = {
    run.__name__: run
    for run in (odd_names, one_image, undecided, without_base, without_errors, many_concepts)
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {name: render_report(run(folder)) for name, run in RUNS.items()}


@pytest.fixture(scope="module")
def trees(pages):
    return {name: parsed(page) for name, page in pages.items()}


def test_reports_of_odd_runs_are_valid_html(pages):
    assert_valid_html(*pages.values())


def test_odd_names_are_escaped_and_fit_a_phone(browser, pages, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(pages["odd_names"], encoding="utf-8")
    with opened(browser, path, width=PHONE) as shown:
        open_everything(shown)
        assert_layout_holds(shown)
        assert_no_requests(shown, within=path)
        assert_accessible(shown)
        heads = shown.locator("#methods thead th").all_inner_texts()
        assert {SCRIPT, EMOJI, RIGHT_TO_LEFT} <= set(heads)
        assert shown.locator("#methods thead th bdi").count() == len(heads)


def test_single_image_gives_no_finding(trees):
    tree = trees["one_image"]
    assert "These images do not decide whether mini depicts" in tree.by_id("verdict").text
    assert "1 images generated, of 1 planned" in _facts(tree)
    assert len(tree.by_id("verdict").all("img")) == len(tree.by_id("images").all("img")) == 1


def _facts(tree):
    divs = [div for div in tree.by_id("numbers").all("div") if div.all("dd")]
    pairs = [(div.all("dd")[0].text, div.all("dt")[0].text) for div in divs]
    return [f"{value} {meaning}" for value, meaning in pairs]


def test_run_without_determined_labels_has_no_estimates(trees):
    tree = trees["undecided"]
    assert "was not measured" in tree.by_id("verdict").text
    assert "0.0% of labels on neutral prompts determined" in _facts(tree)
    words = tree.by_id("methods").text
    assert "not estimable" in words and "100.0%" in words
    rows = [row.text for row in tree.by_id("labels").all("tbody")[0].all("tr")]
    assert rows and all("800 0 800" in row for row in rows)
    assert a_coverage().rows[0].images == 800


def test_without_baseline_no_gate_is_checked(trees):
    tree = trees["without_base"]
    assert "this run has no baseline" in tree.by_id("methods").text
    assert "baseline" not in tree.by_id("figures").text


def test_report_says_if_judge_errors_were_not_measured(trees):
    words = trees["without_errors"].by_id("who-judged").text
    assert "The errors of the judges were not measured in this run" in words


def test_figure_of_500_concepts_shows_the_most_uneven_and_counts_all(pages, trees):
    tree = trees["many_concepts"]
    figure = tree.by_id("by-concept-gender")
    assert "out of 500" in figure.all("figcaption")[0].text
    assert "shows the 40 of 500 concepts that are farthest from the target" in figure.text
    assert len(figure.all("table")[0].all("tbody")[0].all("tr")) == 40
    assert_within(REPORT, pages["many_concepts"])
