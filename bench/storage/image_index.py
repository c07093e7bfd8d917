"""Which images were found whole, so that going on with a million of them takes seconds.

An image proves itself by the digest inside it, but only once it is decoded. The index keeps, for each
image that has done so, what the file system says about its file. As long as that is the same, the
image is; any other is decoded again. The index is a help and never a proof: without it, everything is
decoded once more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path


def mark(path: Path | str) -> str:
    """Size of a file and time of its last change of any kind; empty if there is none.

    The time is that of the inode, which no program can set back.
    """
    try:
        # A path object for each of a million files would take ten times as long.
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return ""
    return f"{found.st_size} {found.st_ctime_ns}"


class ImageIndex:
    """Key, mark and status of images, one a line; only the process that holds the folder writes it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _lines(self) -> dict[str, str]:
        """Mark and status by key; of two lines about one key the last counts, and a torn one is dropped."""
        if not self._path.is_file():
            return {}
        text = self._path.read_text(encoding="ascii", errors="replace")
        lines = (line.partition(" ") for line in text.splitlines())
        return {key: rest for key, _, rest in lines if rest.endswith(";")}

    def status(self, key: str, mark: str) -> str | None:
        """Status of the image whose file has this mark, or ``None`` if it has not been proven."""
        known, _, status = self._lines.get(key, "").rstrip(";").rpartition(" ")
        return status if known == mark else None

    def add(self, proven: Mapping[str, tuple[str, str]]) -> None:
        """Keep mark and status of each of these keys."""
        if not proven:
            return
        lines = {key: f"{mark} {status};" for key, (mark, status) in proven.items()}
        self._lines.update(lines)
        # The line break comes first: a killed process may have left a torn line.
        text = "".join(f"\n{key} {line}" for key, line in lines.items())
        with self._path.open("a", encoding="ascii") as file:
            file.write(text)
