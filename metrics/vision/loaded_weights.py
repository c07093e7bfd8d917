"""Loaded networks: that a library initialised none of their weights at random, and how to let them go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from evenhand.bench.errors import EvenhandError

SAMPLES = 64
"""Number of values of a parameter that are compared."""


def require_loaded(network: nn.Module, stored_in: Path) -> None:
    """Check that every parameter of a network equals a tensor of its folder, whatever the tensor's name.

    Libraries initialise parameters that they do not find at random and continue. Differences due to rounding
    to half precision are accepted, and larger ones for parameters that were quantized while they were loaded.
    Those of four bits are not compared, because only the device that packs them can unpack them.

    Args:
        network: The loaded network.
        stored_in: Folder with its ``.safetensors`` files, or one such file. Of a file, thirds and transposes
            of tensors count too, because single-file checkpoints store some parts merged or transposed.

    Raises:
        EvenhandError: A parameter equals none of the stored tensors.
    """
    stored = _stored_samples(stored_in)
    for name, value in network.named_parameters():
        if value.dtype == torch.uint8:
            continue
        among, quantized = stored.get(value.numel()), type(value.data) is not Tensor
        if value.is_meta or among is None or not _near(among, _sample(value, quantized), quantized).any():
            raise made_up(name, network, stored_in)


def forget_networks(owner: object) -> None:
    """Forget the networks that an object keeps in cached properties, which load them again when asked."""
    for name, value in list(vars(owner).items()):
        if isinstance(getattr(type(owner), name, None), cached_property) and _has_network(value):
            delattr(owner, name)


def _has_network(value: object) -> bool:
    """Whether a value is a network, or a mapping or tuple that contains one."""
    if isinstance(value, Mapping):
        return any(map(_has_network, value.values()))
    if isinstance(value, tuple):
        return any(map(_has_network, value))
    return isinstance(value, nn.Module)


def made_up(name: str, network: nn.Module, folder: Path) -> EvenhandError:
    """The error for a parameter that no file of the folder contains."""
    return EvenhandError(
        f"weights {name} of {type(network).__name__} are in no file of {str(folder)!r}, and the library "
        "would initialise them at random; use the library version that saved the model, or save it again"
    )


def _stored_samples(stored_in: Path) -> dict[int, Tensor]:
    """Number of values to samples ``(n, SAMPLES)`` of the stored tensors of that size."""
    found: dict[int, list[Tensor]] = {}
    merged = stored_in.is_file()
    for path in [stored_in] if merged else sorted(stored_in.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                value = file.get_tensor(name)
                if not value.numel():
                    continue  # A mark, such as that of checkpoints that predict velocities.
                for form in _forms(value) if merged else (value,):
                    found.setdefault(form.numel(), []).append(_sample(form))
    return {size: torch.stack(samples) for size, samples in found.items()}


def _forms(value: Tensor) -> Iterator[Tensor]:
    """The tensor, its transpose, and its thirds: queries, keys and values of an attention."""
    yield value
    if value.ndim == 2:
        yield value.T
    if value.ndim and len(value) % 3 == 0:
        yield from value.chunk(3)


def _sample(value: Tensor, quantized: bool = False) -> Tensor:
    """Values ``(SAMPLES,)`` at equal distances."""
    places = torch.linspace(0, max(value.numel() - 1, 0), SAMPLES, dtype=torch.float64).long()
    plain = value.detach().dequantize() if quantized else value.detach()
    return plain.flatten()[places.to(value.device)].float().cpu()


def _near(stored: Tensor, sample: Tensor, quantized: bool) -> Tensor:
    """Which rows of ``stored`` equal ``sample`` up to rounding to half precision or eight bits, ``(n,)``."""
    if not quantized:
        return torch.isclose(stored, sample, rtol=2**-7, atol=2**-24, equal_nan=True).all(dim=1)
    error = (stored - sample).abs().amax(dim=1)
    return error <= 2**-4 * sample.abs().max()
