"""Checks that a library loaded all weights of a network and initialised none at random."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from evenhand.bench.errors import EvenhandError

SAMPLES = 64
"""Number of values of a parameter that are compared."""


def require_loaded(network: nn.Module, folder: Path) -> None:
    """Check that every parameter of a network equals a tensor of its folder, whatever the tensor's name.

    Libraries initialise parameters that they do not find at random and continue. Differences due to rounding
    to half precision are accepted.

    Args:
        network: The loaded network.
        folder: Folder with its ``.safetensors`` files.

    Raises:
        EvenhandError: A parameter equals none of the stored tensors.
    """
    stored = _stored_samples(folder)
    for name, value in network.named_parameters():
        among = stored.get(value.numel())
        if value.is_meta or among is None or not _near(among, _sample(value)).any():
            raise made_up(name, network, folder)


def made_up(name: str, network: nn.Module, folder: Path) -> EvenhandError:
    """The error for a parameter that no file of the folder contains."""
    return EvenhandError(
        f"weights {name} of {type(network).__name__} are in no file of {str(folder)!r}, and the library "
        "would initialise them at random; use the library version that saved the model, or save it again"
    )


def _stored_samples(folder: Path) -> dict[int, Tensor]:
    """Number of values to samples ``(n, SAMPLES)`` of the folder's tensors of that size."""
    found: dict[int, list[Tensor]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                value = file.get_tensor(name)
                found.setdefault(value.numel(), []).append(_sample(value))
    return {size: torch.stack(samples) for size, samples in found.items()}


def _sample(value: Tensor) -> Tensor:
    """Values ``(SAMPLES,)`` at equal distances."""
    places = torch.linspace(0, max(value.numel() - 1, 0), SAMPLES, dtype=torch.float64).long()
    return value.detach().flatten()[places.to(value.device)].float().cpu()


def _near(stored: Tensor, sample: Tensor) -> Tensor:
    """Which rows of ``stored`` equal ``sample`` up to rounding to half precision, ``(n,)``."""
    return torch.isclose(stored, sample, rtol=2**-7, atol=2**-24, equal_nan=True).all(dim=1)
