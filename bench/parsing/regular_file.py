"""Opens files for reading: only regular files of bounded size.

A FIFO or a device in place of a file would block or never end, and a sparse file can be larger than the
memory without taking any disk. So the kind and the size are checked before anything is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path


class TooLargeError(OSError):
    """The file is larger than allowed."""


def check_no_fifo(path: Path) -> None:
    """Raise ``OSError`` if a FIFO is at the path; opening it for writing would wait for a reader."""
    if path.is_fifo():
        raise _not_regular(path)


@contextmanager
def open_regular(path: Path, *, max_bytes: int) -> Iterator[BufferedReader]:
    """A regular file, opened for reading.

    Args:
        path: The file, or a link to it.
        max_bytes: Maximum size.

    Raises:
        OSError: The file cannot be opened or is not regular.
        TooLargeError: It is larger.
        ValueError: The path contains a NUL byte.
    """
    # O_NONBLOCK: opening a FIFO would wait for a writer. It has no effect on regular files.
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(opened)
    if not stat.S_ISREG(found.st_mode):
        os.close(opened)
        raise _not_regular(path)
    with os.fdopen(opened, "rb") as file:
        if found.st_size > max_bytes:
            raise TooLargeError(errno.EFBIG, f"file has more than {max_bytes:,} bytes", str(path))
        yield file


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: See :func:`open_regular`.
        ValueError: The path contains a NUL byte.
    """
    with open_regular(path, max_bytes=max_bytes) as file:
        # Files of /proc state no size and may have no end; their content is empty here.
        return file.read(os.fstat(file.fileno()).st_size)


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))
