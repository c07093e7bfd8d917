"""Workers of both engines that are in the middle of a block for ever."""

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

from evenhand.bench.engines.local_pool import end_with_parent
from evenhand.bench.engines.worker import Assignment, Block

PATIENCE = 240.0
"""Seconds after which a process is given up, however slow the machine."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; a failed assertion after :data:`PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether this process runs, by ``/proc``; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def work_forever(told: str) -> None:
    """Write the number of this process to a file, then never end by itself."""
    end_with_parent()
    _tell(told)
    while True:
        time.sleep(3600)


def compute_forever(told: str) -> None:
    """The same, in native code that holds the interpreter, so that no thread of Python runs."""
    end_with_parent()
    _tell(told)
    ctypes.PyDLL(None).pause()


class Actor:
    """In place of the worker of a Ray cluster; its pool makes it an actor."""

    def __init__(self, assignment: Assignment, *, cores: int) -> None:
        self._told = str(assignment.run / "pid")

    def answer(self, block: Block) -> None:
        """Work on a block, in native code that holds the interpreter, and never answer."""
        _tell(self._told)
        ctypes.PyDLL(None).pause()


def _tell(told: str) -> None:
    path = Path(told)
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)
