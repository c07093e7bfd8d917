"""Where a run's images are drawn and judged: in this process, in several, or on several machines.

An engine makes nothing of its own. It works ahead: its workers draw and judge what the plan still lacks,
into the same folder, and the run then finds all of it made. So every engine has the same plan, the same
store and the same bytes, and what it does not make, the run makes itself.
"""

from __future__ import annotations

import importlib.util

import torch

from evenhand.bench.engines.worker import Assignment
from evenhand.bench.engines.worker_pool import WorkerPool
from evenhand.bench.errors import EvenhandError, unknown

ENGINES = ("local", "ray")
"""``local``: this machine, with a process for each accelerator if it has several. ``ray``: a Ray cluster."""


def check_engine(engine: str, *, workers: int) -> None:
    """Refuse an engine that is unknown or not installed, before anything is loaded.

    Raises:
        EvenhandError: It is, or the number of workers is negative.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise EvenhandError("engine 'ray' needs the package ray; install it with pip install 'evenhand[ray]'")
    if workers < 0:
        raise EvenhandError(
            f"workers {workers} is negative; give how many draw, or 0 for the engine's choice"
        )


def start(engine: str, *, workers: int, device: torch.device, assignment: Assignment) -> WorkerPool | None:
    """The workers of an engine, or ``None`` where this process works alone.

    Args:
        engine: One of :data:`ENGINES`.
        workers: Workers that draw; 0 for one per accelerator, or on the CPU the engine's own choice.
        device: Where this process has the model; the workers have theirs on the same kind.
        assignment: The run that they work for.

    Raises:
        EvenhandError: The cluster cannot be reached, or has no accelerator where this process has one.
    """
    if engine == "ray":
        from evenhand.bench.engines.ray_pool import RayPool

        return RayPool(assignment, workers=workers, device=device)
    from evenhand.bench.engines.local_pool import LocalPool, accelerators

    count = workers or max(1, len(accelerators()))
    return LocalPool(assignment, workers=count) if count > 1 else None
