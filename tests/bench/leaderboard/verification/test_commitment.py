"""Salts are secret, committed to with the entries they are for, and never replaced."""

import json
import stat

import pytest
from helpers.report import a_result, publish

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.verification.commitment import check_commitment, commit, read_salt
from evenhand.bench.results.entry import submission_digest
from evenhand.bench.results.fresh import commitment_of


@pytest.fixture
def entry(tmp_path):
    return next(publish(tmp_path / "entries", [a_result("uce", concepts=["nurse"])]).iterdir())


@pytest.fixture
def salt(entry, tmp_path):
    commit([entry], salt=tmp_path / "salt")
    return read_salt(tmp_path / "salt")


def check(entry, salt, **changes):
    submission = submission_digest(load_entry(entry))
    check_commitment(entry, **{"salt": salt, "submission": submission, **changes})


def test_commitment_names_the_entries_and_hides_the_salt(entry, tmp_path):
    path = commit([entry], salt=tmp_path / "salt")
    text, salt = path.read_text(), (tmp_path / "salt").read_text().strip()
    assert path.parent == tmp_path / "commitments" and salt not in text
    assert json.loads(text) == {
        "commitment": commitment_of(salt),
        "entries": {entry.name: submission_digest(load_entry(entry))},
        "holdout": [],
    }
    assert stat.S_IMODE((tmp_path / "salt").stat().st_mode) == 0o600


def test_two_salts_differ_and_an_existing_one_is_kept(entry, salt, tmp_path):
    with pytest.raises(EvenhandError, match="cannot write the salt"):
        commit([entry], salt=tmp_path / "salt")
    assert read_salt(tmp_path / "salt") == salt
    commit([entry], salt=tmp_path / "other")
    assert read_salt(tmp_path / "other") != salt


def test_salt_counts_for_the_committed_entry_only(entry, salt):
    check(entry, salt)
    with pytest.raises(EvenhandError, match="as it is now"):
        check(entry, salt, submission="00" * 32)
    with pytest.raises(EvenhandError, match="no commitment to this salt"):
        check(entry, "0" * 64)


def test_forged_commitment_is_refused(entry, salt, tmp_path):
    (path,) = (tmp_path / "commitments").iterdir()
    data = json.loads(path.read_text())
    for text in ("{", "[]", json.dumps(data | {"commitment": "11" * 32}), json.dumps(data | {"more": 1})):
        path.write_text(text)
        with pytest.raises(EvenhandError) as fault:
            check(entry, salt)
        assert "\n" not in str(fault.value)


def test_held_back_judges_are_committed_to_without_their_names(entry, tmp_path):
    path = commit([entry], salt=tmp_path / "salt", holdout=["clip-weak"])
    assert "clip-weak" not in path.read_text()
    salt = read_salt(tmp_path / "salt")
    check(entry, salt, holdout=["clip-weak"])
    for other in ([], ["vit"], ["clip-weak", "vit"]):
        with pytest.raises(EvenhandError, match="other held-back judges"):
            check(entry, salt, holdout=other)


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "1" * 63, "1" * 10_000])
def test_file_that_is_no_salt_is_refused(tmp_path, text):
    (tmp_path / "salt").write_text(text)
    with pytest.raises(EvenhandError, match="not a salt"):
        read_salt(tmp_path / "salt")


def test_entries_of_several_folders_cannot_share_a_commitment(entry, tmp_path):
    other = next(publish(tmp_path / "others" / "entries", [a_result("uce", concepts=["nurse"])]).iterdir())
    with pytest.raises(EvenhandError, match="entries of one folder"):
        commit([entry, other], salt=tmp_path / "salt")
    assert not (tmp_path / "salt").exists()
