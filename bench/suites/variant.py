"""A suite with another model or other settings: a suite of its own, whose name says what differs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.suites.protocol import STORED
from evenhand.bench.suites.suite import Suite, first_error, load_suite

_IDENTITY = ("name", "version", "model")
"""Settings that ``--set`` cannot change: names of a variant are made here, and a model has its own option."""

_NO_DIFFERENCE = ("protocol.offload",)
"""Settings that change no image and no number, so that the suite stays the same."""


def variant(suite: str | Suite, *, model: str = "", settings: Sequence[str] = ()) -> Suite:
    """The suite with another model or other settings.

    Its results share no table with those of the suite, because its digest differs, unless only settings
    change that no image depends on. Parameters that tuning found for the suite's model are dropped for
    another one.

    Args:
        suite: Name of a suite, path of a TOML file, or a suite.
        model: Folder or hub id of the other model; empty for the suite's.
        settings: Other settings as ``key=value``, with the keys of the TOML file, such as
            ``protocol.steps=10``; a value that is not TOML is a text.

    Raises:
        EvenhandError: A setting is malformed, unknown or not valid.
    """
    given = suite if isinstance(suite, Suite) else load_suite(suite)
    fields, differs = given.model_dump(mode="json", context=STORED), []
    if model:
        fields |= {"model": model, "tuned": {}, "searches": {}}
        differs.append(PurePath(model).name)
    for text in settings:
        key, value = _parsed(text)
        _set(fields, key.split("."), value, text)
        if key not in _NO_DIFFERENCE:
            differs.append(f"{key.split('.')[-1]}-{value}")
    name = re.sub(r"[^\w.+-]+", "-", "+".join([given.name, *differs]))
    try:
        return Suite.model_validate(fields | {"name": name[:100]})
    except ValidationError as fault:
        field, message = first_error(fault)
        raise EvenhandError(f"--set of suite {given.name!r}: {field}: {message}") from fault


def _parsed(text: str) -> tuple[str, Any]:
    """The key and the value of ``key=value``."""
    key, sign, value = (part.strip() for part in text.partition("="))
    if not (key and sign and value) or key.split(".")[0] in _IDENTITY:
        raise EvenhandError(
            f"--set needs KEY=VALUE with a key of the suite's TOML file other than {', '.join(_IDENTITY)}, "
            f"got {text!r}; for example protocol.steps=10"
        )
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _set(fields: dict[str, Any], path: Sequence[str], value: Any, text: str) -> None:
    *tables, last = path
    for name in tables:
        if not isinstance(fields, dict) or name not in fields:
            raise EvenhandError(f"--set {text!r}: the suite has no table {name!r}")
        fields = fields[name]
    if not isinstance(fields, dict):
        raise EvenhandError(f"--set {text!r}: {'.'.join(tables)!r} is not a table")
    fields[last] = value
