"""Reading TOML files that somebody else may have written: bounded in size and time."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from evenhand.bench.errors import EvenhandError

MAX_BYTES = 2**20
"""Largest TOML file that is read; the largest of ours has a hundredth of it."""

MAX_DOTS = 250
"""Most dots of a line: the time that the parser takes for a dotted key grows with the square of its parts."""


def read_toml(path: Path, *, what: str) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file and its value.

    Args:
        path: The file.
        what: What the file is to messages, such as ``"suite file"``.

    Raises:
        EvenhandError: It cannot be read, is too large, is not UTF-8 or not TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as fault:
        raise EvenhandError(f"{what} {path} cannot be read: {fault}; check path and encoding") from fault
    if len(data) > MAX_BYTES:
        raise EvenhandError(f"{what} {path} is larger than {MAX_BYTES // 2**20} MiB; shorten it")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > MAX_DOTS:
            raise EvenhandError(f"{what} {path}, line {number}: more than {MAX_DOTS} dots; break the line")
    try:
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # besides its own error: numbers too long, nesting too deep
        raise EvenhandError(f"{what} {path} is not TOML: {fault}; mend it") from fault
