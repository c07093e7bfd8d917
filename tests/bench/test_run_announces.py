"""What a run says before it starts, and that it keeps no images of fits."""

import io
import re

import pandas as pd
import pytest
from helpers.paths import TINY
from rich.console import Console

from evenhand.bench.run import evaluate
from evenhand.bench.stages.progress import Progress
from evenhand.bench.suites.suite import load_suite


def run(folder):
    """What a run with one fit says."""
    shown = io.StringIO()
    # Three batches, so that one can be timed.
    suite = load_suite(str(TINY))
    small = suite.model_copy(update={"protocol": suite.protocol.model_copy(update={"batch": 3})})
    evaluate(small, methods=["mist"], out=folder, progress=Progress(Console(file=shown, width=200)))
    return shown.getvalue().splitlines()


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("announced") / "run"
    return folder, run(folder)


@pytest.mark.slow
def test_a_run_says_images_time_and_disk_before_it_fits(said):
    _, lines = said
    starts = ("images: 16, and at most ", "time: about ", "disk: about ")
    places = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in starts]
    first_fit = next(i for i, line in enumerate(lines) if ": fit" in line)
    assert places == sorted(places) and places[-1] < first_fit


@pytest.mark.slow
def test_the_progress_of_a_fit_counts_towards_its_budget(said):
    _, lines = said
    (fit,) = [line for line in lines if line.startswith("mist: fit")]
    assert re.match(r"mist: fit, at most: [1-9]\d* of [1-9]\d*, \d+ s$", fit)


@pytest.mark.slow
def test_images_of_fits_are_deleted_and_those_of_the_plan_kept(said):
    folder, _ = said
    planned = set(pd.read_parquet(folder / "tables" / "images.parquet")["key"])
    assert {path.stem for path in (folder / "images").rglob("*.png")} == planned


@pytest.mark.slow
def test_a_finished_run_announces_and_fits_nothing(said):
    folder, _ = said
    again = run(folder)
    assert not [line for line in again if line.startswith(("images:", "time:"))]
