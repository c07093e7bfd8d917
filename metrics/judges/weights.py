"""Where judges' weights come from: a local file or folder, or a hub's cache; never a file with code in it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from evenhand.bench.errors import EvenhandError

HUB_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
"""What is fetched of a hub repository: no code, no pickles."""

SAMPLES = 64
"""Values by which a parameter is known again."""


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


def require_loaded(network: nn.Module, folder: Path) -> None:
    """Check that every parameter of a network has the values of a tensor of its folder, whatever its name.

    Libraries fill what they do not find under the name that they look for with random numbers, and go on.
    Rounding to half precision is let pass.

    Args:
        network: The network as it was loaded.
        folder: Where its ``.safetensors`` files are.

    Raises:
        EvenhandError: A parameter is none of the stored tensors.
    """
    stored = _stored_samples(folder)
    for name, value in network.named_parameters():
        among = stored.get(value.numel())
        if value.is_meta or among is None or not _near(among, _sample(value)).any():
            raise made_up(name, network, folder)


def made_up(name: str, network: nn.Module, folder: Path) -> EvenhandError:
    """The refusal of a network with a parameter that its folder does not have."""
    return EvenhandError(
        f"weights {name} of {type(network).__name__} are in no file of {str(folder)!r}, and the library "
        "would make them up; use the release of the library that saved the model, or save it anew"
    )


def _stored_samples(folder: Path) -> dict[int, Tensor]:
    """Number of values to samples ``(n, SAMPLES)`` of the folder's tensors with so many."""
    found: dict[int, list[Tensor]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                value = file.get_tensor(name)
                found.setdefault(value.numel(), []).append(_sample(value))
    return {size: torch.stack(samples) for size, samples in found.items()}


def _sample(value: Tensor) -> Tensor:
    """Values ``(SAMPLES,)`` at even distances."""
    places = torch.linspace(0, max(value.numel() - 1, 0), SAMPLES, dtype=torch.float64).long()
    return value.detach().flatten()[places.to(value.device)].float().cpu()


def _near(stored: Tensor, sample: Tensor) -> Tensor:
    """Which rows of ``stored`` are ``sample`` but for the rounding to half precision, ``(n,)``."""
    return torch.isclose(stored, sample, rtol=2**-7, atol=2**-24, equal_nan=True).all(dim=1)


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
