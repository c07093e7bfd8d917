"""A pool of workers, and how blocks flow through it: drawn by some, judged by others."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from evenhand.bench.engines.worker import Block, Done, DrawBlock, JudgeBlock
from evenhand.bench.errors import EvenhandError

_log = logging.getLogger(__name__)

Role = Literal["draw", "judge"]

LOSSES = 3
"""Workers that one block may cost before the run stops: then the block is what kills them."""

AHEAD = 2
"""Blocks per judging worker that may wait for it; until then drawing pauses, so that a slow judge shows."""


class WorkerLostError(Exception):
    """A worker ended without an answer."""


class WorkerHandle(ABC):
    """One worker, seen from the run: it is given a block and asked for the answer."""

    @abstractmethod
    def give(self, block: Block) -> None:
        """Begin with ``block``."""

    @abstractmethod
    def answer(self) -> Done | Exception:
        """What came of the block, or the fault that the worker met; waits for it.

        Raises:
            WorkerLostError: The worker ended meanwhile.
        """


class WorkerPool(ABC):
    """The workers of one run; a context manager, on leaving which all of them have ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    @abstractmethod
    def size(self, role: Role) -> int:
        """Workers that there is room for now."""

    @abstractmethod
    def start(self, role: Role) -> WorkerHandle:
        """A new worker."""

    @abstractmethod
    def first(self, busy: Sequence[WorkerHandle]) -> WorkerHandle:
        """Waits for the first of these that has an answer or is lost."""

    @abstractmethod
    def close(self) -> None:
        """End all workers."""


@dataclass
class Flow:
    """Blocks on their way through a pool.

    Attributes:
        pool: The workers.
        then: From a block that was drawn to what is still to be judged of it.
        done: Told of every block that is done.
    """

    pool: WorkerPool
    then: Callable[[DrawBlock], JudgeBlock | None]
    done: Callable[[Block, Done], None]

    def run(self, *, draw: Iterable[DrawBlock], judge: Iterable[JudgeBlock]) -> None:
        """Do all blocks.

        Raises:
            EvenhandError: A worker met a fault, or a block cost too many workers.
        """
        self._waiting: dict[Role, deque[Block]] = {"judge": deque(judge), "draw": deque(draw)}
        self._idle: dict[Role, list[WorkerHandle]] = {"judge": [], "draw": []}
        self._busy: dict[WorkerHandle, tuple[Role, Block]] = {}
        self._losses: Counter[Block] = Counter()
        while True:
            self._give("judge")
            self._give("draw")
            if not self._busy:
                break
            self._take(self.pool.first(list(self._busy)))
        if any(self._waiting.values()):
            raise EvenhandError("no worker is left; add machines, then run the same command again")

    def _give(self, role: Role) -> None:
        waiting, idle = self._waiting[role], self._idle[role]
        while waiting and not (role == "draw" and self._is_behind()):
            hired = len(idle) + sum(kind == role for kind, _ in self._busy.values())
            if not idle and hired >= self.pool.size(role):
                return
            worker, block = idle.pop() if idle else self.pool.start(role), waiting.popleft()
            self._busy[worker] = role, block
            worker.give(block)

    def _is_behind(self) -> bool:
        return len(self._waiting["judge"]) >= AHEAD * self.pool.size("judge")

    def _take(self, worker: WorkerHandle) -> None:
        role, block = self._busy.pop(worker)
        try:
            found = worker.answer()
        except WorkerLostError as loss:
            self._again(role, block, loss)
            return
        if isinstance(found, Exception):
            raise found
        self._idle[role].append(worker)
        self.done(block, found)
        if isinstance(block, DrawBlock) and (rest := self.then(block)) is not None:
            self._waiting["judge"].append(rest)

    def _again(self, role: Role, block: Block, loss: WorkerLostError) -> None:
        self._losses[block] += 1
        if self._losses[block] == LOSSES:
            raise EvenhandError(
                f"{LOSSES} workers ended while they did the same block of {block.method} ({loss}); they may "
                "have run out of memory: give fewer --workers, then run the same command again"
            ) from loss
        _log.warning("a worker ended (%s); what it had is done again", loss)
        self._waiting[role].appendleft(block)
