"""Local workers do not outlive the run process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PATIENCE = 120.0
"""Seconds after which a process is given up, however slow the machine."""

RUN = """
import multiprocessing, sys
from helpers import orphans

if __name__ == "__main__":
    work = getattr(orphans, sys.argv[2])
    process = multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1],))
    process.start()
    process.join()
"""


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


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
