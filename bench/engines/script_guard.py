"""Scripts that start workers without a guard, and that every worker therefore runs again.

A worker process begins by importing the script that started it. Without ``if __name__ == "__main__":``, the
import comes to the call that starts the workers.
"""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

from evenhand.bench.errors import EvenhandError

IMPORTED_AGAIN = 78
"""Exit code of a worker that came to a run or audit while it imported the script."""


def end_if_imported_again() -> None:
    """End this process if it is a worker that has not begun to work, but imports the script.

    Raises:
        SystemExit: With the exit code :data:`IMPORTED_AGAIN`, which tells the process that started it.
    """
    # The mark by which multiprocessing itself refuses to start processes during the import.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(IMPORTED_AGAIN)


def script_without_guard() -> EvenhandError:
    """The error for a worker that ended with :data:`IMPORTED_AGAIN`."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    return EvenhandError(
        f"{Path(script).name if script else 'the script'} starts workers whenever it is imported, and every "
        'worker imports it; put the call that starts them under if __name__ == "__main__":'
    )


def check_script() -> None:
    """Check that a worker process can be started, with one that does nothing.

    Raises:
        EvenhandError: The script has no guard.
    """
    process = multiprocessing.get_context("spawn").Process(target=_nothing)
    process.start()
    process.join()
    if process.exitcode == IMPORTED_AGAIN:
        raise script_without_guard()


def _nothing() -> None:
    """What the process of :func:`check_script` does."""
