"""Files that are no files, and a watch that ends a hang or a flood of memory as a failure of the test."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SECONDS, MEMORY = 30.0, 2**30
"""What reading an input may take: seconds, and bytes of memory besides those in use."""

RESERVED = 3 * 2**30
"""Bytes of address space besides those in use, most of which threads reserve and never use. It ends a flood
before the machine is out of memory."""


class HangError(BaseException):
    """The watched code did not end in time; no handler of ``Exception`` can mistake it for a damaged file."""


@contextmanager
def watched(*, seconds: float = SECONDS, charts: bool = False) -> Iterator[None]:
    """Raise :class:`HangError` after ``seconds``, and ``MemoryError`` beyond :data:`MEMORY`.

    With ``charts``, address space is not limited: the renderer of charts reserves more of it.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise HangError(f"not finished after {seconds:.0f} seconds")

    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    handler = signal.signal(signal.SIGALRM, stop)
    if not charts:
        resource.setrlimit(resource.RLIMIT_AS, (in_use + RESERVED, before[1]))
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    resident = _memory("VmRSS")
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
        if _memory("VmHWM") > resident + MEMORY:
            raise MemoryError(f"took {(_memory('VmHWM') - resident) / 2**30:.1f} GiB")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)


def _memory(field: str) -> int:
    """A field of the process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def folder(path: Path) -> None:
    """A folder in place of a file."""
    path.mkdir()


def fifo(path: Path) -> None:
    """A FIFO that nobody writes to: opening it for reading or for appending blocks."""
    os.mkfifo(path)


def endless(path: Path) -> None:
    """A link to a device without end."""
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    """A file of a terabyte that takes no disk."""
    with path.open("wb") as file:
        file.truncate(2**40)


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


NOT_FILES: dict[str, Callable[[Path], None]] = {
    "folder": folder,
    "fifo": fifo,
    "endless": endless,
    "sparse": sparse,
    "loop": loop,
}
"""What stands in place of a file, each made at a path that does not exist yet."""


def replace(path: Path, make: Callable[[Path], None]) -> None:
    """Put something else at the path of a file, or where none is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
