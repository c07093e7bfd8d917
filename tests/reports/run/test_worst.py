"""Where each method does worst: the cells by ratio to the target, the concept by distance."""

import pytest
from helpers.readings import a_reading, shares_of
from helpers.report import JOINT, NAN, an_estimate

from evenhand.reports.run.worst import most_underrepresented, worst_table

TARGET = {"target": {"woman": 0.1, "man": 0.9}, "primary": "gender"}


def share(value, group, **where):
    return an_estimate("share", value, attributes="gender", group=group, **where)


def test_worst_cell_is_that_of_the_smallest_ratio_and_not_of_the_smallest_share():
    reading = a_reading("base", share(0.15, "woman"), share(0.85, "man"), **TARGET)
    name, row, target = most_underrepresented(reading, "gender")
    assert (name, row.value, target) == ("man", 0.85, pytest.approx(0.9))


def test_cell_without_a_share_is_never_the_worst():
    reading = a_reading("base", share(NAN, "woman", low=NAN, high=NAN), share(0.9, "man"), **TARGET)
    assert most_underrepresented(reading, "gender")[0] == "man"
    assert most_underrepresented(a_reading("base"), "gender") is None


def test_most_uneven_concept_is_farthest_from_its_target_on_either_side():
    rows = [
        share(value, "woman", concept=concept)
        for concept, value in (("nurse", 0.9), ("cook", 0.6), ("CEO", 0.02))
    ]
    table = worst_table([a_reading("base", *rows)], "gender")
    assert table.columns[-1] == "Most uneven concept, gender"
    assert table.rows[0].cells[-1].text == "CEO"
    assert table.rows[0].cells[-1].notes[0].startswith("woman 2.0% (")


def test_without_shares_and_concepts_there_are_no_rows():
    assert worst_table([a_reading("base")], "gender").rows == []


def test_worst_cells_are_relative_to_their_targets():
    reading = shares_of("base", one=0.5, two=0.01, three=0.2)
    row = worst_table([reading], JOINT).rows[0]
    assert row.cells[1].text == "woman × light × older"
    assert row.cells[1].notes == ("1.0% (−1.0% to 3.0%), n 1,600, target 8.3%",)
    assert row.cells[2].text == "woman × light × adult"
