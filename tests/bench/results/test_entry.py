"""The published entries, read strictly and written again."""

import json

import pytest
from helpers.paths import ROOT

from evenhand.bench.results.entry import ENTRY_FILE, Entry

ENTRIES = sorted((ROOT / "reports" / "entries").glob(f"*/{ENTRY_FILE}"))


def test_there_are_published_entries():
    assert ENTRIES


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.parent.name)
def test_a_published_entry_round_trips_byte_for_byte(path):
    text = path.read_text(encoding="utf-8")
    assert Entry.model_validate(json.loads(text), strict=True).to_json() == text
