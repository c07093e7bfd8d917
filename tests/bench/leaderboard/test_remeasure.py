"""``evenhand board remeasure``: numbers follow the measurement; images, labels and verifications stay."""

import hashlib
import json
import shutil

import pytest
from helpers.entry import METHODS, change, small_entries
from helpers.verification import A_VERIFICATION

from evenhand.bench.leaderboard.check import check_entries
from evenhand.bench.leaderboard.remeasure import remeasure

BASE, MIST, RANDOM = (f"{name}@small-v1" for name in METHODS)


@pytest.fixture
def entries(tmp_path):
    return shutil.copytree(small_entries(), tmp_path / "entries")


@pytest.mark.slow
def test_current_entries_do_not_change(entries):
    before = {path: path.read_bytes() for path in entries.rglob("*") if path.is_file()}
    assert remeasure(entries) == []
    assert all(path.read_bytes() == data for path, data in before.items())


@pytest.mark.slow
def test_numbers_of_an_older_measurement_are_replaced(entries):
    text = (entries / MIST / "entry.json").read_bytes()
    change(entries / MIST, result__losses=[])
    assert check_entries(entries)[1]
    assert remeasure(entries) == [entries / MIST]
    assert (entries / MIST / "entry.json").read_bytes() == text
    assert not check_entries(entries)[1]


@pytest.mark.slow
def test_a_verification_moves_to_the_new_text_of_its_entry(entries):
    file = entries / MIST / "entry.json"
    change(entries / MIST, result__losses=[])
    verification = A_VERIFICATION | {"entry": hashlib.sha256(file.read_bytes()).hexdigest()}
    (entries / MIST / "verification.json").write_text(json.dumps(verification))
    remeasure(entries)
    valid, faults = check_entries(entries)
    assert not faults
    assert [one.outcomes.notices for one in valid if one.outcomes.notices] == [
        ("verification.json is ignored: it is not signed by a maintainer",)
    ]
