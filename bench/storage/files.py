"""Atomic writes, temporary files, file names and the lock of a run folder.

Every write goes to a temporary name and is then renamed, so a killed process leaves only complete files.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.regular_file import check_no_fifo, open_regular

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Names of files that are not yet complete; a killed process leaves them behind."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to a temporary file in the same folder, then rename it to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def copy_atomically(source: Path, target: Path, *, max_bytes: int = 2**40) -> None:
    """Copy a regular file to a temporary name in the folder of ``target``, then rename it.

    Raises:
        OSError: The file cannot be read, is not regular, or has more than ``max_bytes``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open_regular(source, max_bytes=max_bytes) as file, temporary.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove temporary files of killed processes; the caller must hold the lock of the folder."""
    # Path objects for a million images would take ten times as long.
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".tmp") and TEMPORARY.fullmatch(name):
                Path(place, name).unlink()


def folder_name(label: str) -> str:
    """The label as a file name: special characters become ``_``, and a short hash keeps names distinct."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", label)
    return plain if plain == label else f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the run folder for this process.

    Raises:
        EvenhandError: Another process has locked it, or its file system does not support locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_no_fifo(folder / ".lock")
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as fault:
        raise EvenhandError(
            f"{folder}: run folder is in use by another process; wait for it, or choose another --out"
        ) from fault
    except (OSError, RuntimeError) as fault:  # the latter for file systems without locks
        reason = getattr(fault, "strerror", None) or str(fault)
        raise EvenhandError(
            f"{folder}: run folder cannot be locked ({reason}); choose an --out on a local disk"
        ) from fault
    try:
        yield
    finally:
        lock.release()
