"""Cells: an interval and a p-value are shown only where they exist."""

import re

import pytest
from helpers.report import NAN, a_comparison, an_estimate

from evenhand.metrics.statistics.uncertainty import smallest_sign_flip
from evenhand.reports.components.tables import adjusted, compared, estimated, no_p_value
from evenhand.reports.components.wording import with_interval


def test_inflated_number_has_the_value_of_a_fair_model_instead_of_an_interval():
    row = an_estimate("deviation_ratio", 0.4, attributes="gender", low=NAN, high=NAN, floor=0.126)
    assert estimated(row).notes == ("fair model: 0.126",)
    assert with_interval(row) == "0.40 (fair model: 0.13)"
    assert estimated(row.model_copy(update={"floor": NAN})).notes == ("no interval",)


def test_p_value_is_shown_only_where_there_is_a_test():
    tested, untested = a_comparison(-0.1), a_comparison(-0.1).model_copy(update={"p": NAN})
    assert compared(tested).notes == ("−0.130 to −0.070", "p < 0.001")
    assert compared(untested).notes == ("−0.130 to −0.070",)
    assert adjusted([None, tested], concepts=4) == "; p adjusted by Holm"
    assert adjusted([None, untested], concepts=4).startswith("; no p-value")
    assert adjusted([None], concepts=4) == ""


@pytest.mark.parametrize("tests", [1, 3, 23])
def test_number_of_concepts_that_a_p_value_needs_is_that_of_the_sign_flip_test(tests):
    needed = int(re.search(r"at least (\d+) concepts", no_p_value(concepts=2, tests=tests))[1])
    assert tests * smallest_sign_flip(needed) <= 0.05 < tests * smallest_sign_flip(needed - 1)


def test_interval_of_a_difference_is_cut_where_no_difference_can_lie():
    wide = a_comparison(-0.96).model_copy(update={"low": -1.09, "high": -0.78})
    assert compared(wide).notes[0] == "−1.000 to −0.780"
    assert compared(wide).raw["low"] == -1
    unbounded = wide.model_copy(update={"metric": "preservation_distance"})
    assert compared(unbounded).notes[0] == "−1.090 to −0.780", "a change of images may exceed 1"
