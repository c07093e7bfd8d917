"""Workers that are in the middle of a block for ever."""

import ctypes
import os
import time
from pathlib import Path

from evenhand.bench.engines.local_pool import end_with_parent


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


def _tell(told: str) -> None:
    path = Path(told)
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)
