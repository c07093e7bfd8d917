"""Published numbers: each has a source and a protocol, and is shown as printed."""

import csv
import io

import pytest

from evenhand.reports.leaderboard import literature


def test_every_number_has_a_protocol_and_every_protocol_has_numbers():
    named = {protocol.protocol for protocol in literature.protocols()}
    assert {row.protocol for row in literature.reported()} == named
    assert all(p.source and p.about and p.year > 2020 for p in literature.protocols())
    assert all(p.link.startswith("https://") for p in literature.protocols())


def test_every_value_is_numeric_and_has_a_confidence():
    for row in literature.reported():
        float(row.value)
        assert row.confidence in literature.CONFIDENCE


def test_numbers_have_the_digits_of_their_source():
    protocol = next(p for p in literature.protocols() if p.protocol == "uce-ratios")
    table = literature.summary_table(protocol)
    shown = {row.cells[0].text: row.cells[1].text for row in table.rows}
    printed = {
        row.method: row.value
        for row in literature.reported()
        if row.protocol == "uce-ratios" and not row.concept
    }
    assert shown == printed


@pytest.mark.slow
def test_download_has_every_number_once():
    table = literature.every_table()
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(rows) == len(literature.reported())
    assert [float(row["Value"]) for row in rows] == [float(row.value) for row in literature.reported()]
