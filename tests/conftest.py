"""Fixtures that several test files share."""

from __future__ import annotations

import gc
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.shared import session_folder
from hypothesis import settings

from evenhand.bench.cli.main import main

# Workers of pytest-xdist share the cores; more threads than cores slow all of them down.
# torch reads this variable on import.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests may run on slow machines, and every run tries the same examples.
settings.register_profile("fixed", deadline=None, derandomize=True, database=None)
settings.load_profile("fixed")


LONGEST = (
    "bench/test_run_with_engines.py",
    "robustness/test_killed_runs.py",
    "bench/models/test_compilation.py",
    "docs/test_examples.py",
    "contracts/test_methods.py",
    "bench/tuning/test_tune.py",
    "bench/leaderboard/verification/test_verify.py",
    "bench/leaderboard/test_check.py",
    "robustness/test_machine_faults.py",
    "robustness/test_same_bytes.py",
)
"""Files that take a worker half a minute or more."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark every test that opens a browser as slow, and hand out the longest files first.

    A worker gets whole files. If a long one were among the last, the other workers would wait for it.
    """
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    yield
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in places), "a file of LONGEST was moved"
    sizes = Counter(item.path for item in items)
    order = {path: (places.get(path, len(places)), -size) for path, size in sizes.items()}
    items.sort(key=lambda item: order[item.path])


def pytest_collection_finish() -> None:
    """Exempt what the imports have created from garbage collection.

    torch, diffusers and transformers leave millions of objects that live until the end. Every full collection
    would visit them all again, and some libraries ask for one in every call.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folders that the workers have shared."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(session_folder(), ignore_errors=True)


@dataclass(frozen=True)
class Outcome:
    """What a command returned: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def evenhand(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process, as ``evenhand ARGUMENTS`` would."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def disk_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports 100 GB of free disk space, whatever the machine has."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100 * 10**9))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("this test needs a Chromium; install it, for example with `apt-get install chromium`")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()
