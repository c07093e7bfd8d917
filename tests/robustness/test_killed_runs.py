"""A run that is killed repeatedly, at any time, ends with the bytes of an undisturbed run."""

import shutil
import time
from collections.abc import Iterator
from itertools import count

import pytest
from helpers.faults import (
    Fault,
    KilledAtWrite,
    Running,
    SignalAtStage,
    contents,
    draws,
    finish,
    run,
    unchanged,
    whole_images,
)

from evenhand.bench.storage.stored_run import load_run

pytestmark = pytest.mark.slow

WRITES = 130
"""Roughly the number of changes that a run makes in its folder."""

KILLS = 5
"""Kills of one test: with the stages below there are 53 in all."""

MOMENTS = [
    ("load", 1),
    ("fit", 1),
    ("fit", 2),
    ("generate", 1),
    ("generate", 3),
    ("generate", 4),
    ("generate", 5),
    ("judge", 1),
    ("judge", 3),
    ("judge", 9),
    ("embed", 1),
    ("measure", 1),
    ("write", 1),
]
"""Stages, and the number of reports of the stage after which the resumed run is killed."""


def assert_same(folder, undisturbed):
    expected = contents(undisturbed)
    found = contents(folder)
    assert found.keys() == expected.keys(), "a file is missing, or one is left over"
    assert {name for name in expected if found[name] != expected[name]} == set()
    for result in load_run(folder).results:
        assert result.coverage.planned == result.coverage.made == 6


def killed_again_and_again(folder, undisturbed, faults: Iterator[tuple[Fault, float | None]]) -> None:
    """Resume runs in the folder until ``KILLS`` were killed; valid images must not be regenerated.

    A run that ends before its fault occurs is compared, and the next one starts from an empty folder.
    """
    kills = 0
    for fault, after in faults:
        before = whole_images(folder)
        ending = Running(folder, fault=fault).end(after=after)
        assert ending.code in (0, -9), ending.error
        kept = whole_images(folder)
        assert unchanged(before, kept), "a valid image was regenerated"
        if ending.code == 0:
            assert_same(folder, undisturbed)
            shutil.rmtree(folder)
            continue
        kills += 1
        if kills == KILLS:
            break
    finish(folder)
    assert_same(folder, undisturbed)


def test_killed_in_every_stage_in_turn(undisturbed, tmp_path):
    folder = tmp_path / "run"
    for stage, times in MOMENTS:
        ending = run(folder, fault=SignalAtStage(stage, times))
        assert (ending.code, ending.stage) == (-9, stage), ending.error
    finish(folder)
    assert_same(folder, undisturbed)


@pytest.fixture(scope="module")
def duration(tmp_path_factory):
    """Seconds of a run; only the times of the kills depend on it."""
    begun = time.monotonic()
    finish(tmp_path_factory.mktemp("measured") / "run")
    return time.monotonic() - begun


@pytest.mark.parametrize("seed", range(5))
def test_killed_before_a_random_write(undisturbed, tmp_path, seed):
    random = draws(seed)
    # A resumed run has few writes left, so small numbers are drawn more often.
    faults = ((KilledAtWrite(int(WRITES ** random.uniform(0.2, 1))), None) for _ in count())
    killed_again_and_again(tmp_path / "run", undisturbed, faults)


@pytest.mark.parametrize("seed", range(100, 103))
def test_killed_after_a_random_time(undisturbed, duration, tmp_path, seed):
    random = draws(seed)
    faults = ((Fault(), random.uniform(0.05, 0.7) * duration) for _ in count())
    killed_again_and_again(tmp_path / "run", undisturbed, faults)
