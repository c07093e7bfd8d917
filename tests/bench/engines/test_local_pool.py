"""Local workers do not outlive the run process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.orphans import is_alive, wait_until

pytestmark = pytest.mark.slow

RUN = """
import multiprocessing, sys
from helpers import orphans

if __name__ == "__main__":
    work = getattr(orphans, sys.argv[2])
    process = multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1],))
    process.start()
    process.join()
"""


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks processes up in /proc")
@pytest.mark.parametrize("work", ["work_forever", "compute_forever"])
def test_a_worker_ends_when_the_run_process_is_killed(tmp_path, work):
    script, told = tmp_path / "run.py", tmp_path / "pid"
    script.write_text(RUN)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen([sys.executable, script, told, work], env=environment, cwd=tmp_path)
    wait_until(told.is_file)
    pid = int(told.read_text())
    assert is_alive(pid)
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: not is_alive(pid))
