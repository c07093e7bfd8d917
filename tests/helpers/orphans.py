"""A worker that is in the middle of a block for ever."""

import os
import threading
import time
from pathlib import Path

from evenhand.bench.engines.local_pool import end_with_parent


def work_forever(told: str) -> None:
    """Write the number of this process to a file, then never end by itself."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    path = Path(told)
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)
    while True:
        time.sleep(3600)
