"""The two networks that dominate generation time, uncompiled or compiled with ``torch.compile``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.unet import UNetModel

INDUCTOR = "inductor"
"""The default backend of ``torch.compile``."""

COMPILERS = ("g++", "c++", "clang++")
"""Compilers that the backend uses on a CPU; ``CXX`` sets another one."""


@dataclass(frozen=True)
class Networks:
    """The networks that the denoising loop calls.

    Attributes:
        denoise: The U-Net.
        decode: The decoder of the autoencoder.
    """

    denoise: Callable[..., Any]
    decode: Callable[[Tensor], Any]


def uncompiled(model: UNetModel) -> Networks:
    """The networks without compilation."""
    return Networks(model.unet, model.vae.decode)


def compiled(model: UNetModel, *, backend: str = INDUCTOR) -> Networks:
    """The compiled networks, with weights in channels-last memory format.

    A graph is compiled once for every input shape: once per run if all methods have the same number of
    guidance branches, since all batches have the same size. Weights are inputs of the graph, so switching the
    weights of methods does not recompile. Methods that train, or that hook modules, still call the uncompiled
    modules.

    Args:
        model: The model.
        backend: Backend of ``torch.compile``; ``eager`` runs the graph without code generation.

    Raises:
        EvenhandError: The machine has no compiler.
    """
    require_compiler(model.device, backend=backend)
    for network in (model.unet, model.vae):
        network.to(memory_format=torch.channels_last)
    networks = uncompiled(model)
    return Networks(
        denoise=torch.compile(networks.denoise, dynamic=False, backend=backend),
        decode=torch.compile(networks.decode, dynamic=False, backend=backend),
    )


def require_compiler(device: torch.device, *, backend: str) -> None:
    """Check that the machine can compile for a device.

    Raises:
        EvenhandError: It has no compiler.
    """
    if backend == INDUCTOR and device.type == "cpu" and not has_compiler():
        raise EvenhandError(
            "the protocol needs compilation, but this machine has no C++ compiler; install g++ or set "
            'compilation = "none"'
        )


def has_compiler() -> bool:
    """Whether there is a C++ compiler."""
    return any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS)))
