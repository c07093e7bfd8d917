"""The manifest of a run folder: deterministic, complete, and a signature that only its key makes."""

import hashlib
import json
import os

import minisign
import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage import manifest as m


@pytest.fixture
def folder(tmp_path):
    for name, content in (("suite.toml", b"a"), ("results/base.json", b"b"), ("images/00/ü.png", b"\x00")):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "run" / ".lock").touch()
    return tmp_path / "run"


def test_manifest_lists_every_file_with_its_digest_and_is_deterministic(folder):
    path = m.write_manifest(folder)
    first, rows = path.read_bytes(), json.loads(path.read_text())["files"]
    assert [row["path"] for row in rows] == ["images/00/ü.png", "results/base.json", "suite.toml"]
    assert rows[2] == {"path": "suite.toml", "bytes": 1, "sha256": hashlib.sha256(b"a").hexdigest()}
    os.utime(folder / "suite.toml", (0, 0))
    assert m.write_manifest(folder).read_bytes() == first
    assert m.check_manifest(folder) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run / "suite.toml").write_text("c"), "changed: suite.toml"),
        (lambda run: (run / "suite.toml").unlink(), "missing: suite.toml"),
        (lambda run: (run / "other").touch(), "not in the manifest: other"),
        (lambda run: (run / "other.tmp").touch(), "not in the manifest: other.tmp"),
        (
            lambda run: (run / "results/other.json").symlink_to("/etc/hostname"),
            "not in the manifest: results/",
        ),
    ],
)
def test_any_difference_is_named(folder, change, message):
    m.write_manifest(folder)
    change(folder)
    with pytest.raises(EvenhandError, match=message):
        m.check_manifest(folder)


def test_link_in_the_place_of_a_file_is_not_the_file(folder, tmp_path):
    m.write_manifest(folder)
    (tmp_path / "same").write_bytes(b"a")
    (folder / "suite.toml").unlink()
    (folder / "suite.toml").symlink_to(tmp_path / "same")
    with pytest.raises(EvenhandError, match=r"missing: suite\.toml"):
        m.check_manifest(folder)


def test_folder_with_a_link_has_no_manifest(folder, tmp_path):
    (folder / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(EvenhandError, match="elsewhere is a link"):
        m.write_manifest(folder)


def test_what_a_killed_process_left_is_not_in_the_manifest(folder):
    (folder / ".suite.toml.0123abcd.tmp").touch()
    m.write_manifest(folder)
    assert m.check_manifest(folder) == 3


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"files": [{"path": 1, "sha256": "x"}]}', '{"files": [{"path": 3}]}', "not json"]
)
def test_damaged_manifest_is_an_error_of_one_line(folder, content):
    (folder / m.MANIFEST_FILE).write_text(content)
    with pytest.raises(EvenhandError) as fault:
        m.check_manifest(folder)
    said = str(fault.value)
    assert "\n" not in said
    assert said.endswith(f"if you made it and trust its files, run `evenhand report {folder} --manifest`")
    m.write_manifest(folder)
    assert m.check_manifest(folder) == 3


def test_missing_manifest_is_an_error_that_says_how_to_write_it(folder):
    with pytest.raises(EvenhandError, match="--manifest"):
        m.check_manifest(folder)


def test_signature_is_valid_for_its_key_and_manifest_only(folder, keys, tmp_path):
    secret, public = keys
    path = m.write_manifest(folder)
    m.sign(path, key=secret)
    m.check_signature(path, key=public)
    other = minisign.KeyPair.generate()
    (tmp_path / "other.pub").write_bytes(bytes(other.public_key))
    with pytest.raises(EvenhandError, match="not valid"):
        m.check_signature(path, key=tmp_path / "other.pub")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(EvenhandError, match="not valid"):
        m.check_signature(path, key=public)


def test_new_manifest_has_no_old_signature(folder, keys):
    m.sign(m.write_manifest(folder), key=keys[0])
    m.write_manifest(folder)
    assert not (folder / m.SIGNATURE_FILE).exists()


def test_key_with_a_password_needs_it(folder, tmp_path):
    pair = minisign.KeyPair.generate()
    pair.secret_key.encrypt("secret", opslimit=32768, memlimit=16777216)
    (tmp_path / "key").write_bytes(bytes(pair.secret_key))
    path = m.write_manifest(folder)
    assert m.has_password(tmp_path / "key")
    with pytest.raises(EvenhandError, match="has a password"):
        m.sign(path, key=tmp_path / "key")
    with pytest.raises(EvenhandError, match="cannot sign"):
        m.sign(path, key=tmp_path / "key", password="wrong")
    assert m.sign(path, key=tmp_path / "key", password="secret").is_file()


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_key(tmp_path, keys):
    with pytest.raises(FileNotFoundError, match=r"other\.json"):
        m.sign(tmp_path / "other.json", key=keys[0])


def test_file_that_is_no_key_is_an_error(folder, tmp_path):
    (tmp_path / "key").write_text("nothing")
    path = m.write_manifest(folder)
    with pytest.raises(EvenhandError, match="give a minisign secret key"):
        m.sign(path, key=tmp_path / "key")
    with pytest.raises(EvenhandError, match="cannot read the public key"):
        m.check_signature(path, key=tmp_path / "key")
