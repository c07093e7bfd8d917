"""Changing what enters a text encoder: its input rows, the sums of token and position embedding.

A CLIP text encoder of transformers takes token ids only. A hook on its embeddings, set once, lets one call
see other rows while the encoder itself, causal mask and all, runs as it is. Batches are encoded in parallel
threads, so the change is a context variable, which every thread has for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from evenhand.bench.errors import EvenhandError

Rows = Callable[[Tensor], Tensor]
"""From the input rows ``(n, length, d)`` of one encoder to those that it goes on with."""

_CHANGE: ContextVar[Rows | None] = ContextVar("change of a text encoder's input rows", default=None)


def prepare(encoder: nn.Module) -> None:
    """Make the encoder heed :func:`changed_rows`; its embeddings are found by their class in transformers."""
    for module in encoder.modules():
        if type(module).__name__ == "CLIPTextEmbeddings":
            module.register_forward_hook(_through)
            return
    raise EvenhandError(
        f"text encoder {type(encoder).__name__} is not a CLIP; use a Stable Diffusion 1.x, 2.x or SDXL model"
    )


@contextmanager
def changed_rows(change: Rows | None) -> Iterator[None]:
    """Within the context, and in this thread alone, input rows pass through ``change``."""
    token = _CHANGE.set(change)
    try:
        yield
    finally:
        _CHANGE.reset(token)


def _through(module: nn.Module, inputs: tuple[Any, ...], rows: Tensor) -> Tensor:
    change = _CHANGE.get()
    return rows if change is None else change(rows)
