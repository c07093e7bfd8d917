"""JSON from strangers: read whole and checked, or refused with the reason."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evenhand.bench.errors import EvenhandError

MOST_DEPTH = 24
"""Lists and objects inside one another; a result needs six."""

MOST_LETTERS = 20_000
"""Letters of one text; the longest of a result, a method's summary, has some hundreds."""

LARGEST = 1e15
"""Largest number; no count or estimate of ours comes near it."""

_HIDDEN = ("Cc", "Cs", "Co", "Cn")
"""Unicode categories that no text needs: control characters, halves of a pair, private and unassigned."""

_DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def read_json(path: Path, *, most_bytes: int) -> Any:
    """The value in a JSON file, without what JSON allows and nobody honest writes.

    Refused are files above ``most_bytes``, doubled keys, numbers that are not finite or beyond
    :data:`LARGEST`, deep nesting, long texts, and texts with control or direction-changing characters.

    Raises:
        EvenhandError: The file cannot be read, or holds one of these.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise ValueError(f"more than {most_bytes:,} bytes")
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
        raise _fault(path, "it nests too deeply") from fault
    except (OSError, ValueError) as fault:
        raise _fault(path, str(fault)) from fault
    return value


def _fault(path: Path, reason: str) -> EvenhandError:
    return EvenhandError(f"{path} cannot be read ({reason}); write it again with `evenhand board submit`")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {max(names, key=names.count)[:40]!r} stands there twice")
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"number {text[:24]} is too large")
    return value


def _int(text: str) -> int:
    # The length first: to convert a million digits takes minutes.
    if len(text) > 17 or abs(int(text)) > LARGEST:
        raise ValueError(f"number {text[:24]} is too large")
    return int(text)


def _texts(value: Any) -> Iterator[str]:
    """Every text of the value, keys included, level by level."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"it nests more than {MOST_DEPTH} deep")
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


def _check_text(text: str) -> None:
    if len(text) > MOST_LETTERS:
        raise ValueError(f"text {text[:24]!r}… has more than {MOST_LETTERS:,} letters")
    if text.isascii() and text.isprintable():
        return
    for letter in text:
        if letter in _DIRECTION or (unicodedata.category(letter) in _HIDDEN and letter not in "\n\t"):
            raise ValueError(f"text {text[:24]!r} holds the character U+{ord(letter):04X}")
