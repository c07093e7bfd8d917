"""The text of a TOML file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_toml(value: Mapping[str, Any]) -> str:
    """The mapping as TOML: plain keys first, then tables; ``None`` is omitted."""
    lines = [f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None and not _is_table(v)]
    for key, table in value.items():
        if _is_table(table):
            lines += ["", *_table(_key(key), table)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _table(path: str, table: Mapping[str, Any]) -> list[str]:
    lines = [f"[{path}]"]
    lines += [f"{_key(k)} = {_value(v)}" for k, v in table.items() if v is not None and not _is_table(v)]
    for key, inner in table.items():
        if _is_table(inner):
            lines += ["", *_table(f"{path}.{_key(key)}", inner)]
    return lines


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else _plain(key)


def _plain(value: bool | float | str) -> str:
    # JSON strings are valid TOML, except for surrogates and an unescaped DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool | int | float | str):
        return _plain(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    return "[" + ", ".join(_value(item) for item in value) + "]"
