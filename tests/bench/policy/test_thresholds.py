"""Thresholds: met or not met only where the whole interval says so."""

import math

import pytest
from helpers.report import a_result, an_estimate
from pydantic import ValidationError

from evenhand.bench.policy.thresholds import check
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.title_block import Threshold


def verdict(low, high, **limit):
    row = an_estimate("rms_delta", (low + high) / 2, attributes="gender", low=low, high=high)
    reading = Reading.of(a_result("base").model_copy(update={"estimates": [row]}))
    (found,) = check([Threshold(metric="rms_delta", attributes="gender", **limit)], [reading])
    return found.verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict_at_most", "verdict_at_least"),
    [
        (0.1, 0.3, "met", "undecided"),
        (0.1, 0.31, "undecided", "undecided"),
        (0.31, 0.5, "not met", "met"),
        (math.nan, math.nan, "not measured", "not measured"),
    ],
)
def test_verdict_follows_the_whole_interval(low, high, verdict_at_most, verdict_at_least):
    assert verdict(low, high, at_most=0.3) == verdict_at_most
    assert verdict(low, high, at_least=0.3) == verdict_at_least


def test_value_on_the_limit_is_met_from_both_sides():
    assert verdict(0.3, 0.3, at_most=0.3) == verdict(0.3, 0.3, at_least=0.3) == "met"


def test_number_without_an_interval_decides_nothing():
    row = an_estimate("deviation_ratio", 0.1, attributes="gender", low=math.nan, high=math.nan)
    reading = Reading.of(a_result("base").model_copy(update={"estimates": [row]}))
    (found,) = check([Threshold(metric="deviation_ratio", attributes="gender", at_most=0.3)], [reading])
    assert found.verdict == "undecided"


def test_corrected_number_is_checked_where_there_is_one():
    rows = [
        an_estimate("rms_delta", 0.2, attributes="gender", corrected=corrected, low=low, high=high)
        for corrected, low, high in ((False, 0.1, 0.2), (True, 0.4, 0.5))
    ]
    reading = Reading.of(a_result("base").model_copy(update={"estimates": rows}))
    (found,) = check([Threshold(metric="rms_delta", attributes="gender", at_most=0.3)], [reading])
    assert found.row.corrected and found.verdict == "not met"


def test_threshold_of_the_worst_group_needs_all_groups():
    """Women have the lowest value, and men, of whom there are fewer images, the lowest end."""
    groups = {"": (0.97, 0.9, 1.0), "woman": (0.97, 0.96, 0.98), "man": (0.98, 0.91, 1.0)}
    rows = [
        an_estimate(
            "explicit_fidelity", value, attributes="gender", kind="explicit", group=group, low=low, high=high
        )
        for group, (value, low, high) in groups.items()
    ]
    reading = Reading.of(a_result("base").model_copy(update={"estimates": rows}))
    limit = Threshold(metric="explicit_fidelity", attributes="gender", kind="explicit", at_least=0.95)
    (found,) = check([limit], [reading])
    assert found.verdict == "undecided"
    assert (found.row.group, found.row.low, found.row.high) == ("woman", 0.9, 1.0)


@pytest.mark.parametrize("limits", [{}, {"at_most": 0.3, "at_least": 0.1}])
def test_threshold_has_exactly_one_limit(limits):
    with pytest.raises(ValidationError, match="exactly one of at_most and at_least"):
        Threshold(metric="rms_delta", **limits)
