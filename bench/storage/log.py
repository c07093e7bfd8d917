"""The log of a run's folder: ``run.log`` tells, with times in UTC, what every command did and found damaged.

Modules log with the standard library; what they warn of is also shown by :class:`Progress`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOG_FILE = "run.log"

ROOT = logging.getLogger("evenhand")
"""The parent of every logger of the package."""


class _File(logging.FileHandler):
    """Appends lines; a fault of the disk stops the run like every other fault of the disk."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        raise


@contextmanager
def logged(folder: Path, task: str) -> Iterator[None]:
    """Append to the log of ``folder`` that ``task`` began, what happens, and how it ended."""
    handler = _File(folder / LOG_FILE, encoding="utf-8")
    handler.formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    handler.formatter.converter = time.gmtime
    level = ROOT.level
    ROOT.setLevel(logging.INFO)
    ROOT.addHandler(handler)
    try:
        ROOT.info("%s begins", task)
        yield
        ROOT.info("%s is finished", task)
    except BaseException as fault:
        # The disk may be the fault, and that is what is to be told.
        with suppress(OSError):
            ROOT.info("%s stopped: %s", task, str(fault) or type(fault).__name__)
        raise
    finally:
        ROOT.removeHandler(handler)
        ROOT.setLevel(level)
        handler.close()
