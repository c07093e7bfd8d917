"""Folders that are expensive to make: once for all workers of a test session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def session_folder() -> Path:
    """The folder that all workers of this session share; the main process removes it at the end."""
    # Workers of pytest-xdist are children of the main process.
    main = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    return Path(tempfile.gettempdir()) / f"evenhand-tests-{main}"


def shared(name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker that needs it makes; must not be modified.

    Args:
        name: Its name, unique in the tests.
        make: Writes the content into a folder that does not exist yet.
    """
    folder = session_folder() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):
        if not folder.exists():
            unfinished = folder.with_name(f"{name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder
