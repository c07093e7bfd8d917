"""Numbers that others have published: every one has a source and a protocol, and is shown as printed."""

import csv
import io

from evenhand.reports.leaderboard import literature


def test_every_number_has_a_protocol_with_a_source_and_every_protocol_has_numbers():
    named = {protocol.protocol for protocol in literature.protocols()}
    assert {row.protocol for row in literature.reported()} == named
    assert all(p.source and p.about and p.year > 2020 for p in literature.protocols())
    assert all(p.link.startswith("https://") for p in literature.protocols())


def test_a_number_is_a_number_and_says_where_it_was_read():
    for row in literature.reported():
        float(row.value)
        assert row.confidence in literature.CONFIDENCE


def test_a_number_is_shown_with_the_digits_of_its_source():
    protocol = next(p for p in literature.protocols() if p.protocol == "uce-ratios")
    table = literature.summary_table(protocol)
    shown = {row.cells[0].text: row.cells[1].text for row in table.rows}
    printed = {
        row.method: row.value
        for row in literature.reported()
        if row.protocol == "uce-ratios" and not row.concept
    }
    assert shown == printed


def test_every_number_is_in_the_download_once():
    table = literature.every_table()
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(rows) == len(literature.reported())
    assert [float(row["Value"]) for row in rows] == [float(row.value) for row in literature.reported()]
