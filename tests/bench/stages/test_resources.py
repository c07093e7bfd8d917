"""Calibration tables of a suite."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages.resources import BUNDLED, load_confusion
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS

HEADER = ",".join(CONFUSION_COLUMNS)


def test_no_calibration_is_an_empty_table():
    table = load_confusion("")
    assert table.empty and tuple(table.columns) == CONFUSION_COLUMNS


def test_a_table_is_read_with_its_counts_as_numbers(tmp_path):
    path = tmp_path / "confusion.csv"
    path.write_text(f"# made by hand\n{HEADER}\nvit,gender,woman,man,2.5\nvit,gender,man,undetermined,0\n")
    table = load_confusion(str(path))
    assert table.values.tolist() == [
        ["vit", "gender", "woman", "man", 2.5],
        ["vit", "gender", "man", "undetermined", 0.0],
    ]


@pytest.mark.parametrize("count", ["-1", "many", "nan", "inf", ""])
def test_a_count_that_is_none_is_an_error_with_its_line(tmp_path, count):
    path = tmp_path / "confusion.csv"
    path.write_text(f"{HEADER}\nvit,gender,woman,man,2\nvit,gender,woman,woman,{count}\n")
    with pytest.raises(EvenhandError, match=r"confusion\.csv:3: ") as fault:
        load_confusion(str(path))
    assert "\n" not in str(fault.value) and "count" in str(fault.value)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_tables_have_every_group_of_their_attributes(name):
    table, taxonomy = load_confusion(name), load_suite("mini").taxonomy
    panel = table[table["judge"] == "panel"]
    for attribute in ("gender", "tone", "age"):
        rows = panel[panel["attributes"] == attribute]
        assert set(rows["truth"]) == set(taxonomy[attribute])
        assert (rows.groupby("truth")["count"].sum() > 0).all()
