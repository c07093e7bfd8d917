"""Cells: an interval and a p-value are shown only where they exist."""

from helpers.report import NAN, a_comparison, an_estimate

from evenhand.reports.components.tables import adjusted, compared, estimated
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
    assert adjusted([None, tested]) == "; p adjusted by Holm"
    assert adjusted([None, untested]).startswith("; no p-value")
