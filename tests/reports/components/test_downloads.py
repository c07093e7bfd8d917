"""CSV downloads: numbers round-trip, and texts are safe in a spreadsheet."""

import base64
import csv
import io
import zipfile

import pytest
from helpers.report import an_estimate

from evenhand.reports.components.downloads import LONG, Download, write_csv
from evenhand.reports.components.tables import Row, Table, counted, estimated, missing, text


def read(table_text):
    return list(csv.reader(io.StringIO(table_text)))


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_text_that_looks_like_a_formula_is_quoted(formula):
    assert read(write_csv([[formula]])) == [["'" + formula]]


def test_numbers_keep_their_sign():
    assert read(write_csv([[-0.25, -3, 0.1234567]])) == [["-0.25", "-3", "0.123457"]]


def test_commas_quotes_and_line_breaks_round_trip():
    words = 'a, "b"\nc'
    assert read(write_csv([[words]])) == [[words]]


def test_estimate_has_columns_for_value_interval_n_and_floor():
    table = Table(
        "t", "T", ["Method", "Distance"], [Row([text("base"), estimated(an_estimate("rms_delta", 0.5))])]
    )
    head, body = read(table.to_csv())
    assert head == ["Method", "Distance", "Distance low", "Distance high", "Distance n", "Distance floor"]
    assert body == ["base", "0.5", "0.465", "0.535", "1600", "nan"]


def test_missing_value_is_an_empty_field():
    rows = [Row([text("a"), estimated(an_estimate("rms_delta", 0.0))]), Row([text("b"), missing()])]
    assert read(Table("t", "T", ["M", "D"], rows).to_csv())[2] == ["b", "", "", "", "", ""]


def test_link_contains_the_whole_table():
    table = Table("t", "T", ["Method", "n"], [Row([text("ü"), counted(1234)])])
    head, content = table.download.uri.split(",", 1)
    assert (table.download.file, head) == ("t.csv", "data:text/csv;charset=utf-8;base64")
    assert read(base64.b64decode(content).decode()) == [["Method", "n"], ["ü", "1234"]]


def test_long_table_is_saved_as_a_deterministic_zip():
    table = write_csv([["n"], *([f"ü {number}"] for number in range(LONG))])
    saved = Download("long", "Long", table)
    head, content = saved.uri.split(",", 1)
    assert (saved.file, head, saved.rows) == ("long.zip", "data:application/zip;base64", LONG)
    assert saved.uri == Download("long", "Long", table).uri
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(content))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {"long.csv": table}


def test_wide_table_is_printed_in_pieces_with_every_column_once():
    names = [f"method {number}" for number in range(17)]
    rows = [Row([text("Distance"), *(counted(place) for place in range(17))], "Bias", "0 is even")]
    table = Table("t", "T", ["Measure", *names], rows)
    assert [len(sheet.columns) for sheet in table.sheets] == [6, 7, 7]
    assert [name for sheet in table.sheets for name in sheet.columns[1:]] == names
    assert [cell.text for sheet in table.sheets for cell in sheet.rows[0].cells[1:]] == [*map(str, range(17))]
    assert {(sheet.rows[0].group, sheet.rows[0].about) for sheet in table.sheets} == {("Bias", "0 is even")}
    assert Table("t", "T", ["Measure", *names[:3]], []).sheets == []
