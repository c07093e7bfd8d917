"""The text form of a method or judge with parameters: ``NAME`` or ``NAME:parameter=value,…``.

Methods and judges share the syntax: ``mist:step_size=0.3``, ``open-clip:model=ViT-L-14``.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from evenhand.bench.errors import EvenhandError, unknown

Parametrised = TypeVar("Parametrised", bound=BaseModel)

MAX_CHARACTERS = 10_000
"""Maximum length of the text: reading a nested or dotted value takes time quadratic in its length."""

_QUOTED = re.compile(r""""(?:\\.|[^"\\])*"|'[^']*'""")
_CLOSING = {"[": "]", "{": "}"}

_NEVER_BARE = frozenset(",[]{}\"'")
"""Characters that a text in a label has only between quotes, since they divide parameters or start values."""


def split(text: str, *, kind: str) -> tuple[str, dict[str, Any]]:
    """The name and the parameters given in ``text``.

    Args:
        text: ``"mist"`` or ``"mist:step_size=0.3,rounds=5"``. Values are TOML; a value that is not valid
            TOML is a string.
        kind: ``"method"`` or ``"judge"``, for messages.

    Raises:
        EvenhandError: The text is too long, a part is not of the form ``parameter=value``, or a parameter is
            given twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise EvenhandError(
            f"{kind} {text[:40]!r}… must have at most {MAX_CHARACTERS:,} characters, got {len(text):,}; "
            "shorten it"
        )
    name, _, rest = text.strip().partition(":")
    given: dict[str, Any] = {}
    for part in _parts(rest):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise EvenhandError(f"{kind} {text!r}: expected parameter=value, got {part.strip()!r}")
        if key in given:
            raise EvenhandError(f"{kind} {text!r} gives parameter {key!r} twice; give it once")
        given[key] = toml_or_text(value)
    return name.strip(), given


def label(name: str, given: Mapping[str, Any]) -> str:
    """The canonical text of a name with parameters: sorted, without spaces; :func:`split` reads it back."""
    pairs = (f"{key}={_text(value)}" for key, value in sorted(given.items()))
    return f"{name}:{','.join(pairs)}" if given else name


def build(cls: type[Parametrised], name: str, parameters: Mapping[str, Any], *, kind: str) -> Parametrised:
    """The model ``cls`` with these parameters.

    Raises:
        EvenhandError: Unknown parameter (the nearest is suggested), or a wrong or missing value.
    """
    try:
        return cls(**parameters)
    except ValidationError as fault:
        error = fault.errors()[0]
        key = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            raise unknown(f"parameter of {kind} {name!r}:", key, cls.model_fields) from fault
        given = "" if error["type"] == "missing" else f"={error['input']!r}"
        place = f"{key}{given}: " if key else ""
        raise EvenhandError(
            f"{kind} {name!r}: {place}{error['msg'].removeprefix('Value error, ')}"
        ) from fault


def toml_or_text(text: str) -> Any:
    """The TOML value that ``text`` is; the text itself if it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # not TOML, an integer that is too long, or deep nesting
        return text


def _parts(text: str) -> list[str]:
    """The parts between commas, except those inside brackets, braces or quotes, which belong to a value."""
    ends, parts, start, place = _ends(text), [], 0, 0
    while place < len(text):
        if text[place] == ",":
            parts.append(text[start:place])
            start = place + 1
        place = ends.get(place, place + 1)
    return [part for part in (*parts, text[start:]) if part]


def _ends(text: str) -> dict[int, int]:
    """Where everything in quotes, brackets or braces starts, to where it ends; what is not closed is text."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    place = 0
    while place < len(text):
        if quoted := _QUOTED.match(text, place):
            ends[place] = quoted.end()
        elif text[place] in _CLOSING:
            opened.append(place)
        elif opened and text[place] == _CLOSING[text[opened[-1]]]:
            ends[opened.pop()] = place + 1
        place = quoted.end() if quoted else place + 1
    return ends


def _text(value: Any) -> str:
    plain = isinstance(value, str) and value and not _NEVER_BARE.intersection(value)
    return value if plain and value == value.strip() and toml_or_text(value) == value else _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)}={_toml(cell)}" for key, cell in value.items() if cell is not None)
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_toml, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # JSON is TOML here, except for surrogates and an unescaped DEL.
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)
