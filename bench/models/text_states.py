"""Changes the input rows of a text encoder, which are the sums of token and position embeddings.

A CLIP text encoder of transformers only accepts token ids. A hook on its embedding layer replaces the input
rows for a call; the encoder itself, including the causal mask, is unchanged. Batches are encoded in parallel
threads, so the change is a context variable, which is local to each thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from evenhand.bench.errors import EvenhandError

Rows = Callable[[Tensor], Tensor]
"""A function from input rows ``(n, length, d)`` of an encoder to the rows to use instead."""

_CHANGE: ContextVar[Rows | None] = ContextVar("change of a text encoder's input rows", default=None)


def prepare(encoder: nn.Module) -> None:
    """Install the hook for :func:`changed_rows` on a CLIP text encoder of transformers."""
    for module in encoder.modules():
        if type(module).__name__ == "CLIPTextEmbeddings":
            module.register_forward_hook(_through)
            return
    raise EvenhandError(
        f"text encoder {type(encoder).__name__} is not a CLIP encoder; use a Stable Diffusion "
        "1.x, 2.x or SDXL model"
    )


@contextmanager
def changed_rows(change: Rows | None) -> Iterator[None]:
    """Apply ``change`` to input rows within the context, in this thread only."""
    token = _CHANGE.set(change)
    try:
        yield
    finally:
        _CHANGE.reset(token)


def _through(module: nn.Module, inputs: tuple[Any, ...], rows: Tensor) -> Tensor:
    change = _CHANGE.get()
    return rows if change is None else change(rows)
