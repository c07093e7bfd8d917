"""Model folders of judges: completeness checks, versions by hash, and batches of a fixed size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.weights import first_line

HASHED = (".json", ".safetensors", ".txt", ".model")
"""Suffixes of the files that determine a judge's answers: weights, configuration, tokenizer."""

BATCH = 32
"""Images or texts per batch."""


def require(folder: Path, files: Sequence[str]) -> None:
    """Check that a model folder contains the files that its loader needs.

    Raises:
        EvenhandError: The folder, or one of the files, is missing.
    """
    if not folder.is_dir():
        raise EvenhandError(
            f"model folder {str(folder)!r} does not exist; give a folder with {', '.join(files)}"
        )
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise EvenhandError(
            f"model folder {str(folder)!r} lacks {', '.join(missing)}; download the complete folder"
        )


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Context in which a library loads a folder; any failure becomes one readable error.

    The libraries hardly validate untrusted files, so a faulty file can raise any exception.

    Raises:
        EvenhandError: Loading failed.
    """
    try:
        yield
    except EvenhandError:
        raise
    except Exception as fault:
        raise EvenhandError(
            f"model folder {str(folder)!r} cannot be loaded ({first_line(fault)}); give a complete folder "
            "with safetensors weights and without custom code"
        ) from fault


def version(folders: Sequence[Path], settings: Any) -> str:
    """Twelve hexadecimal digits that change with weights, texts and preprocessing.

    Args:
        folders: Folders whose files determine the answers.
        settings: Further texts, maps and numbers that determine the answers; any JSON value.
    """
    sha = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for folder in folders:
        for path in sorted(path for path in folder.iterdir() if path.suffix in HASHED):
            sha.update(f"\n{path.name}\n".encode())
            with path.open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()[:12]


def in_batches(network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Outputs ``(n, ...)`` of a network for inputs ``(n, ...)``, computed in batches of exactly ``BATCH``.

    The rounding of a network depends on the batch size. With one size, and the last batch padded with zeros,
    the numbers of an image do not depend on the other images, and shards agree bit for bit.
    """
    parts = []
    for chunk in torch.split(inputs, BATCH):
        filling = chunk.new_zeros((BATCH - len(chunk), *chunk.shape[1:]))
        parts.append(network(torch.cat([chunk, filling]))[: len(chunk)])
    return torch.cat(parts)
