"""Local workers are started when asked for, and do not outlive the run process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.orphans import is_alive, wait_until

from evenhand.bench.engines import start
from evenhand.bench.engines.local_pool import _exit_reason
from evenhand.bench.engines.worker import Assignment

RUN = """
import multiprocessing, sys
from helpers import orphans

if __name__ == "__main__":
    work = getattr(orphans, sys.argv[2])
    process = multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1],))
    process.start()
    process.join()
"""


@pytest.mark.parametrize(
    ("asked", "accelerators", "workers"), [(0, 0, 0), (0, 1, 0), (0, 3, 3), (1, 0, 1), (1, 1, 1), (2, 1, 2)]
)
def test_workers_are_started_if_asked_for_or_if_there_are_several_accelerators(
    monkeypatch, tmp_path, asked, accelerators, workers
):
    monkeypatch.setattr(
        "evenhand.bench.engines.local_pool.accelerators", lambda: [str(n) for n in range(accelerators)]
    )
    pool = start("local", workers=asked, device=torch.device("cpu"), assignment=Assignment(tmp_path))
    assert (pool.size() if pool else 0) == workers


def test_only_a_worker_that_was_killed_may_have_lacked_memory():
    assert _exit_reason(-signal.SIGKILL) == "killed by signal 9, possibly out of memory"
    assert _exit_reason(1) == "exit code 1, after the error above"


@pytest.mark.slow
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
