"""The log of a run folder: ``run.log`` lists what every command did and which files were damaged.

Modules use the standard library for logging; :class:`Progress` also shows warnings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evenhand.bench.parsing.regular_file import check_no_fifo

LOG_FILE = "run.log"

ROOT = logging.getLogger("evenhand")
"""The parent of every logger of the package."""


class _File(logging.FileHandler):
    """Appends lines; unlike other handlers, raises disk errors so that they stop the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        raise


@contextmanager
def logged(folder: Path, task: str) -> Iterator[None]:
    """Log to ``folder`` that ``task`` starts, all messages, and how it ends."""
    check_no_fifo(folder / LOG_FILE)
    handler = _File(folder / LOG_FILE, encoding="utf-8")
    handler.formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    handler.formatter.converter = time.gmtime
    level = ROOT.level
    ROOT.setLevel(logging.INFO)
    ROOT.addHandler(handler)
    try:
        ROOT.info("%s started", task)
        yield
        ROOT.info("%s finished", task)
    except BaseException as fault:
        # If the disk is full, keep the original exception.
        with suppress(OSError):
            ROOT.info("%s stopped: %s", task, str(fault) or type(fault).__name__)
        raise
    finally:
        ROOT.removeHandler(handler)
        ROOT.setLevel(level)
        handler.close()
