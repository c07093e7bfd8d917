"""The terminal and the report show the same verdict, bands, distances and marks."""

import pytest
from helpers.audit_report import an_audit
from helpers.full_report import a_full_run
from helpers.report import CONCEPTS, a_run, parsed

from evenhand.bench.report import closing_lines, render_report
from evenhand.reports.first_screen.lines import LABEL, SIGNS

WORDS = {"yes": "✓", "not proven": "?", "no": "✗"}
LONG = "random-attribute-prompt:attributes=gender"


def on_the_page(run):
    """Verdict, and for each method its label, band, distance and signs, as the report shows them."""
    page = parsed(render_report(run))
    (headline,) = [p.text for p in page.by_id("verdict").all("p") if p.attributes.get("class") == "headline"]
    rows = []
    for row in page.by_id("marks").all("tbody")[0].all("tr"):
        head = row.all("th")[0]
        spans = {e.attributes.get("class"): e.text for e in head.all("span")}
        signs = [WORDS[svg.attributes["aria-label"]] for svg in row.all("svg")]
        label = head.all("bdi")[0].text
        rows.append((label, spans.get("band", ""), spans["distance"].removeprefix("distance "), signs))
    return headline, rows


def runs(folder):
    methods = ["base", "mist", "uce", LONG]
    yield a_run(methods=methods, concepts=CONCEPTS[:3])
    yield a_full_run(methods=["base", *(f"method-{place}" for place in range(16))], concepts=CONCEPTS[:2])
    yield a_run(methods=["base"], concepts=CONCEPTS[:2])
    yield an_audit(folder, "one", "two")


@pytest.mark.slow
def test_terminal_and_report_show_the_same_for_every_method(tmp_path):
    for run in runs(tmp_path):
        headline, rows = on_the_page(run)
        lines = closing_lines(run)
        assert lines[0] == headline
        table = lines[3 : 3 + len(rows)]
        for line, (label, band, distance, signs) in zip(table, rows, strict=True):
            name = label if len(label) <= LABEL else label[: LABEL - 1] + "…"
            assert line.split() == [name, *band.split(), *distance.split(), *(signs or "---")]
        assert lines[3 + len(rows)] == ""


def test_the_table_has_at_most_80_columns(tmp_path):
    for run in runs(tmp_path):
        assert max(map(len, closing_lines(run)[1:])) <= 80


def test_every_sign_has_a_character():
    assert set(SIGNS) == {"yes", "open", "no"}
