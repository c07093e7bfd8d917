"""With many methods a page keeps what matters most of the estimates, and says what it left out."""

import csv
import io

import pytest
from helpers.report import a_result

from evenhand.bench.results.lookup import Reading
from evenhand.reports.run import records
from evenhand.reports.run.records import estimates_download


def result_with_both():
    """A result whose single concepts have an uncorrected estimate and, for `share`, a corrected one too."""
    result = a_result("uce")
    corrected = [
        row.model_copy(update={"corrected": True})
        for row in result.estimates
        if row.concept and row.metric == "share"
    ]
    return result.model_copy(update={"estimates": [*result.estimates, *corrected]})


READINGS = [Reading.of(result_with_both())]


def told(most, monkeypatch):
    monkeypatch.setattr(records, "MOST_ROWS", most)
    download = estimates_download(READINGS)
    return download.title, list(csv.DictReader(io.StringIO(download.csv)))


@pytest.fixture
def every(monkeypatch):
    title, rows = told(10**6, monkeypatch)
    assert title == "Every estimate"
    return rows


def test_as_many_as_a_page_bears_are_all_there(every, monkeypatch):
    assert told(len(every), monkeypatch) == ("Every estimate", every)


def test_one_more_and_single_concepts_have_the_corrected_estimate_alone(every, monkeypatch):
    title, rows = told(len(every) - 1, monkeypatch)
    assert "of single concepts those with the judges’ error corrected" in title and "results" in title
    gone = [row for row in every if row not in rows]
    assert gone and {(row["metric"], row["corrected"]) for row in gone} == {("share", "false")}
    assert all(row["concept"] for row in gone)
    assert {row["metric"] for row in rows if row["concept"] and row["corrected"] == "false"} == {"delta_tv"}


def test_too_many_even_then_and_there_are_none_of_single_concepts(every, monkeypatch):
    title, rows = told(0, monkeypatch)
    assert "over all concepts" in title and "results" in title
    assert rows == [row for row in every if not row["concept"]]
