"""Scripts that every worker runs again are told so; with a guard, they work."""

import os
import subprocess
import sys

import pytest
from helpers.paths import TINY

pytestmark = pytest.mark.slow

EVALUATE = f"""
from evenhand import evaluate
from evenhand.bench.suites.suite import load_suite

CALL
    suite = load_suite({str(TINY)!r})
    run = evaluate(suite, methods=["base"], out="run", workers=1)
    print("results:", len(run.results))
"""

TUNE = """
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.tuning.tune import tune

CALL
    suite = load_suite("mini-2")
    prompts = (PromptUse(name="development-mini", seeds=1, kinds=("neutral",), limit=5),)
    tuning = {"prompts": prompts, "trials": 2, "quasi_random": 2, "draws": 100}
    protocol = suite.protocol.model_copy(update={"steps": 1, "guidance": 1.0, "width": 32, "height": 32})
    suite = suite.model_copy(update={"tuning": suite.tuning.model_copy(update=tuning), "protocol": protocol})
    tune("eos-swap", suite, workers=2)
"""

GUARD = 'if __name__ == "__main__":'


def run(folder, script, guard):
    """The outcome of a script with this line before its call."""
    (folder / "study.py").write_text(script.replace("CALL", guard))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "study.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_guarded_script_may_start_workers(tmp_path):
    done = run(tmp_path, EVALUATE, GUARD)
    assert (done.returncode, done.stdout) == (0, "results: 1\n"), done.stderr


@pytest.mark.parametrize("script", [EVALUATE, TUNE], ids=["evaluate", "tune"])
def test_a_script_without_a_guard_is_told_to_add_one(tmp_path, script):
    done = run(tmp_path, script, "if True:")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "evenhand.bench.errors.EvenhandError: study.py starts workers whenever it is imported, and every "
        'worker imports it; put the call that starts them under if __name__ == "__main__":'
    )
    assert done.stderr.count("Traceback (most recent call last)") <= 2, "that of the run and its cause alone"
    assert "memory" not in done.stderr
