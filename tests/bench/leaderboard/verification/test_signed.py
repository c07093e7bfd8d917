"""Outcomes of verifications count only if a maintainer signed them for exactly this entry."""

import hashlib
import json
import shutil

import minisign
import pytest
from helpers.fresh import a_fresh
from helpers.report import a_result, publish
from helpers.verification import A_VERIFICATION

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.verification.commitment import commit, read_salt
from evenhand.bench.leaderboard.verification.signed import (
    MAX_SIGNATURE_BYTES,
    Outcomes,
    maintainer_keys,
    read_outcomes,
    sign_outcome,
)
from evenhand.bench.results.entry import submission_digest
from evenhand.bench.storage import manifest


@pytest.fixture
def entries(tmp_path):
    return publish(tmp_path / "entries", [a_result(name, concepts=["nurse"]) for name in ("base", "uce")])


@pytest.fixture
def uce(entries):
    return next(entries.glob("uce@*"))


def verified(path):
    """Write the outcome of a regeneration that agreed."""
    found = A_VERIFICATION | {"entry": hashlib.sha256((path / "entry.json").read_bytes()).hexdigest()}
    (path / "verification.json").write_text(json.dumps(found))
    return path


def drawn(path, tmp_path, **changes):
    """Write an outcome on fresh noise, with the commitment that it needs."""
    if not (tmp_path / "salt").exists():
        commit([path], salt=tmp_path / "salt")
    entry = load_entry(path)
    fields = {"salt": read_salt(tmp_path / "salt"), "submission": submission_digest(entry)} | changes
    found = a_fresh(entry.result, a_result("base", concepts=["nurse"]), **fields)
    (path / "fresh.json").write_text(found.model_dump_json())
    return path


def outcomes(path, *keys):
    return read_outcomes(path, load_entry(path), keys=keys)


def test_without_a_file_there_is_nothing_to_count(uce, keys):
    assert outcomes(uce, keys[1]) == Outcomes()


def test_signed_outcomes_of_this_entry_count(uce, tmp_path, keys):
    drawn(verified(uce), tmp_path)
    for name in ("verification.json", "fresh.json"):
        assert sign_outcome(uce / name, key=keys[0]) == uce / f"{name}.minisig"
    found = outcomes(uce, keys[1])
    assert found.verification is not None and found.fresh is not None and found.notices == ()


def test_unsigned_outcomes_count_for_nothing(uce, tmp_path, keys):
    drawn(verified(uce), tmp_path)
    found = outcomes(uce, keys[1])
    assert (found.verification, found.fresh) == (None, None)
    assert found.notices == (
        "verification.json is ignored: it is not signed by a maintainer",
        "fresh.json is ignored: it is not signed by a maintainer",
    )


def test_signature_by_anybody_else_counts_for_nothing(uce, tmp_path, keys):
    drawn(verified(uce), tmp_path)
    (tmp_path / "mine").write_bytes(bytes(minisign.KeyPair.generate().secret_key))
    for name in ("verification.json", "fresh.json"):
        sign_outcome(uce / name, key=tmp_path / "mine")
    found = outcomes(uce, keys[1])
    assert (found.verification, found.fresh) == (None, None)
    assert all("not that of a maintainer" in notice for notice in found.notices)


def test_outcome_that_was_changed_after_it_was_signed_counts_for_nothing(uce, tmp_path, keys):
    sign_outcome(drawn(uce, tmp_path) / "fresh.json", key=keys[0])
    file = uce / "fresh.json"
    file.write_text(file.read_text().replace('"images":1674,"planned":1674', '"images":9,"planned":9'))
    assert outcomes(uce, keys[1]).fresh is None


def test_copied_outcome_counts_for_nothing_even_with_its_signature(entries, uce, tmp_path, keys):
    sign_outcome(drawn(uce, tmp_path) / "fresh.json", key=keys[0])
    base = next(entries.glob("base@*"))
    for name in ("fresh.json", "fresh.json.minisig"):
        shutil.copy(uce / name, base / name)
    found = outcomes(base, keys[1])
    assert found.fresh is None
    assert found.notices == ("fresh.json is ignored: it is of another submission",)


def test_copied_verification_is_an_error_because_it_names_another_entry(entries, uce, keys):
    sign_outcome(verified(uce) / "verification.json", key=keys[0])
    base = next(entries.glob("base@*"))
    for name in ("verification.json", "verification.json.minisig"):
        shutil.copy(uce / name, base / name)
    with pytest.raises(EvenhandError, match="of another version of the entry"):
        outcomes(base, keys[1])


def test_outcome_without_a_published_commitment_counts_for_nothing(uce, tmp_path, keys):
    sign_outcome(drawn(uce, tmp_path) / "fresh.json", key=keys[0])
    shutil.rmtree(tmp_path / "commitments")
    found = outcomes(uce, keys[1])
    assert found.fresh is None and "no commitment to this salt" in found.notices[0]


def test_without_a_known_key_the_notice_says_how_to_name_them(uce, keys):
    sign_outcome(verified(uce) / "verification.json", key=keys[0])
    assert "give their folder with --maintainers" in outcomes(uce).notices[0]


@pytest.mark.parametrize("size", [0, 10, MAX_SIGNATURE_BYTES + 1])
def test_damaged_signature_counts_for_nothing(uce, keys, size):
    verified(uce)
    (uce / "verification.json.minisig").write_bytes(b"x" * size)
    found = outcomes(uce, keys[1])
    assert found.verification is None and len(found.notices) == 1


def test_a_missing_library_is_an_error_and_not_a_missing_signature(uce, keys, monkeypatch):
    sign_outcome(verified(uce) / "verification.json", key=keys[0])

    def missing():
        raise EvenhandError("install it") from ImportError()

    monkeypatch.setattr(manifest, "_library", missing)
    with pytest.raises(EvenhandError, match="install it"):
        outcomes(uce, keys[1])


def test_signing_an_outcome_leaves_one_that_the_submitter_put_beside_it_unsigned(uce, tmp_path, keys):
    drawn(verified(uce), tmp_path)
    sign_outcome(uce / "verification.json", key=keys[0])
    found = outcomes(uce, keys[1])
    assert found.verification is not None
    assert found.fresh is None, "a forged outcome must not be signed along with a true one"


@pytest.mark.parametrize("name", ["", "entry.json", "fresh.json"])
def test_only_outcomes_can_be_signed(uce, keys, name):
    with pytest.raises(EvenhandError, match=r"not an outcome; give the verification\.json or fresh\.json"):
        sign_outcome(uce / name, key=keys[0])


@pytest.mark.parametrize("changes", [{"submission": "0" * 64}, {"salt": "0" * 64}])
def test_outcome_of_another_submission_or_without_commitment_is_not_signed(uce, tmp_path, keys, changes):
    drawn(uce, tmp_path, **changes)
    with pytest.raises(EvenhandError, match="verify the entry again"):
        sign_outcome(uce / "fresh.json", key=keys[0])


def test_verification_of_another_version_of_the_entry_is_not_signed(uce, keys):
    file = verified(uce) / "verification.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"entry": "0" * 64}))
    with pytest.raises(EvenhandError, match="of another version of the entry"):
        sign_outcome(file, key=keys[0])


def test_keys_are_the_pub_files_of_the_folder(tmp_path):
    for name in ("b.pub", "a.pub", "README.md"):
        (tmp_path / name).touch()
    assert maintainer_keys(tmp_path) == (tmp_path / "a.pub", tmp_path / "b.pub")
    assert maintainer_keys(tmp_path / "nowhere") == ()
