"""Engines: generate and judge images in this process, in several processes, or on several machines.

An engine prefetches: its workers generate and judge missing images into the run folder, where the run then
finds them. Therefore all engines give the same bytes, and the run itself does whatever an engine has not
done.
"""

from __future__ import annotations

import importlib.util

import torch

from evenhand.bench.engines.script_guard import end_if_imported_again
from evenhand.bench.engines.worker import Assignment
from evenhand.bench.engines.worker_pool import WorkerPool
from evenhand.bench.errors import EvenhandError, unknown

ENGINES = ("local", "ray")
"""``local``: this machine, with one process per accelerator if it has several. ``ray``: a Ray cluster."""


def check_engine(engine: str, *, workers: int) -> None:
    """Check that an engine is known and installed, before anything is loaded.

    Raises:
        EvenhandError: The engine is unknown or not installed, or the number of workers is negative.
        SystemExit: This process is a worker that imports the script of the run.
    """
    end_if_imported_again()
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise EvenhandError("engine 'ray' needs the package ray; run pip install 'evenhand[ray]'")
    if workers < 0:
        raise EvenhandError(f"workers must be a non-negative integer, got {workers}; use 0 for the default")


def start(engine: str, *, workers: int, device: torch.device, assignment: Assignment) -> WorkerPool | None:
    """Start the worker pool of an engine; ``None`` if this process works alone.

    Args:
        engine: One of :data:`ENGINES`.
        workers: Number of generating workers; 0 for one per accelerator if there are several, and else the
            default of the engine.
        device: Device of the model in this process; workers use the same kind of device.
        assignment: The run.

    Raises:
        EvenhandError: The cluster cannot be reached, or lacks the kind of device.
    """
    if engine == "ray":
        from evenhand.bench.engines.ray_pool import RayPool

        return RayPool(assignment, workers=workers, device=device)
    from evenhand.bench.engines.local_pool import LocalPool, accelerators

    if workers == 0 and len(accelerators()) < 2:
        return None
    return LocalPool(assignment, workers=workers or len(accelerators()))
