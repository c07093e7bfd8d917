"""Workers as processes on this machine, one for each accelerator."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import cast

import torch

from evenhand.bench.engines.script_guard import IMPORTED_AGAIN, script_without_guard
from evenhand.bench.engines.worker import Assignment, Block, Done, Worker
from evenhand.bench.engines.worker_pool import Role, WorkerHandle, WorkerLostError, WorkerPool

VISIBLE = "CUDA_VISIBLE_DEVICES"

_PR_SET_PDEATHSIG = 1
"""The option of prctl(2) that names the signal which a process gets when its parent ends."""


def accelerators() -> list[str]:
    """Ids of the accelerators that may be used, as in ``CUDA_VISIBLE_DEVICES``."""
    named = os.environ.get(VISIBLE, "")
    every = named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]
    return every[: torch.cuda.device_count()]


class LocalPool(WorkerPool):
    """Generating workers, each with an accelerator or a share of the cores, and as many judging workers.

    Args:
        assignment: The run.
        workers: Number of workers of each role.
    """

    def __init__(self, assignment: Assignment, *, workers: int) -> None:
        self._assignment = assignment
        self._accelerators = accelerators()
        self._size = workers
        self._cores = max(1, (os.cpu_count() or 1) // workers)
        self._workers: list[_Process] = []
        self._started = {"draw": 0, "judge": 0}

    def size(self) -> int:
        """The number of workers, the same for each role."""
        return self._size

    def start(self, role: Role) -> WorkerHandle:
        """Start a process; accelerators are assigned in turn."""
        accelerator = (
            self._accelerators[self._started[role] % len(self._accelerators)] if self._accelerators else None
        )
        self._started[role] += 1
        worker = _Process(self._assignment, cores=self._cores, accelerator=accelerator)
        self._workers.append(worker)
        return worker

    def first(self, busy: Sequence[WorkerHandle]) -> WorkerHandle:
        """Wait on the pipes; the pipe of a lost worker is closed, which counts as an answer."""
        workers = {worker.pipe: worker for worker in cast(Sequence[_Process], busy)}
        return workers[cast(Connection, wait(list(workers))[0])]

    def close(self) -> None:
        """Kill all workers; this is safe because all writes are atomic."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()


class _Process(WorkerHandle):
    """A worker in a separate process, connected by a pipe."""

    def __init__(self, assignment: Assignment, *, cores: int, accelerator: str | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, assignment, cores, accelerator), daemon=True
        )
        self._process.start()
        other.close()

    def submit(self, block: Block) -> None:
        try:
            self.pipe.send(block)
        except OSError:  # the process has ended; answer() reports it
            return

    def answer(self) -> Done | Exception:
        try:
            found = self.pipe.recv()
        except (EOFError, OSError) as fault:
            self._process.join()
            if self._process.exitcode == IMPORTED_AGAIN:
                raise script_without_guard() from fault
            reason = _exit_reason(self._process.exitcode)
            raise WorkerLostError(f"process {self._process.pid}, {reason}") from fault
        return cast(Done | Exception, found)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by signal {-code}, possibly out of memory"
    return f"exit code {code}, after the error above"


def _serve(pipe: Connection, assignment: Assignment, cores: int, accelerator: str | None) -> None:
    """Main function of a worker process; returns when the pipe is closed, also by the end of the run."""
    follow_parent()
    if accelerator is not None:
        os.environ[VISIBLE] = accelerator
    worker = Worker(assignment, cores=cores)
    while True:
        try:
            block = pipe.recv()
        except EOFError:
            return
        pipe.send(worker.answer(block))


def follow_parent() -> None:
    """Leave it to the process that started this one to end it, by an interruption or by its own end."""
    # Ctrl-C reaches all processes of a terminal; the run process ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A run process that is killed cannot end its workers, which would keep running.
    end_with_parent()


def end_with_parent() -> None:
    """End this process when the one that started it ends, whatever this one does.

    Linux kills it. Elsewhere, and if the other one has ended already, a thread does; it has to wait while
    native code holds the interpreter.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
