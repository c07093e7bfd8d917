"""Regular files of bounded size are read; whatever else is at a path is refused before it is read."""

import os

import pytest

from evenhand.bench.parsing.regular_file import TooLargeError, check_no_fifo, open_regular, read_regular


def test_a_file_is_read_up_to_exactly_the_limit(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_regular(path, max_bytes=5) == b"12345"
    with pytest.raises(TooLargeError, match="more than 4 bytes"):
        read_regular(path, max_bytes=4)


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "b").symlink_to("a")
    with open_regular(tmp_path / "b", max_bytes=9) as file:
        assert file.read() == b"12"


@pytest.mark.parametrize("path", ["/", "/dev/zero", "/dev/full"])
def test_folders_and_devices_are_refused(path):
    with pytest.raises(OSError, match=f"not a regular file: '{path}'"):
        read_regular(path, max_bytes=9)


def test_a_fifo_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "a", max_bytes=9)
    with pytest.raises(OSError, match="not a regular file"):
        check_no_fifo(tmp_path / "a")
    check_no_fifo(tmp_path / "new")


def test_a_file_without_a_size_is_empty():
    assert read_regular("/proc/self/stat", max_bytes=9) == b""


def test_a_missing_file_keeps_its_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "a", max_bytes=9)
