"""The text form of a method or judge with parameters: ``NAME`` or ``NAME:parameter=value,…``.

Methods and judges share the syntax: ``mist:step_size=0.3``, ``open-clip:model=ViT-L-14``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from evenhand.bench.errors import EvenhandError, unknown

Parametrised = TypeVar("Parametrised", bound=BaseModel)

MAX_CHARACTERS = 10_000
"""Maximum length of the text: reading a nested or dotted value takes time quadratic in its length."""

# A comma inside brackets or quotes belongs to the value.
_PART = re.compile(r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,])+""")


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
    for part in _PART.findall(rest):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise EvenhandError(f"{kind} {text!r}: expected parameter=value, got {part.strip()!r}")
        if key in given:
            raise EvenhandError(f"{kind} {text!r} gives parameter {key!r} twice; give it once")
        given[key] = _value(value)
    return name.strip(), given


def label(name: str, given: Mapping[str, Any]) -> str:
    """The canonical text of a name with parameters: sorted, without spaces."""
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


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # not TOML, an integer that is too long, or deep nesting
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)
