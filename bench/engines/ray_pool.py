"""Workers as actors of a Ray cluster, for generating and for judging."""

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
"""Share of a core or accelerator per worker; one worker of each role shares a device."""

CLUSTER_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Environment of a cluster that is started here: no usage statistics, normal process priority."""

INHERITED = ("HF_HUB_OFFLINE",)
"""Environment variables that workers inherit from this process."""


class RayPool(WorkerPool):
    """One generating and one judging actor on every core or accelerator of the cluster.

    Uses the cluster that this process has joined, that ``RAY_ADDRESS`` names or that runs on this machine;
    otherwise starts one for the run. Machines may join and leave during the run.

    Args:
        assignment: The run.
        workers: Maximum number of workers of each role; 0 for as many as the cluster has devices.
        device: Kind of device of the workers.

    Raises:
        EvenhandError: The cluster cannot be reached or has too few devices.
    """

    def __init__(self, assignment: Assignment, *, workers: int, device: torch.device) -> None:
        # Ray is an optional dependency.
        import ray

        self._ray = ray
        self._joined = not ray.is_initialized()
        if self._joined:
            self._join()
        self._kind = "GPU" if device.type == "cuda" else "CPU"
        self._max_workers = workers
        self._assignment = ray.put(assignment)
        self._workers: list[_Actor] = []
        self._check()

    def _join(self) -> None:
        for name, value in CLUSTER_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            self._ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as fault:
            raise EvenhandError(
                f"no Ray cluster found at RAY_ADDRESS={os.environ.get('RAY_ADDRESS', '')!r}; start one with "
                "ray start, or unset RAY_ADDRESS to use only this machine"
            ) from fault

    def _check(self) -> None:
        devices = self._devices(self._kind)
        if self._kind == "CPU" and self._devices("GPU"):
            raise EvenhandError(
                "the Ray cluster has accelerators, but this machine, which fits the methods, "
                "has none; run the "
                "command on a machine with an accelerator"
            )
        if devices < max(1, self._max_workers):
            raise EvenhandError(
                f"the Ray cluster has a {self._kind} for {devices} workers, not for "
                f"{max(1, self._max_workers)}; add machines or use fewer --workers"
            )

    def _devices(self, kind: str) -> int:
        return int(self._ray.cluster_resources().get(kind, 0))

    def size(self) -> int:
        """The number of devices of the cluster at the moment, or the requested number if it is smaller."""
        return min(self._devices(self._kind), self._max_workers or self._devices(self._kind))

    def start(self, role: Role) -> WorkerHandle:
        """Start an actor."""
        share = SHARES[role]
        place = {"num_gpus": share, "num_cpus": 0} if self._kind == "GPU" else {"num_cpus": share}
        variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
        actor = self._ray.remote(Worker).options(**place, runtime_env={"env_vars": variables})
        worker = _Actor(self._ray, actor.remote(self._assignment, cores=1))
        self._workers.append(worker)
        return worker

    def first(self, busy: Sequence[WorkerHandle]) -> WorkerHandle:
        """Wait on the answers; the loss of an actor counts as an answer."""
        workers = {worker.reference: worker for worker in cast(Sequence[_Actor], busy)}
        ready, _ = self._ray.wait(list(workers), num_returns=1)
        return workers[ready[0]]

    def close(self) -> None:
        """Kill the actors, and shut down a cluster that was started for the run."""
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

    def submit(self, block: Block) -> None:
        self.reference = self.actor.answer.remote(block)

    def answer(self) -> Done | Exception:
        try:
            return cast(Done | Exception, self._ray.get(self.reference))
        except self._ray.exceptions.RayActorError as fault:
            raise WorkerLostError(str(fault).splitlines()[0]) from fault
