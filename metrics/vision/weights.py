"""Sources of judges' weights: a local file or folder, or the hub's cache; never a file that can run code."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from evenhand.bench.errors import EvenhandError, NotInstalledError
from evenhand.metrics.vision.hub import hub_name, snapshot

HUB_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
"""Files downloaded from a hub repository: no code, no pickles."""


def hub_folder(name: str, *, files: Sequence[str] = HUB_FILES) -> Path:
    """The folder of a model: ``name`` itself if it is a folder, else the hub's snapshot.

    Args:
        name: A folder, or a hub id such as ``"org/model"``, with a revision as ``"org/model@revision"``.
        files: Patterns of the required files.

    Raises:
        EvenhandError: The folder does not exist, and the hub's model is neither cached nor reachable.
    """
    if Path(name).is_dir():
        return Path(name)
    repository = hub_name(name)
    if repository is None:
        raise EvenhandError(
            f"model {name!r} must be an existing folder or a hub id 'org/name' or 'org/name@revision'"
        )
    return snapshot(repository, files, what="weights of")


def weight_file(path: str | Path) -> Path:
    """The path of an existing file.

    Raises:
        NotInstalledError: The file does not exist.
    """
    found = Path(path).expanduser()
    if not found.is_file():
        raise NotInstalledError(f"weights file {str(path)!r} does not exist; give a .safetensors or .pt file")
    return found


def tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by name.

    Args:
        path: A ``.safetensors`` file, or a torch file that contains only tensors.

    Raises:
        EvenhandError: The file is corrupt, or contains other objects, which could run code.
    """
    try:
        if path.suffix == ".safetensors":
            stored: dict[str, Tensor] = load_file(path)
            return stored
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        raise holds_code(path) from fault
    except (OSError, RuntimeError, EOFError, SafetensorError) as fault:
        raise EvenhandError(
            f"weights file {str(path)!r} cannot be read ({first_line(fault)}); download it again"
        ) from fault
    if not (isinstance(found, dict) and all(isinstance(value, Tensor) for value in found.values())):
        raise EvenhandError(
            f"weights file {str(path)!r} must contain a dictionary of tensors; save a state dictionary"
        )
    return found


def holds_code(path: Path) -> EvenhandError:
    """The error for a file with objects other than tensors, whose loading could run code."""
    return EvenhandError(
        f"weights file {str(path)!r} contains more than tensors and could run code; save its state "
        "dictionary as .safetensors and give that file"
    )


def first_line(fault: BaseException) -> str:
    """The first line of an error message, shortened; the name of its class if the message is empty."""
    text = str(fault).strip()
    return text.splitlines()[0][:200] if text else type(fault).__name__
