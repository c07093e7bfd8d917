"""The bytes of a run do not depend on cores, threads, part size, method order or the machine."""

import os
import subprocess
import sys

import pytest
from helpers.faults import SUITE, Machine, Parts, SignalAtStage, contents, finish, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "machine",
    [Machine(cores=1, threads=1), Machine(cores=5, threads=3)],
    ids=["one core", "five cores, three threads an operation"],
)
def test_the_bytes_do_not_depend_on_cores_or_threads(undisturbed, tmp_path, machine):
    folder = tmp_path / "run"
    ending = run(folder, fault=machine)
    assert ending.code == 0, ending.error
    assert contents(folder) == contents(undisturbed)


@pytest.mark.parametrize("images", [1, 3])
def test_the_bytes_do_not_depend_on_the_part_size(undisturbed, tmp_path, images):
    folder = tmp_path / "run"
    ending = run(folder, fault=Parts(images))
    assert ending.code == 0, ending.error
    assert contents(folder) == contents(undisturbed)


def test_the_bytes_do_not_depend_on_the_order_of_methods(undisturbed, tmp_path):
    folder = tmp_path / "run"
    finish(folder, "--method", "random-attribute-prompt", "--method", "mist")
    assert contents(folder) == contents(undisturbed)


def test_the_bytes_do_not_change_if_methods_run_one_by_one(undisturbed, tmp_path):
    folder = tmp_path / "run"
    for method in ("random-attribute-prompt", "base", "mist"):
        finish(folder, "--method", method)
    assert contents(folder) == contents(undisturbed)


def test_the_bytes_do_not_change_if_a_run_moves_to_another_machine(undisturbed, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    assert run(there, fault=SignalAtStage("judge", 3)).code == -9
    there.rename(here)
    ending = run(here, fault=Machine(cores=3, threads=2))
    assert ending.code == 0, ending.error
    assert contents(here) == contents(undisturbed)


def test_the_bytes_do_not_depend_on_hash_seed_time_zone_or_locale(undisturbed, tmp_path):
    surroundings = {
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "3",
        # Threads that have nothing to do sleep, and do not take the cores from other tests.
        "OMP_WAIT_POLICY": "passive",
        "COLUMNS": "30",
    }
    command = [sys.executable, "-m", "evenhand.bench.cli.main", "run", str(SUITE), "--out", "run"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **surroundings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "run") == contents(undisturbed)
