"""Runs independent computations on several threads and returns their results in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 4
"""Maximum number of threads; each needs a few hundred megabytes."""


def in_threads(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Results of the tasks, in their order; numpy releases the interpreter lock while it computes."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda task: task(), tasks)
