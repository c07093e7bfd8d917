"""Truncated or altered files are detected, reported and regenerated, or rejected with one sentence."""

import shutil

import pandas as pd
import pytest
from helpers.faults import contents, draws, finish, run

pytestmark = pytest.mark.slow

BY_NAME = {"suite.toml", ".lock", "run.log", "timing.json", "report.html"}
"""Files that are not data of the run or that have a separate test."""


def data_of(folder):
    """The files that a run reads again: all except those above and images of a finished fit."""
    planned = set(pd.read_parquet(folder / "tables" / "images.parquet")["path"])
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in BY_NAME)
    return [p for p in files if p.suffix != ".png" or p.relative_to(folder).as_posix() in planned]


def damage(path, random):
    """Truncate the file or alter one of its bytes."""
    data = bytearray(path.read_bytes())
    place = random.randrange(len(data))
    if random.random() < 0.5:
        data = data[:place]
    else:
        data[place] ^= random.randrange(1, 256)
    path.write_bytes(data)


@pytest.fixture
def folder(undisturbed, tmp_path):
    """A copy of the undisturbed run."""
    return shutil.copytree(undisturbed, tmp_path / "run")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_regenerated(undisturbed, folder, seed):
    random = draws(seed)
    files = data_of(folder)
    victims = random.sample(files, len(files) // 2)
    for path in victims:
        damage(path, random)
    ending = run(folder)
    assert ending.code == 0, ending.error
    assert contents(folder) == contents(undisturbed)
    log = (folder / "run.log").read_text()
    torn = [f"{path.name}: image is truncated or altered" for path in victims if path.suffix == ".png"]
    assert torn and all(line in ending.error and line in log for line in torn)


def test_a_removed_file_is_regenerated(undisturbed, folder):
    for path in data_of(folder)[::2]:
        path.unlink()
    finish(folder)
    assert contents(folder) == contents(undisturbed)


@pytest.mark.parametrize("name", ["suite.toml", "timing.json"])
def test_damaged_files_that_cannot_be_regenerated_are_an_error_until_removed(undisturbed, folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:21])
    before = contents(folder)
    ending = run(folder)
    assert ending.code == 2
    assert name in ending.message and "remove" in ending.message
    assert contents(folder) == before
    (folder / name).unlink()
    finish(folder)
    assert contents(folder) == contents(undisturbed)


def test_a_damaged_result_of_an_unnamed_method_is_rejected(undisturbed, folder):
    result = folder / "results" / "mist.json"
    result.write_bytes(result.read_bytes()[:100])
    ending = run(folder, "--method", "base")
    assert ending.code == 2
    assert str(result) in ending.message and "--method" in ending.message
    finish(folder, "--method", "mist")
    assert contents(folder) == contents(undisturbed)
