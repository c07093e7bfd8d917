"""The rows that a submission adds, removes and changes."""

import shutil

import pytest
from helpers.report import publish
from helpers.trade_off import placed

from evenhand.bench.leaderboard.check import Checked
from evenhand.bench.leaderboard.diff import board_diff


@pytest.fixture(autouse=True)
def with_tables(monkeypatch):
    """Entries count as if they had tables; those without are not ranked."""
    monkeypatch.setattr(Checked, "evidence", "recomputed")


@pytest.fixture
def published(tmp_path):
    harmful = placed("harmful", distance=0.1, lost=0.3)
    results = [placed("base", distance=0.6), placed("uce", distance=0.3), harmful]
    return publish(tmp_path / "published" / "entries", results)


def test_same_entries_have_no_difference(published):
    assert board_diff(published, published) == []


def test_added_removed_and_changed_rows_are_named_with_their_verdicts(published, tmp_path):
    submitted = shutil.copytree(published, tmp_path / "submitted" / "entries")
    shutil.rmtree(next(submitted.glob("harmful@*")))
    publish(submitted, [placed("mist", distance=0.05)])
    removed, added, changed = board_diff(published, submitted)
    assert removed.startswith("removed: harmful on example version 1: explicit fidelity")
    assert added == "added: mist on example version 1: A (1); distance 0.050; recomputed"
    assert changed.startswith(
        "changed: uce on example version 1: A (1); distance 0.300; recomputed, now B (2);"
    )
