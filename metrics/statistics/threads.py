"""Doing independent pieces of the arithmetic on several threads; the results come in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 4
"""Threads at most; each needs a few hundred megabytes."""


def in_threads(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What the tasks return, in their order; numpy lets other threads run while it computes."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda task: task(), tasks)
