"""Device memory: networks called on parts of a batch, and errors of one line where it does not suffice."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from evenhand.bench.errors import EvenhandError

MAX_PIXELS = 2**20
"""Largest number of pixels in one call of an autoencoder: four images of 512 x 512.

The largest activations of a Stable Diffusion autoencoder are 128 to 256 channels at full size, so that a call
takes about 4 GB in ``float32``, however many images there are.
"""

_SIGNS = "out of memory", "can't allocate memory", "not enough memory"
"""How messages of torch name the fault where its type does not: the CPU, and libraries below CUDA."""


def parts(count: int, *, height: int, width: int) -> int:
    """Number of calls of an autoencoder for ``count`` images of this size, one at least."""
    per_call = max(1, MAX_PIXELS // (height * width))
    return max(1, math.ceil(count / per_call))


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether the exception says that the memory of the device or of the machine did not suffice."""
    if isinstance(fault, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(fault, RuntimeError) and any(sign in str(fault).lower() for sign in _SIGNS)


@contextmanager
def memory_needed(task: str, *, remedy: str) -> Iterator[None]:
    """A context in which running out of memory is an error of one line.

    Args:
        task: What is done, as in "not enough memory to ...".
        remedy: What the user can do.

    Raises:
        EvenhandError: The memory did not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as fault:
        if not is_out_of_memory(fault):
            raise
        raise EvenhandError(f"not enough memory to {task} ({reason(fault)}); {remedy}") from fault


def reason(fault: BaseException) -> str:
    """The first sentence of an exception's message, or its type."""
    lines = str(fault).strip().splitlines()
    return lines[0].split(". ")[0][:200] if lines else type(fault).__name__


def release() -> None:
    """Return unused memory to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
