"""Atomic writes, file names and the lock of a run folder."""

import subprocess
import sys

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.files import folder_name, locked, remove_temporary_files, write_atomically


def test_a_second_process_is_rejected_with_one_sentence(tmp_path):
    with (
        locked(tmp_path / "run"),
        pytest.raises(EvenhandError, match="in use by another process"),
        locked(tmp_path / "run"),
    ):
        pass


def test_a_folder_is_free_again_after_its_lock(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "run"):
            pass


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied"), RuntimeError("no locks here")])
def test_a_folder_that_cannot_be_locked_is_rejected_with_one_sentence(tmp_path, monkeypatch, fault):
    def refuse(self):
        raise fault

    monkeypatch.setattr("evenhand.bench.storage.files.FileLock.acquire", refuse)
    with pytest.raises(EvenhandError, match=r"cannot be locked \(.+\); choose an --out"), locked(tmp_path):
        pass


def test_locks_need_no_module_of_one_operating_system():
    code = "import sys; sys.modules['fcntl'] = None; import evenhand.bench.storage.files"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_write_creates_its_folder_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    for text in (b"first", b"second"):
        write_atomically(path, text)
        assert path.read_bytes() == text
    assert [each.name for each in path.parent.iterdir()] == ["file.txt"]


def test_a_failed_write_keeps_the_file_and_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thing").touch()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", b"text")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_only_temporary_files_of_evenhand_are_removed(tmp_path):
    left = tmp_path / "tables" / ".labels.parquet.0a1b2c3d.tmp"
    others = [tmp_path / name for name in ("mine.tmp", ".mine.tmp", ".lock", ".a.0a1b2c3.tmp")]
    left.parent.mkdir()
    for path in (left, *others):
        path.touch()
    remove_temporary_files(tmp_path)
    assert not left.exists() and all(path.exists() for path in others)


def test_plain_labels_are_their_own_names_and_others_stay_distinct():
    assert folder_name("mist-1.0_b") == "mist-1.0_b"
    names = [folder_name(label) for label in ("mist:a=1", "mist:a=1,b=2", "mist a=1", "mist/a=1")]
    assert len(set(names)) == 4
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-") for name in names)
    assert names[0].startswith("mist_a_1-")
