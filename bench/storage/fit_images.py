"""The keys of the images that a fit draws, written beside it.

The list is written before the images, so that a run that was interrupted finds them, and can delete them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from evenhand.bench.parsing.regular_file import read_regular

LIST_FILE = "images-of-fit.txt"
"""The list, in the folder of a fit."""

_MAX_BYTES = 2**32

_LINE = re.compile(r"^(edited|baseline) (\w+)$", re.ASCII | re.MULTILINE)


class FitImages:
    """The images of one fit.

    Args:
        folder: The folder of the fit; ``None`` to write no list.

    Attributes:
        edited: Keys of images of edited models.
        unedited: Keys of images of the baseline.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / LIST_FILE
        found = _LINE.findall(self._text())
        self.edited = {key for kind, key in found if kind == "edited"}
        self.unedited = {key for kind, key in found if kind == "baseline"}

    def add(self, keys: Iterable[str], *, edited: bool) -> None:
        """Add the keys of images that are about to be drawn."""
        known, kind = (self.edited, "edited") if edited else (self.unedited, "baseline")
        new = [key for key in dict.fromkeys(keys) if key not in known]
        known.update(new)
        if self._path is not None and new:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.is_symlink() or not self._path.is_file():
                self._path.unlink(missing_ok=True)  # A link would lead to a file outside the run folder.
            with self._path.open("a", encoding="ascii") as file:
                # The line break first, because a killed process may have left half a line.
                file.write("".join(f"\n{kind} {key}" for key in new))

    def forget(self) -> None:
        """Delete the list, because the images are deleted or kept for good."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _text(self) -> str:
        try:
            data = b"" if self._path is None else read_regular(self._path, max_bytes=_MAX_BYTES)
        except OSError:  # Not there, or damaged: then its images stay, and nothing else is affected.
            return ""
        return data.decode("ascii", errors="replace")
