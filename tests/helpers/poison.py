"""Hostile text in every string of a document, the same for equal strings, so that look-ups still work."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from evenhand.bench.policy.gates import RULES
from evenhand.bench.policy.ranking import BANDS, TRACK_ORDER
from evenhand.bench.results.entry import EVIDENCES
from evenhand.bench.results.text import KINDS, METRIC_TERMS
from evenhand.metrics.table import STATUSES

PAYLOAD = (
    "\"'></option></style></title></textarea><script>hurt()</script><hurt onclick=hurt()></hurt>"
    "<img src=x onerror=hurt()><a href=javascript:hurt()>x</a>{{7+7}}${hurt()}"
)
"""Ends any element or attribute, runs a script in four ways, and asks for an image."""

_PART = PAYLOAD.replace("=", "").replace(";", "")
"""The same without the separators of cells, for names of attributes and groups."""

VOCABULARY = {
    *METRIC_TERMS,
    *KINDS,
    *STATUSES,
    *BANDS,
    *EVIDENCES,
    *TRACK_ORDER,
    *(rule.quantity for rule in RULES),
    *("base", "panel", "steering", "non-voting", "undetermined", "uniform", "labour", "table", "1", ""),
    *("krippendorff_alpha", "cohen_kappa", "concepts", "templates", "none"),
    *("quasi-random", "finished", "attribute", "column", "low", "high", "log", "integer"),
}
"""Strings that the schema fixes: a page looks up what they mean."""

KEPT = {"path", "files", "address", "salt", "suite_version"}
"""Fields that a reader has checked, and one that would make the names of files too long."""

_FIXED = re.compile(r"[0-9a-f]{8,}|\d{4}-\d\d-\d\d|#[0-9a-f]{6}")

T = TypeVar("T")


def poisoned(value: T) -> T:
    """A copy with :data:`PAYLOAD` in every free string, keys of objects included."""
    return _poisoned(value)  # type: ignore[no-any-return]


def _poisoned(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, BaseModel):
        names = [name for name in type(value).model_fields if name not in KEPT]
        # An image's folder is where it is read from; that of a run is shown.
        names = [
            name for name in names if not (name == "folder" and "seed_index" in type(value).model_fields)
        ]
        return value.model_copy(update={name: _poisoned(getattr(value, name)) for name in names})
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.init and field.name not in KEPT]
        return replace(value, **{name: _poisoned(getattr(value, name)) for name in names})
    if isinstance(value, dict):
        return {_poisoned(key): _poisoned(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_poisoned(own) for own in value)
    assert value is None or isinstance(value, (int, float, Path)) or hasattr(value, "isoformat"), type(value)
    return value


def text(plain: str) -> str:
    """The hostile form of a string; of a cell or joint attribute, of each of its parts."""
    if plain in VOCABULARY or _FIXED.fullmatch(plain):
        return plain
    if not re.search(r"[*;=]", plain):
        return plain + _PART
    parts = re.split(r"([*;=])", plain)
    return "".join(part if part in "*;=" or part in VOCABULARY else part + _PART for part in parts)
