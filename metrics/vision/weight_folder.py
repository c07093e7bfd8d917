"""What judges with stored weights share: a folder that must be complete, and a version that is its hash."""

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
"""Suffixes of the files that decide what a judge answers: weights, configuration, tokenizer."""

BATCH = 32
"""Images or texts that a network sees at a time."""


def require(folder: Path, files: Sequence[str]) -> None:
    """Check that a model folder holds what its loader needs.

    Raises:
        EvenhandError: The folder, or one of the files, is missing.
    """
    if not folder.is_dir():
        raise EvenhandError(
            f"model folder {str(folder)!r} does not exist; give a folder that holds {', '.join(files)}"
        )
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise EvenhandError(
            f"model folder {str(folder)!r} lacks {', '.join(missing)}; download it again in full"
        )


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Within the context a library makes something of a folder.

    The libraries check a stranger's files little: what is wrong in them raises whatever its first use does.

    Raises:
        EvenhandError: Anything went wrong.
    """
    try:
        yield
    except EvenhandError:
        raise
    except Exception as fault:
        raise EvenhandError(
            f"model folder {str(folder)!r} cannot be loaded ({first_line(fault)}); give a complete folder "
            "with safetensors weights that needs no code of its own"
        ) from fault


def version(folders: Sequence[Path], settings: Any) -> str:
    """Twelve hexadecimal digits that change with weights, texts and preprocessing.

    Args:
        folders: Folders whose files decide the answers.
        settings: Texts, maps and numbers given besides the files; anything JSON can write.
    """
    sha = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for folder in folders:
        for path in sorted(path for path in folder.iterdir() if path.suffix in HASHED):
            sha.update(f"\n{path.name}\n".encode())
            with path.open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()[:12]


def in_batches(network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """The network's outputs, ``(n, ...)`` for inputs ``(n, ...)``, from batches of exactly ``BATCH``.

    The rounding of a network depends on the size of the batch. With one size, the last batch filled up
    with zeros, an image's numbers do not depend on the images beside it, so that shards agree bit for bit.
    """
    parts = []
    for chunk in torch.split(inputs, BATCH):
        filling = chunk.new_zeros((BATCH - len(chunk), *chunk.shape[1:]))
        parts.append(network(torch.cat([chunk, filling]))[: len(chunk)])
    return torch.cat(parts)
