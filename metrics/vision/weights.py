"""Where judges' weights come from: a local file or folder, or a hub's cache; never a file with code in it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from evenhand.bench.errors import EvenhandError

HUB_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
"""What is fetched of a hub repository: no code, no pickles."""


def best_device() -> str:
    """A CUDA device if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def hub_folder(name: str, *, files: Sequence[str] = HUB_FILES) -> Path:
    """The folder of a model: ``name`` itself if it is one, else the hub's snapshot of it.

    Args:
        name: A folder, or a hub id such as ``"org/model"``.
        files: Patterns of the files that are needed.

    Raises:
        EvenhandError: There is no such folder, and the hub's model is neither cached nor reachable.
    """
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise EvenhandError(f"model {name!r} is neither a folder nor a hub id 'org/name'; give one of them")
    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except (OSError, ValueError) as fault:  # the hub's own errors are of these kinds
        raise EvenhandError(
            f"weights of {name!r} are not in the cache and cannot be fetched ({first_line(fault)}); "
            "add --online where there is a network, or give a local folder"
        ) from fault


def weight_file(path: str | Path) -> Path:
    """The path, if there is a file.

    Raises:
        EvenhandError: There is none.
    """
    found = Path(path).expanduser()
    if not found.is_file():
        raise EvenhandError(f"weights file {str(path)!r} does not exist; give a .safetensors or .pt file")
    return found


def tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by name.

    Args:
        path: ``.safetensors``, or a torch file that holds tensors and nothing else.

    Raises:
        EvenhandError: The file is torn, or holds objects besides tensors: those could run code.
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
            f"weights file {str(path)!r} cannot be read ({first_line(fault)}); download it again in full"
        ) from fault
    if not (isinstance(found, dict) and all(isinstance(value, Tensor) for value in found.values())):
        raise EvenhandError(
            f"weights file {str(path)!r} is no dictionary of tensors; save a state dictionary"
        )
    return found


def holds_code(path: Path) -> EvenhandError:
    """The refusal of a file that holds objects besides tensors: loading them runs what they say."""
    return EvenhandError(
        f"weights file {str(path)!r} holds more than tensors and could run code; save its state dictionary "
        "as .safetensors and give that"
    )


def first_line(fault: BaseException) -> str:
    """The first line of an error's text, shortened; its kind where it has none."""
    text = str(fault).strip()
    return text.splitlines()[0][:200] if text else type(fault).__name__
