"""A suite with another model or other settings: a separate suite, whose name says what differs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.spec_text import toml_or_text
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
    another one, and a parameter of a method that is set here is dropped from those that tuning found.

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
        _drop_tuned(fields, key.split("."), value)
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
    return key, toml_or_text(value)


def _drop_tuned(fields: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Drop what tuning found for a parameter of a method that is set: it would override the setting.

    The search goes too, because the method is no longer the one that it has found.
    """
    if path[0] != "methods" or len(path) < 2:
        return
    method, *parameter = path[1:3]
    given = parameter or (list(value) if isinstance(value, Mapping) else [])
    for key, found in fields["tuned"].items():
        if key.split(":")[0] == method:
            fields["tuned"][key] = {name: kept for name, kept in found.items() if name not in given}
    fields["searches"] = {
        key: search for key, search in fields["searches"].items() if key.split(":")[0] != method
    }


def _set(fields: dict[str, Any], path: Sequence[str], value: Any, text: str) -> None:
    *tables, last = path
    for name in tables:
        if not isinstance(fields, dict) or name not in fields:
            raise EvenhandError(f"--set {text!r}: the suite has no table {name!r}")
        fields = fields[name]
    if not isinstance(fields, dict):
        raise EvenhandError(f"--set {text!r}: {'.'.join(tables)!r} is not a table")
    fields[last] = value
