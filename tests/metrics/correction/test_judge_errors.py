"""The judges' error rates: a share with its interval for every true group and label."""

import math

import pandas as pd
import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS
from evenhand.metrics.correction.judge_errors import judge_errors

TAXONOMY = {"gender": ("woman", "man"), "tone": ("light", "dark")}


def counted(*rows):
    return pd.DataFrame(rows, columns=list(CONFUSION_COLUMNS))


GENDER = [
    ("a", "gender", "woman", "woman", 9),
    ("a", "gender", "woman", "man", 1),
    ("a", "gender", "man", "man", 16),
    ("a", "gender", "man", "undetermined", 4),
]


def test_every_truth_has_every_label_and_its_shares_add_up_to_one():
    found = judge_errors(counted(*GENDER), judges=["a"], taxonomy=TAXONOMY)
    assert [(row.truth, row.label, row.value, row.n) for row in found] == [
        ("woman", "woman", 0.9, 10),
        ("woman", "man", 0.1, 10),
        ("woman", "undetermined", 0.0, 10),
        ("man", "woman", 0.0, 20),
        ("man", "man", 0.8, 20),
        ("man", "undetermined", 0.2, 20),
    ]


def test_the_intervals_are_wilson_intervals():
    first = judge_errors(counted(*GENDER), judges=["a"], taxonomy=TAXONOMY)[0]
    z, p, n = 1.959964, 0.9, 10
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (first.low, first.high) == pytest.approx((middle - half, middle + half), abs=1e-5)


def test_a_group_without_anchors_has_rows_without_a_value():
    found = judge_errors(counted(*GENDER[:2]), judges=["a"], taxonomy=TAXONOMY)
    missing = [row for row in found if row.truth == "man"]
    assert len(missing) == 3
    assert all(row.n == 0 and math.isnan(row.value + row.low + row.high) for row in missing)


def test_judges_outside_the_study_and_joint_attributes_are_left_out():
    strange = ("b", "gender", "woman", "man", 5)
    joint = ("a", "gender*tone", "woman*light", "man*light", 5)
    found = judge_errors(counted(*GENDER, strange, joint), judges=["a"], taxonomy=TAXONOMY)
    assert {(row.judge, row.attribute) for row in found} == {("a", "gender")}


def test_without_a_table_there_are_no_rows():
    assert judge_errors(counted(), judges=["a"], taxonomy=TAXONOMY) == []


def test_a_group_outside_the_taxonomy_is_an_error():
    with pytest.raises(EvenhandError, match="'robot'"):
        judge_errors(counted(("a", "gender", "robot", "man", 1)), judges=["a"], taxonomy=TAXONOMY)
