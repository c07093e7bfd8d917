"""Reads untrusted JSON files: strictly checked, or rejected with the reason."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.regular_file import read_regular

MAX_DEPTH = 24
"""Maximum nesting depth; a result needs six levels."""

MAX_CHARACTERS = 20_000
"""Maximum length of a string; the longest string of a result has some hundred characters."""

LARGEST = 1e15
"""Largest absolute value of a number; results are far below it."""

_RECREATE = "recreate it with `evenhand board submit`"

_HIDDEN = ("Cc", "Cs", "Co", "Cn")
"""Unicode categories that are rejected: control, surrogate, private-use and unassigned characters."""

_DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def read_json(path: Path, *, max_bytes: int, remedy: str = _RECREATE) -> Any:
    """The value in a JSON file; stricter than JSON itself.

    Rejects files above ``max_bytes``, duplicate keys, numbers that are not finite or exceed :data:`LARGEST`,
    deep nesting, long strings, and strings with control or direction-changing characters.

    Args:
        path: The file.
        max_bytes: Maximum size.
        remedy: What to do if it is rejected.

    Raises:
        EvenhandError: The file cannot be read or is rejected.
    """
    try:
        data = read_regular(path, max_bytes=max_bytes)
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_int,
        )
        for text in _texts(value):
            _check_text(text)
    except RecursionError as fault:
        raise EvenhandError(f"{path}: cannot be read (it is nested too deeply); {remedy}") from fault
    except (OSError, ValueError) as fault:
        raise EvenhandError(f"{path}: cannot be read ({fault}); {remedy}") from fault
    return value


def load_json(path: Path, *, max_bytes: int) -> Any:
    """The value in a JSON file that Evenhand wrote, which may contain numbers and characters of any kind.

    Raises:
        OSError: The file cannot be read or has more than ``max_bytes``.
        ValueError: It is not JSON, or a text is too long or cannot be written as UTF-8.
        RecursionError: It is nested too deeply.
    """
    value = json.loads(read_regular(path, max_bytes=max_bytes).decode("utf-8"))
    for text in _texts(value):
        _check_length(text)
        text.encode("utf-8")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {max(names, key=names.count)[:40]!r} is duplicated")
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"number {text[:24]} is too large")
    return value


def _int(text: str) -> int:
    # Check the length first: converting a million digits takes minutes.
    if len(text) > 17 or abs(int(text)) > LARGEST:
        raise ValueError(f"number {text[:24]} is too large")
    return int(text)


def _texts(value: Any) -> Iterator[str]:
    """Yield all strings of the value, including keys, level by level."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                yield from one
                inner += one.values()
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str):
                yield one
        level = inner


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"text {text[:24]!r}… has more than {MAX_CHARACTERS:,} characters")


def _check_text(text: str) -> None:
    _check_length(text)
    if text.isascii() and text.isprintable():
        return
    for letter in text:
        if letter in _DIRECTION or (unicodedata.category(letter) in _HIDDEN and letter not in "\n\t"):
            raise ValueError(f"text {text[:24]!r} contains the character U+{ord(letter):04X}")
