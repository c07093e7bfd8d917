"""The interface of worker pools, and the scheduler that gives them blocks."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from evenhand.bench.engines.worker import Block, Done, DrawBlock, FitBlock, JudgeBlock
from evenhand.bench.errors import EvenhandError

_log = logging.getLogger(__name__)

Role = Literal["draw", "judge"]

MAX_LOSSES = 3
"""The run stops after so many workers were lost on the same block, since the block must be the cause."""

MAX_QUEUED = 2
"""Maximum number of queued blocks per judging worker; generation pauses beyond it."""


class WorkerLostError(Exception):
    """A worker ended without an answer."""


class WorkerHandle(ABC):
    """A worker as seen by the run: takes a block and returns the answer."""

    @abstractmethod
    def submit(self, block: Block) -> None:
        """Start ``block``."""

    @abstractmethod
    def answer(self) -> Done | Exception:
        """Wait for the result of the block, or the exception that the worker raised.

        Raises:
            WorkerLostError: The worker has ended.
            EvenhandError: No worker can work, because the script that starts them has no guard.
        """


class WorkerPool(ABC):
    """The workers of a run; as a context manager, it ends all of them on exit."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    @abstractmethod
    def size(self) -> int:
        """Maximum number of workers of each role at the moment."""

    @abstractmethod
    def start(self, role: Role) -> WorkerHandle:
        """Start a worker."""

    @abstractmethod
    def first(self, busy: Sequence[WorkerHandle]) -> WorkerHandle:
        """Wait for the first of these workers that has an answer or is lost."""

    @abstractmethod
    def close(self) -> None:
        """End all workers."""


@dataclass
class Scheduler:
    """Distributes blocks to the workers of a pool.

    Attributes:
        pool: The workers.
        following: Returns the judging block that follows a generated block, if any.
        done: Called for every finished block.
    """

    pool: WorkerPool
    following: Callable[[DrawBlock], JudgeBlock | None]
    done: Callable[[Block, Done], None]

    def run(self, *, draw: Iterable[DrawBlock | FitBlock], judge: Iterable[JudgeBlock] = ()) -> None:
        """Run all blocks; workers that draw also fit.

        Raises:
            EvenhandError: A worker failed, or too many workers were lost on a block.
        """
        self._waiting: dict[Role, deque[Block]] = {"judge": deque(judge), "draw": deque(draw)}
        self._idle: dict[Role, list[WorkerHandle]] = {"judge": [], "draw": []}
        self._busy: dict[WorkerHandle, tuple[Role, Block]] = {}
        self._losses: Counter[Block] = Counter()
        while True:
            self._assign("judge")
            self._assign("draw")
            if not self._busy:
                break
            self._collect(self.pool.first(list(self._busy)))
        if any(self._waiting.values()):
            raise EvenhandError("no worker is left; add machines and run the same command again")

    def _assign(self, role: Role) -> None:
        waiting, idle = self._waiting[role], self._idle[role]
        while waiting and not (role == "draw" and self._judging_is_behind()):
            started = len(idle) + sum(kind == role for kind, _ in self._busy.values())
            if not idle and started >= self.pool.size():
                return
            worker, block = idle.pop() if idle else self.pool.start(role), waiting.popleft()
            self._busy[worker] = role, block
            worker.submit(block)

    def _judging_is_behind(self) -> bool:
        return len(self._waiting["judge"]) >= MAX_QUEUED * self.pool.size()

    def _collect(self, worker: WorkerHandle) -> None:
        role, block = self._busy.pop(worker)
        try:
            found = worker.answer()
        except WorkerLostError as loss:
            self._retry(role, block, loss)
            return
        if isinstance(found, Exception):
            raise found
        self._idle[role].append(worker)
        self.done(block, found)
        if isinstance(block, DrawBlock) and (following := self.following(block)) is not None:
            self._waiting["judge"].append(following)

    def _retry(self, role: Role, block: Block, loss: WorkerLostError) -> None:
        self._losses[block] += 1
        if self._losses[block] == MAX_LOSSES:
            raise EvenhandError(
                f"{MAX_LOSSES} workers ended on the same block of {block.method} ({loss}); "
                "use fewer --workers and run the same command again"
            ) from loss
        _log.warning("a worker ended (%s); its block is repeated", loss)
        self._waiting[role].appendleft(block)
