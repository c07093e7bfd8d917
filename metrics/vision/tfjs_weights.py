"""Weights of TensorFlow.js graph models: a JSON file with names and shapes, and a file of plain numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.weights import weight_file

TYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int32": np.dtype("<i4"),
}
"""Names of the number types that are read."""


def tfjs_tensors(manifest: Path) -> dict[str, Tensor]:
    """The tensors of a graph model by name, in the model's own layout, as 32-bit numbers.

    Args:
        manifest: The model's ``.json``; its numbers are in one file beside it.

    Raises:
        EvenhandError: A file is missing or malformed, or the numbers are compressed to 8 bits.
    """
    try:
        groups = json.loads(weight_file(manifest).read_text(encoding="utf-8"))["weightsManifest"]
        [group] = groups
        [numbers], entries = group["paths"], group["weights"]
        data = weight_file(manifest.parent / Path(numbers).name).read_bytes()
        found, start = {}, 0
        for entry in entries:
            kind = TYPES[entry.get("quantization", entry)["dtype"]]
            count = math.prod(entry["shape"])
            values = np.frombuffer(data, kind, count, start).reshape(entry["shape"])
            start += count * kind.itemsize
            wide = np.int32 if kind == TYPES["int32"] else np.float32
            found[entry["name"]] = torch.from_numpy(values.astype(wide))
        if start != len(data):
            raise ValueError(f"{len(data)} bytes of numbers, {start} expected")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as fault:
        raise EvenhandError(
            f"weights file {str(manifest)!r} is not a TensorFlow.js graph model and its numbers ({fault!r}); "
            "take both files from the package again"
        ) from fault
    return found
