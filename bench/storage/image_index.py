"""An index of verified images, so that resuming a run with a million images takes seconds.

Checking the digest inside an image requires decoding it. The index keeps, for every verified image, size and
change time of its file. As long as these are the same, the image is not decoded again. The index is only a
cache: without it, all images are decoded once more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from evenhand.bench.parsing.regular_file import check_no_fifo, read_regular

_MAX_BYTES = 2**30
"""Maximum size of an index; a line has about a hundred bytes."""


def file_stamp(path: Path | str) -> str:
    """Size and inode change time of a file; empty if it does not exist.

    Unlike the modification time, the inode change time cannot be set by programs.
    """
    try:
        # Path objects for a million files would take ten times as long.
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return ""
    return f"{found.st_size} {found.st_ctime_ns}"


class ImageIndex:
    """Keys, file stamps and statuses of images, one per line; only the process with the lock writes it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _lines(self) -> dict[str, str]:
        """Stamp and status by key; the last line for a key counts, and incomplete lines are ignored."""
        if not self._path.is_file():
            return {}
        text = read_regular(self._path, max_bytes=_MAX_BYTES).decode("ascii", errors="replace")
        lines = (line.partition(" ") for line in text.splitlines())
        return {key: rest for key, _, rest in lines if rest.endswith(";")}

    def status(self, key: str, stamp: str) -> str | None:
        """Status of the image if it was verified and its file has this stamp, else ``None``."""
        known, _, status = self._lines.get(key, "").rstrip(";").rpartition(" ")
        return status if known == stamp else None

    def add(self, verified: Mapping[str, tuple[str, str]]) -> None:
        """Add stamps and statuses of images by key."""
        if not verified:
            return
        lines = {key: f"{stamp} {status};" for key, (stamp, status) in verified.items()}
        self._lines.update(lines)
        check_no_fifo(self._path)
        # Start with the line break: a killed process may have left an incomplete line.
        text = "".join(f"\n{key} {line}" for key, line in lines.items())
        with self._path.open("a", encoding="ascii") as file:
            file.write(text)
