"""The tables of changed labels: what they count, order and leave to the download."""

import csv
import io

import pytest
from helpers.comparisons import compared, flips
from helpers.report import NAN

from evenhand.reports.comparison.flips import (
    SHOWN_FLIPS,
    concept_flips_table,
    flip_records,
    flips_table,
    moves_of,
)

CHANGES = [[70, 8], [12, 10]]


def texts(table):
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_changes_are_listed_by_direction_the_most_frequent_first():
    assert moves_of(flips("mist", CHANGES)) == ["man to woman 12", "woman to man 8"]
    assert moves_of(flips("mist", [[5, 0], [0, 5]])) == []


def test_table_has_the_share_of_images_that_differ_by_pair_and_attribute():
    rows = [flips("mist", CHANGES), flips("mist", [[0, 1], [0, 0]], concept="nurse")]
    table = flips_table(compared(flips=rows))
    assert texts(table) == [["gender", "20.0%", "man to woman 12; woman to man 8", "0.020"]]
    assert table.rows[0].group == "mist vs. base"
    assert table.rows[0].cells[1].notes == ("15.0% to 25.0%", "n 100")


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (flips("mist", [[0, 0], [0, 0]]), ["no image has labels on both sides", "not measured"]),
        (flips("mist", [[5, 0], [0, 5]], p=NAN, p_adjusted=NAN), ["none", "no change"]),
    ],
    ids=["no labels", "no change"],
)
def test_row_without_a_test_says_why(row, shown):
    assert texts(flips_table(compared(flips=[row])))[0][2:] == shown


def test_concepts_are_ordered_by_their_change_and_those_without_images_are_left_out():
    rows = [
        flips("mist", table, concept=concept)
        for concept, table in (
            ("cook", [[9, 1], [0, 0]]),
            ("CEO", [[0, 0], [0, 0]]),
            ("nurse", [[5, 5], [0, 0]]),
        )
    ]
    table = concept_flips_table(compared(flips=[*rows, flips("mist", CHANGES)]))
    assert [row[0] for row in texts(table)] == ["nurse: gender", "cook: gender"]


def test_only_the_largest_changes_are_on_the_page_and_the_table_says_so():
    rows = [flips("mist", [[99 - n, n], [0, 0]], concept=f"job {n}") for n in range(SHOWN_FLIPS + 1)]
    table = concept_flips_table(compared(flips=rows))
    assert len(table.rows) == SHOWN_FLIPS and "job 0: gender" not in {row[0] for row in texts(table)}
    assert f"The {SHOWN_FLIPS} largest changes of {SHOWN_FLIPS + 1}; the download has all." in table.about
    assert "largest" not in concept_flips_table(compared(flips=rows[1:])).about


def test_download_has_a_row_per_pair_of_groups():
    download = flip_records(compared(flips=[flips("mist", CHANGES, concept="nurse")]))
    rows = list(csv.DictReader(io.StringIO(download.csv)))
    assert [(row["from"], row["to"], row["images"]) for row in rows] == [
        ("woman", "woman", "70"),
        ("woman", "man", "8"),
        ("man", "woman", "12"),
        ("man", "man", "10"),
    ]
    assert {row["concept"] for row in rows} == {"nurse"}
