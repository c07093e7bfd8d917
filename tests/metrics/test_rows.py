"""Rows of a measurement: numbers as written in a result, and counts that add up."""

import json
import math

import pytest
from pydantic import ValidationError

from evenhand.metrics.rows import (
    ComparisonRow,
    CorrectionCheck,
    Coverage,
    CoverageRow,
    DifferenceRow,
    EstimateRow,
)

ESTIMATE = {
    "metric": "rms_delta",
    "attributes": "gender",
    "concept": "",
    "kind": "neutral",
    "judge": "panel",
    "corrected": False,
    "value": 0.1234567891234,
    "low": math.nan,
    "high": math.inf,
    "n": 10,
    "floor": -math.inf,
    "unit": "1",
}


def test_numbers_have_nine_digits_and_missing_ones_are_words():
    stored = json.loads(EstimateRow(**ESTIMATE).model_dump_json())
    assert (stored["value"], stored["low"], stored["high"], stored["floor"]) == (
        0.123456789,
        "nan",
        "inf",
        "-inf",
    )


def test_a_stored_row_reads_as_it_was_written():
    stored = EstimateRow(**ESTIMATE).model_dump_json()
    again = EstimateRow.model_validate_json(stored)
    assert again.model_dump_json() == stored
    assert math.isnan(again.low) and again.high == math.inf == -again.floor


def test_unknown_fields_and_other_words_for_numbers_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        EstimateRow(**ESTIMATE, mood="good")
    with pytest.raises(ValidationError, match="value"):
        EstimateRow(**ESTIMATE | {"value": "many"})


def test_a_comparison_row_keeps_the_adjusted_p_value():
    given = {name: ESTIMATE[name] for name in ("metric", "attributes", "kind", "judge", "corrected", "unit")}
    row = DifferenceRow(
        label="mist", against="base", value=-1, low=-2, high=0, n=3, p=0.01, p_holm=0.04, **given
    )
    kept = ComparisonRow.of(row)
    assert (kept.p, kept.against, kept.value) == (0.04, "base", -1) and "label" not in kept.model_fields_set


def test_coverage_must_add_up():
    row = {"judge": "a", "attribute": "gender", "kind": "neutral", "images": 3, "ok": 1}
    assert CoverageRow(**row, undetermined={"no_face": 2}).images == 3
    with pytest.raises(ValidationError, match="coverage of a/gender does not add up"):
        CoverageRow(**row, undetermined={"no_face": 1})
    with pytest.raises(ValidationError, match=r"planned != made \+ failed"):
        Coverage(planned=3, made=1, failed={"error": 1}, rows=[])


def test_a_check_of_the_correction_names_whose_images_people_labelled():
    assert CorrectionCheck(labelled={"base": 0}, tests=[]).labelled == {"base": 0}
    with pytest.raises(ValidationError, match="labelled"):
        CorrectionCheck(labelled={}, tests=[])


def test_a_notebook_shows_numbers_with_four_digits_and_escapes_texts():
    shown = EstimateRow(**ESTIMATE | {"judge": "<b>"})._repr_html_()
    assert "<tr><th>value</th><td>0.1235</td></tr>" in shown and "&lt;b&gt;" in shown
    assert "concept" not in shown  # empty texts are left out
