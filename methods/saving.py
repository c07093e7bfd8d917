"""Interventions on disk: tensors as safetensors, the rest as JSON, loaded only if the digest matches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Intervention, Method

_TENSORS = "intervention.safetensors"
_DOCUMENT = "intervention.json"

FILES = (_TENSORS, _DOCUMENT)
"""The files of an intervention, in the order in which they are written."""


def save(intervention: Intervention, folder: Path) -> None:
    """Write ``intervention.safetensors`` (the tensors) and ``intervention.json`` (the rest, and the digest).

    The JSON is written last, so a folder left incomplete by an interruption does not load.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().clone() for name, value in intervention.flat_tensors().items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / _TENSORS)
    document = {
        "class": type(intervention).__qualname__,
        "digest": intervention.digest(),
        "data": dict(intervention.data),
        "record": dict(intervention.record),
    }
    (folder / _DOCUMENT).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(folder: Path, method_type: type[Method]) -> Intervention:
    """The intervention that :func:`save` wrote, of the class that ``method_type`` produces.

    Raises:
        EvenhandError: A file is missing or unreadable, another method wrote it, or its digest differs.
    """
    kind = method_type.intervention_type
    try:
        document = json.loads((folder / _DOCUMENT).read_text(encoding="utf-8"))
        flat = load_file(folder / _TENSORS)
        written, digest = document["class"], document["digest"]
        intervention = kind(**_nested(flat), data=document["data"], record=document["record"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, SafetensorError) as error:
        raise EvenhandError(f"cannot read the intervention in {folder} ({error!r}); fit it again") from error
    if written != kind.__qualname__:
        raise EvenhandError(f"{folder} holds {written}, but {method_type.__name__} makes {kind.__qualname__}")
    if digest != intervention.digest():
        raise EvenhandError(f"the intervention in {folder} differs from its digest; fit it again")
    return intervention


def _nested(flat: Mapping[str, Tensor]) -> dict[str, Any]:
    """The inverse of :meth:`Intervention.flat_tensors`. Parameter names contain no slash; concepts may."""
    nested: dict[str, Any] = {"weights": {}, "concept_weights": {}, "tensors": {}}
    for path, value in flat.items():
        kind, _, name = path.partition("/")
        if kind == "concept_weights":
            concept, _, name = name.rpartition("/")
            nested[kind].setdefault(concept, {})[name] = value
        else:
            nested[kind][name] = value
    return nested
