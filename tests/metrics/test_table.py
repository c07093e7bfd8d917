"""Rows of the label table, and the rule that decides a label."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.metrics import rows_of

from evenhand.metrics.table import LABEL_COLUMNS, decide, hard_labels, label_rows, matrix_of


def test_label_rows_have_the_columns_of_the_label_table():
    rows = rows_of("j", ["b", "a"], "tone", [2, 3])
    assert tuple(rows.columns) == LABEL_COLUMNS
    assert rows["label"].tolist() == ["dark", ""] and rows["status"].tolist() == ["ok", "low_confidence"]
    assert rows["probabilities"][0] == pytest.approx([0.1 / 3, 0.1 / 3, 0.9, 0.1 / 3])


def test_a_tie_and_a_probability_below_one_half_are_undetermined():
    rows = np.array([[0.5, 0.5, 0.0], [0.5, 0.3, 0.2], [0.49, 0.3, 0.21], [0.1, 0.3, 0.6]])
    assert decide(rows).tolist() == [2, 0, 2, 2]
    assert decide(rows, threshold=0.4).tolist() == [2, 0, 0, 2]


def test_a_difference_of_rounding_is_a_tie():
    assert decide(np.array([[0.1 + 0.2 + 0.2, 0.5, 0], [0.5 + 1e-6, 0.5 - 1e-6, 0]])).tolist() == [2, 0]


def test_the_status_of_the_judge_is_kept_and_removes_the_label():
    sure = np.array([[0.9, 0.1, 0.0]] * 2 + [[0.4, 0.4, 0.2]])
    labels, statuses = hard_labels(sure, ["woman", "man"], status=["no_face", "ok", "ok"])
    assert (labels, statuses) == (["", "woman", ""], ["no_face", "ok", "low_confidence"])


def test_numbers_that_are_not_finite_are_an_error_of_the_image():
    row = {"judge": "j", "version": "1", "family": "f", "attribute": "gender", "groups": ("woman", "man")}
    found = label_rows(
        keys=["a", "b"], probabilities=np.array([[np.nan, 1, 0], [0, 1, 0]]), status=["ok"] * 2, **row
    )
    assert found["status"].tolist() == ["error", "ok"] and found["label"].tolist() == ["", "man"]
    assert found["probabilities"][0] == [0, 0, 1]


def test_lists_of_probabilities_become_one_array_from_either_kind_of_column():
    plain = pd.Series([[0.1, 0.9], [0.2, 0.8]])
    arrow = plain.astype(pd.ArrowDtype(pa.list_(pa.float64())))
    for column in (plain, arrow, arrow.iloc[1:]):
        assert matrix_of(column).tolist() == [[0.1, 0.9], [0.2, 0.8]][-len(column) :]
