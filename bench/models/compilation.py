"""The two networks that take the time of drawing, as they are or compiled."""

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
"""The backend of ``torch.compile`` that turns a graph into kernels."""

COMPILERS = ("g++", "c++", "clang++")
"""What it calls on a machine without an accelerator; ``CXX`` names another one."""


@dataclass(frozen=True)
class Networks:
    """What the denoising loop calls.

    Attributes:
        denoise: The U-Net.
        decode: The autoencoder's decoder.
    """

    denoise: Callable[..., Any]
    decode: Callable[[Tensor], Any]


def plain(model: UNetModel) -> Networks:
    """The networks as they are, each operation by itself."""
    return Networks(model.unet, model.vae.decode)


def compiled(model: UNetModel, *, backend: str = INDUCTOR) -> Networks:
    """The networks compiled, and their weights laid out with the channels last.

    A graph is compiled for every shape when it is first met: one for a whole run if all methods have the same
    number of guidance branches, since all batches have one size. Weights are inputs of the graph, so nothing
    is compiled again when a method's weights come and go. The model's own modules can still be called as they
    are, by methods that are trained or that act on modules inside.

    Args:
        model: The model.
        backend: What turns a graph into kernels; ``eager`` runs it operation by operation.

    Raises:
        EvenhandError: The machine has no compiler.
    """
    if backend == INDUCTOR and model.device.type == "cpu" and not has_compiler():
        raise EvenhandError(
            "protocol asks for compiled kernels, and this machine has no C++ compiler; install g++ or "
            'choose compilation = "none"'
        )
    for network in (model.unet, model.vae):
        network.to(memory_format=torch.channels_last)
    as_they_are = plain(model)
    return Networks(
        denoise=torch.compile(as_they_are.denoise, dynamic=False, backend=backend),
        decode=torch.compile(as_they_are.decode, dynamic=False, backend=backend),
    )


def has_compiler() -> bool:
    """Whether there is a C++ compiler."""
    return any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS)))
