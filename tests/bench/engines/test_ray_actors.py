"""Actors of a real Ray cluster do not outlive the run process."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.orphans import is_alive, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs evenhand[ray]"),
    pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks processes up in /proc"),
]

RUN = """
import sys
from pathlib import Path
import torch
from helpers import orphans
from evenhand.bench.engines import ray_pool
from evenhand.bench.engines.worker import Assignment, JudgeBlock

if __name__ == "__main__":
    ray_pool.Worker = orphans.Actor
    assignment = Assignment(Path(sys.argv[1]), packages={})
    with ray_pool.RayPool(assignment, workers=1, device=torch.device("cpu")) as pool:
        worker = pool.start("judge")
        worker.submit(JudgeBlock("base", {}))
        worker.answer()
"""

PATIENT = {"RAY_agent_register_timeout_ms": "240000"}
"""A busy machine needs longer than Ray allows for its start."""


def test_an_actor_in_the_middle_of_a_block_ends_when_the_run_process_is_killed(tmp_path):
    script, told = tmp_path / "run.py", tmp_path / "pid"
    script.write_text(RUN)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), **PATIENT}
    run = subprocess.Popen([sys.executable, script, tmp_path], env=environment, cwd=tmp_path)
    try:
        wait_until(lambda: told.is_file() or run.poll() is not None)
        pid = int(told.read_text())
        assert is_alive(pid)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    wait_until(lambda: not is_alive(pid))
