"""A run's bytes do not depend on cores, threads, parts, order, or on where it runs."""

import os
import subprocess
import sys

import pytest
from helpers.faults import SUITE, Machine, Parts, SignalAtStage, contents, finish, run


@pytest.mark.parametrize(
    "machine",
    [Machine(cores=1, threads=1), Machine(cores=5, threads=3)],
    ids=["one core", "five cores, three threads an operation"],
)
def test_on_any_number_of_cores(undisturbed, tmp_path, machine):
    folder = tmp_path / "run"
    ending = run(folder, fault=machine)
    assert ending.code == 0, ending.error
    assert contents(folder) == contents(undisturbed)


@pytest.mark.parametrize("images", [1, 3])
def test_in_parts_of_any_size(undisturbed, tmp_path, images):
    folder = tmp_path / "run"
    ending = run(folder, fault=Parts(images))
    assert ending.code == 0, ending.error
    assert contents(folder) == contents(undisturbed)


def test_in_any_order_of_the_methods(undisturbed, tmp_path):
    folder = tmp_path / "run"
    finish(folder, "--method", "random-attribute-prompt", "--method", "mist")
    assert contents(folder) == contents(undisturbed)


def test_one_method_after_the_other(undisturbed, tmp_path):
    folder = tmp_path / "run"
    for method in ("random-attribute-prompt", "base", "mist"):
        finish(folder, "--method", method)
    assert contents(folder) == contents(undisturbed)


def test_begun_on_one_machine_and_ended_on_another(undisturbed, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    assert run(there, fault=SignalAtStage("judge", 3)).code == -9
    there.rename(here)
    ending = run(here, fault=Machine(cores=3, threads=2))
    assert ending.code == 0, ending.error
    assert contents(here) == contents(undisturbed)


def test_in_a_fresh_interpreter_with_other_hashes_time_zone_and_language(undisturbed, tmp_path):
    surroundings = {
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "3",
        "COLUMNS": "30",
    }
    command = [sys.executable, "-m", "evenhand.bench.cli.main", "run", str(SUITE), "--out", "run"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **surroundings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "run") == contents(undisturbed)
