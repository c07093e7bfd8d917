"""The download of estimates: what it leaves out where there are too many."""

import csv
import io

import pytest
from helpers.report import a_result

from evenhand.bench.results.lookup import Reading
from evenhand.reports.run import records
from evenhand.reports.run.records import estimates_download


def result_with_both():
    """A result whose single concepts have uncorrected estimates and, for ``share``, corrected ones too."""
    result = a_result("uce")
    corrected = [
        row.model_copy(update={"corrected": True})
        for row in result.estimates
        if row.concept and row.metric == "share"
    ]
    return result.model_copy(update={"estimates": [*result.estimates, *corrected]})


READINGS = [Reading.of(result_with_both())]


def downloaded(most, monkeypatch):
    monkeypatch.setattr(records, "MAX_ROWS", most)
    download = estimates_download(READINGS)
    return download.title, list(csv.DictReader(io.StringIO(download.csv)))


@pytest.fixture
def every(monkeypatch):
    title, rows = downloaded(10**6, monkeypatch)
    assert title == "Every estimate"
    return rows


def test_all_estimates_are_kept_up_to_the_limit(every, monkeypatch):
    assert downloaded(len(every), monkeypatch) == ("Every estimate", every)


def test_above_the_limit_single_concepts_keep_only_corrected_estimates(every, monkeypatch):
    title, rows = downloaded(len(every) - 1, monkeypatch)
    assert "for single concepts only those corrected for judge error" in title and "results" in title
    gone = [row for row in every if row not in rows]
    assert gone and {(row["metric"], row["corrected"]) for row in gone} == {("share", "false")}
    assert all(row["concept"] for row in gone)
    assert {row["metric"] for row in rows if row["concept"] and row["corrected"] == "false"} == {
        "excess_agreement"
    }


def test_far_above_the_limit_estimates_of_single_concepts_are_left_out(every, monkeypatch):
    title, rows = downloaded(0, monkeypatch)
    assert "over all concepts" in title and "results" in title
    assert rows == [row for row in every if not row["concept"]]
