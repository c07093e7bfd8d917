"""Workers as processes of this machine: one for each accelerator."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import cast

import torch

from evenhand.bench.engines.worker import Assignment, Block, Done, Worker
from evenhand.bench.engines.worker_pool import Role, WorkerHandle, WorkerLostError, WorkerPool

VISIBLE = "CUDA_VISIBLE_DEVICES"


def accelerators() -> list[str]:
    """The accelerators of this machine that may be used, as CUDA names them to a process."""
    named = os.environ.get(VISIBLE, "")
    every = named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]
    return every[: torch.cuda.device_count()]


class LocalPool(WorkerPool):
    """Drawing workers, each with an accelerator or a share of the cores, and as many that judge on the same.

    Args:
        assignment: The run.
        workers: Workers that draw.
    """

    def __init__(self, assignment: Assignment, *, workers: int) -> None:
        self._assignment = assignment
        self._places = accelerators()
        self._size = workers
        self._cores = max(1, (os.cpu_count() or 1) // workers)
        self._workers: list[_Process] = []
        self._hired = {"draw": 0, "judge": 0}

    def size(self, role: Role) -> int:
        """As many of each role."""
        return self._size

    def start(self, role: Role) -> WorkerHandle:
        """A new process; accelerators are given out in turn."""
        place = self._places[self._hired[role] % len(self._places)] if self._places else None
        self._hired[role] += 1
        worker = _Process(self._assignment, cores=self._cores, place=place)
        self._workers.append(worker)
        return worker

    def first(self, busy: Sequence[WorkerHandle]) -> WorkerHandle:
        """Waits on the pipes; that of a lost worker ends, which counts as an answer."""
        workers = {worker.pipe: worker for worker in cast(Sequence[_Process], busy)}
        return workers[cast(Connection, wait(list(workers))[0])]

    def close(self) -> None:
        """Kill what still runs: all that is written is written by renaming."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()


class _Process(WorkerHandle):
    """A worker in a process of its own, spoken to through a pipe."""

    def __init__(self, assignment: Assignment, *, cores: int, place: str | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, assignment, cores, place), daemon=True)
        self._process.start()
        other.close()

    def give(self, block: Block) -> None:
        try:
            self.pipe.send(block)
        except OSError:  # it ended since; the answer says so
            return

    def answer(self) -> Done | Exception:
        try:
            found = self.pipe.recv()
        except (EOFError, OSError) as fault:
            self._process.join()
            ending = _ending(self._process.exitcode)
            raise WorkerLostError(f"process {self._process.pid}, {ending}") from fault
        return cast(Done | Exception, found)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _ending(code: int | None) -> str:
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(pipe: Connection, assignment: Assignment, cores: int, place: str | None) -> None:
    """The life of a worker's process: it ends when the pipe does, as it does with the run's process."""
    # Ctrl-C reaches every process of a terminal; the run's own one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if place is not None:
        os.environ[VISIBLE] = place
    worker = Worker(assignment, cores=cores)
    while True:
        try:
            block = pipe.recv()
        except EOFError:
            return
        pipe.send(worker.answer(block))
