"""The sign-off: title block, thresholds, impact ratios, clauses, and what the report is not."""

from datetime import date

import pytest
from helpers.audit_report import an_audit
from helpers.report import CONCEPTS, a_run, an_estimate, parsed

from evenhand.bench.policy.findings import RULES
from evenhand.bench.report import render_report
from evenhand.bench.results.title_block import Threshold, TitleBlock
from evenhand.reports.sign_off.clauses import CLAUSES

HOSTILE = "<script>alert(1)</script>"

BLOCK = TitleBlock(
    client=HOSTILE,
    auditor="A. Auditor",
    thresholds=[
        Threshold(metric="rms_delta", attributes="gender", at_most=0.5, why="agreed", fixed=date(2026, 1, 1)),
        Threshold(metric="explicit_fidelity", attributes="gender", kind="explicit", at_least=0.9),
        Threshold(metric="share", attributes="tone", group="dark", at_least=0.3, fixed=date(2026, 3, 1)),
    ],
)


def dated(run, *dates):
    timings = [
        timing.model_copy(update={"date": day}) for timing, day in zip(run.timings, dates, strict=False)
    ]
    return run.model_copy(update={"timings": timings})


@pytest.fixture(scope="module")
def run():
    found = a_run(methods=["base", "mist"], concepts=CONCEPTS[:3])
    shares = [
        an_estimate("share", value, attributes="tone", group=group, low=value - 0.02, high=value + 0.02)
        for group, value in (("light", 0.79), ("medium", 0.2), ("dark", 0.01))
    ]
    results = [r.model_copy(update={"estimates": [*r.estimates, *shares]}) for r in found.results]
    return dated(found.model_copy(update={"results": results}), "2026-02-01", "2026-02-03")


@pytest.fixture(scope="module")
def section(run):
    return parsed(render_report(run, title_block=BLOCK)).by_id("sign-off")


def texts(section, name):
    return [row.text for row in section.by_id(name).all("tr")]


def test_title_block_is_shown_with_the_date_of_the_run_and_escaped(section):
    terms = dict(zip([t.text for t in section.all("dt")], [d.text for d in section.all("dd")], strict=True))
    assert terms["Client"] == HOSTILE and terms["Auditor"] == "A. Auditor"
    assert terms["Purpose"] == "not stated"
    assert terms["Date of the run (UTC)"] == "2026-02-01 to 2026-02-03"
    assert section.all("script") == []


@pytest.mark.slow
def test_every_report_says_that_it_is_not_a_conformity_assessment(section, run):
    assert "not a conformity assessment" in section.text
    unsigned = parsed(render_report(run)).by_id("sign-off").text
    assert "not a conformity assessment" in unsigned and "Nobody has signed this report." in unsigned


def test_thresholds_have_a_verdict_and_the_day_they_were_fixed(section):
    found = texts(section, "thresholds")
    assert len(found) == 1 + 3 * 2
    assert "at most 0.500 agreed fixed on 2026-01-01 base 0.806" in found[1] and found[1].endswith("not met")
    assert "day of fixing not stated" in found[3]
    assert "fixed on 2026-03-01, after the run began" in found[5]


def test_impact_ratios_mark_small_categories_and_say_that_skin_tone_is_not_race(section):
    found = texts(section, "impact")
    (dark,) = [row for row in found if row.startswith("dark")]
    assert "may be excluded by the rules" in dark and dark.endswith("below 0.80")
    assert any("images of known category" in row and "below 2% of the images: dark" in row for row in found)
    assert "Skin tone is not race." in section.text and "Nothing is excluded here" in section.text


def test_clauses_say_what_is_covered_and_what_is_not(section):
    table = section.by_id("clauses")
    assert {row.text for row in table.all("tr") if row.attributes.get("class") == "group"} == {
        clause.framework for clause in CLAUSES
    }
    assert all(clause.place in table.text and clause.missing in table.text for clause in CLAUSES)
    assert "No clause is fulfilled by this report alone" in table.text
    (marking,) = [clause for clause in CLAUSES if clause.place.startswith("Article 50")]
    assert marking.covered == "Nothing."


def test_findings_have_all_parts_and_the_rules_are_stated(section):
    findings = [e for e in section.all("article") if e.attributes.get("class") == "finding"]
    assert findings
    for finding in findings:
        parts = [term.text for term in finding.all("dt")]
        assert parts == ["Condition", "Criteria", "Cause", "Consequence", "Recommendation"]
        assert all(value.text for value in finding.all("dd"))
    assert all(name in section.text and rule in section.text for name, rule in RULES)


@pytest.mark.slow
def test_report_is_the_same_for_the_same_run_and_title_block(run):
    assert render_report(run, title_block=BLOCK) == render_report(run, title_block=BLOCK)


@pytest.mark.slow
def test_audit_without_a_baseline_has_findings_and_ratios_for_every_model(tmp_path):
    section = parsed(render_report(an_audit(tmp_path, "one", "two"))).by_id("sign-off")
    subjects = [e.all("h4")[0].text for e in section.all("article")]
    assert any("one" in subject for subject in subjects) and any("two" in subject for subject in subjects)
    assert {"impact-one", "impact-two"} <= {table.attributes.get("id") for table in section.all("table")}
    assert "not recorded" in section.text
