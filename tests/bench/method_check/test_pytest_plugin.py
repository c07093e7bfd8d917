"""The contract as tests of a package's own test run."""

import subprocess
import sys

import pytest
from helpers.local_methods import polite

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


def pytest_in(folder, *arguments):
    command = [*PYTEST, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_clause_is_a_test_beside_those_of_the_package(tmp_path):
    path = polite(
        tmp_path, ("    def fit(self, task):\n", "    def fit(self, task):\n        raise KeyError('x')\n")
    )
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    done = pytest_in(tmp_path, "--evenhand-method", f"{path}:Polite", "-k", "own or documented or fits")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed" in done.stdout and "1 failed" in done.stdout
    assert "fit solves the task and returns the declared class of intervention: KeyError: 'x'" in done.stdout


@pytest.mark.slow
def test_a_package_without_tests_is_checked_as_well(tmp_path):
    done = pytest_in(tmp_path, "--evenhand-method", str(polite(tmp_path)), "-k", "documented or space")
    assert "1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr


def test_the_plug_in_imports_nothing_heavy():
    code = (
        "import sys, evenhand.bench.method_check.pytest_plugin as p\n"
        "print([name for name in ('torch', 'pandas', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
