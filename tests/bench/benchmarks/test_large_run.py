"""The folder of the benchmark is that of a true run, and the commands that it times are measured."""

import multiprocessing
import re
import sys

import pytest
from helpers.paths import TINY

from evenhand.bench import evaluate
from evenhand.bench.benchmarks.large_run import NAME, fill, register, run_command, suite_of
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.stages import label
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import INDEX
from evenhand.bench.suites.suite import load_suite


@pytest.mark.slow
def test_nothing_is_left_to_draw_or_judge_in_a_filled_folder(tmp_path, monkeypatch):
    suite = load_suite(str(TINY)).model_copy(update={"defaults": ("base", "fair-diffusion")})
    folder = tmp_path / "run"
    fill(suite, folder)
    (folder / "images" / INDEX).unlink()  # so that every image is decoded

    def draw(*_arguments, **_settings):
        raise AssertionError("an image was missing or not valid")

    def chunks(keys, _store):
        assert not keys, "a label or vector was missing"
        return iter(())

    monkeypatch.setattr(Sampler, "draw", draw)
    monkeypatch.setattr(label, "image_chunks", chunks)
    run = evaluate(suite, out=folder, progress=Progress(quiet=True))
    assert [result.spec.method.label for result in run.results] == ["base", "fair-diffusion"]
    assert all(result.coverage.made == len(make_plan(suite)[0]) for result in run.results)


def test_the_suite_has_about_the_requested_number_of_images_and_is_registered_here(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    suite = suite_of(20_000)
    assert 19_000 < 4 * len(make_plan(suite)[0]) < 21_000
    register(suite, tmp_path / "site")
    assert load_suite(NAME).digest() == suite.digest()


def test_a_command_is_measured_and_a_failed_one_stops_the_benchmark():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    run_command(["--version"], sender)
    assert re.fullmatch(r"[\d.]+ s, [\d.]+ s, [\d.]+ GiB", receiver.recv())
    with pytest.raises(SystemExit, match="is not a run folder"):
        run_command(["report", "/nowhere"], sender)
