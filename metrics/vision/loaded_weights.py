"""Whether a library loaded all of a network, or made some of its weights up."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from evenhand.bench.errors import EvenhandError

SAMPLES = 64
"""Values by which a parameter is known again."""


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
