"""Reads untrusted TOML files with limits on size and time."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.regular_file import TooLargeError, read_regular

MAX_BYTES = 2**20
"""Maximum size of a TOML file; the bundled suites have at most a hundredth of it."""

MAX_DOTS = 250
"""Maximum number of dots in a line: parsing a dotted key takes time quadratic in the number of its parts."""


def read_toml(path: Path, *, what: str) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file and its parsed value.

    Args:
        path: The file.
        what: Kind of the file for messages, such as ``"suite file"``.

    Raises:
        EvenhandError: The file cannot be read, is too large, or is not valid UTF-8 or TOML.
    """
    try:
        text = read_regular(path, max_bytes=MAX_BYTES).decode("utf-8")
    except TooLargeError as fault:
        raise EvenhandError(f"{path}: {what} must be at most {MAX_BYTES // 2**20} MiB; shorten it") from fault
    except (OSError, ValueError) as fault:
        raise EvenhandError(f"{path}: {what} cannot be read ({fault}); check path and encoding") from fault
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > MAX_DOTS:
            raise EvenhandError(f"{path}:{number}: more than {MAX_DOTS} dots in a line; split the line")
    try:
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # also overlong numbers and deep nesting
        found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", str(fault), re.DOTALL)
        reason, place = (found[1], f"{path}:{found[2]}") if found else (str(fault), str(path))
        raise EvenhandError(f"{place}: not valid TOML ({reason}); correct the {what}") from fault
