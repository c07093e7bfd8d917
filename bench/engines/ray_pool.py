"""Workers as actors of a Ray cluster: two pools, one that draws and one that judges."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, cast

import torch

from evenhand.bench.engines.worker import Assignment, Block, Done, Worker
from evenhand.bench.engines.worker_pool import Role, WorkerHandle, WorkerLostError, WorkerPool
from evenhand.bench.errors import EvenhandError

SHARES: dict[Role, float] = {"draw": 0.75, "judge": 0.25}
"""What a worker takes of a core or an accelerator: one of each role shares one."""


SWITCHES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Of a cluster that is started here: it tells nobody of its use, and its workers do not stand back."""

INHERITED = ("HF_HUB_OFFLINE",)
"""Switches of this process that hold for its workers too."""


class RayPool(WorkerPool):
    """Actors: on every core or accelerator of the cluster one that draws and one that judges.

    The cluster is the one that this process has joined, that ``RAY_ADDRESS`` names or that runs on this
    machine; without any, one is started for the run. Machines may join and leave meanwhile.

    Args:
        assignment: The run.
        workers: Workers that draw at most; 0 for as many as there is room for.
        device: Kind of the device that they work on.

    Raises:
        EvenhandError: The cluster cannot be reached, has no such device, or too few.
    """

    def __init__(self, assignment: Assignment, *, workers: int, device: torch.device) -> None:
        # Ray is an extra, and the package must import without it.
        import ray

        self._ray = ray
        self._joined = not ray.is_initialized()
        if self._joined:
            self._join()
        self._kind = "GPU" if device.type == "cuda" else "CPU"
        self._most = workers
        self._assignment = ray.put(assignment)
        self._workers: list[_Actor] = []
        self._check()

    def _join(self) -> None:
        for name, value in SWITCHES.items():
            os.environ.setdefault(name, value)
        try:
            self._ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as fault:
            raise EvenhandError(
                f"no Ray cluster at RAY_ADDRESS {os.environ.get('RAY_ADDRESS', '')!r}; start one with "
                "ray start, or unset RAY_ADDRESS to use this machine alone"
            ) from fault

    def _check(self) -> None:
        room = self._room(self._kind)
        if self._kind == "CPU" and self._room("GPU"):
            raise EvenhandError(
                "the Ray cluster has accelerators and this machine has none, on which methods are fitted; "
                "run the command on a machine of the cluster that has one"
            )
        if room < max(1, self._most):
            raise EvenhandError(
                f"the Ray cluster has room for {room} workers on a {self._kind} each, not for "
                f"{max(1, self._most)}; add machines or give fewer --workers"
            )

    def _room(self, kind: str) -> int:
        return int(self._ray.cluster_resources().get(kind, 0))

    def size(self, role: Role) -> int:
        """As many of each role as the cluster has room for now, or as were asked for."""
        return min(self._room(self._kind), self._most or self._room(self._kind))

    def start(self, role: Role) -> WorkerHandle:
        """A new actor."""
        share = SHARES[role]
        place = {"num_gpus": share, "num_cpus": 0} if self._kind == "GPU" else {"num_cpus": share}
        switches = {name: os.environ[name] for name in INHERITED if name in os.environ}
        actor = self._ray.remote(Worker).options(**place, runtime_env={"env_vars": switches})
        worker = _Actor(self._ray, actor.remote(self._assignment, cores=1))
        self._workers.append(worker)
        return worker

    def first(self, busy: Sequence[WorkerHandle]) -> WorkerHandle:
        """Waits on the answers; a lost actor answers with its loss."""
        workers = {worker.reference: worker for worker in cast(Sequence[_Actor], busy)}
        ready, _ = self._ray.wait(list(workers), num_returns=1)
        return workers[ready[0]]

    def close(self) -> None:
        """End the actors, and a cluster that was started for the run."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        if self._joined:
            self._ray.shutdown()


class _Actor(WorkerHandle):
    """A worker that is an actor."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self.actor = actor
        self.reference: Any = None

    def give(self, block: Block) -> None:
        self.reference = self.actor.answer.remote(block)

    def answer(self) -> Done | Exception:
        try:
            return cast(Done | Exception, self._ray.get(self.reference))
        except self._ray.exceptions.RayActorError as fault:
            raise WorkerLostError(str(fault).splitlines()[0]) from fault
