"""The dependence of a method's result on its steering judge and on single judges."""

import pytest
from helpers.report import CONCEPTS, a_run, parsed

from evenhand.bench.leaderboard.measure import published
from evenhand.bench.report import render_report
from evenhand.bench.results.lookup import Reading, primary_key
from evenhand.bench.results.result import SpreadRow, SteeringRow
from evenhand.reports.run.judges import dependence_table

ABOUT = {"metric": "rms_delta", "kind": "neutral", "unit": "1"}


def a_judged_run(*, dependent):
    """``mist`` is fairer by 0.21 to its steering judge, and the single judges differ by 0.4."""
    run = a_run(methods=["base", "mist"], concepts=CONCEPTS[:3])
    base, mist = run.results
    key = primary_key([Reading.of(result) for result in run.results])
    gap = SteeringRow(
        **ABOUT,
        attributes=key.attributes,
        judge="clip-xs",
        panel=0.4,
        steering=0.19,
        value=0.21,
        low=0.1,
        high=0.3,
        n=90,
    )
    spread = SpreadRow(
        **ABOUT,
        attributes=key.attributes,
        corrected=key.corrected,
        value=0.4,
        lowest="vit",
        highest="clip-s",
        judges=3,
        judge_dependent=dependent,
    )
    other = gap.model_copy(update={"metric": "share", "group": "woman"})
    judged = mist.model_copy(update={"steering": [gap, other], "spreads": [spread]})
    untouched = base.model_copy(update={"spreads": [spread.model_copy(update={"judge_dependent": False})]})
    return run.model_copy(update={"results": [untouched, judged]})


def cells(run):
    readings = [Reading.of(result) for result in run.results]
    rows = dependence_table(readings, primary_key(readings)).rows
    return {row.cells[0].text: row.cells[1:] for row in rows}


def test_gap_to_the_steering_judge_has_its_interval():
    gap = cells(a_judged_run(dependent=False))["mist"][0]
    assert gap.text == "0.210"
    assert gap.notes == ("0.100 to 0.300", "clip-xs, uncorrected", "n 90")


def test_direction_that_depends_on_the_judge_is_an_alert():
    for dependent, kind in ((True, "alert"), (False, "text")):
        verdict = cells(a_judged_run(dependent=dependent))["mist"][2]
        assert verdict.kind == kind


def test_baseline_is_not_compared():
    gap, spread, verdict = cells(a_judged_run(dependent=True))["base"]
    assert gap.text == "no steering judge"
    assert spread.text == "0.400"
    assert verdict.kind == "missing"


@pytest.mark.slow
def test_page_shows_the_table_and_its_csv():
    page = parsed(render_report(a_judged_run(dependent=True)))
    assert "depends on the judge" in page.text
    assert [e for e in page.all() if e.attributes.get("download") == "dependence.csv"]


def test_entry_keeps_the_rows_of_the_primary_metric():
    kept = published(a_judged_run(dependent=True).results[1])
    assert [row.metric for row in kept.steering] == ["rms_delta"]
    assert [row.metric for row in kept.spreads] == ["rms_delta"]
