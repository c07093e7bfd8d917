"""Simulated workers, without processes."""

from collections import Counter

from evenhand.bench.engines.worker import Done, DrawBlock
from evenhand.bench.engines.worker_pool import WorkerHandle, WorkerPool


class Worker(WorkerHandle):
    """Answers when polled; ``fate`` returns the answer for a block, or raises if the worker is lost."""

    def __init__(self, fate):
        self.fate, self.block = fate, None

    def submit(self, block):
        assert self.block is None, "a worker has one block at a time"
        self.block = block

    def answer(self):
        block, self.block = self.block, None
        return self.fate(block)


class Simulated(WorkerPool):
    """Workers that are polled in the order in which they started, judges only when none draws."""

    def __init__(self, fate=lambda block: Done(1.0), size=2):
        self.fate, self.most = fate, size
        self.started = Counter()

    def size(self):
        return self.most

    def start(self, role):
        self.started[role] += 1
        return Worker(self.fate)

    def first(self, busy):
        drawing = [hand for hand in busy if isinstance(hand.block, DrawBlock)]
        return (drawing or busy)[0]

    def close(self):
        raise AssertionError("the flow leaves the pool to its owner")
