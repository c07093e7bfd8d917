"""How much a run takes: images of fits included, in units of one image of the baseline."""

import pytest
from helpers.paths import TINY

from evenhand.bench.fetching.estimate import RunSize, downloads, run_size, size_lines
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.stages.trial_batch import TrialBatch
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.base import Budget

SUITE = load_suite(str(TINY))


def test_the_images_of_fits_are_those_of_the_methods_budgets():
    items = make_plan(SUITE)[0]
    uses = method_uses(SUITE, ["base", "mist", "random-attribute-prompt"])
    found = run_size(SUITE, uses, items)
    mist = next(use.method for use in uses if use.label == "mist")
    expected = mist.budget(concepts=len(concepts(items)), cells=SUITE.cells()).images
    assert found.fit_images == expected > 0
    assert found.images == {"base": 8, "mist": 8, "random-attribute-prompt": 8}
    assert list(found.fits) == ["mist"], "methods without a cost are left out"


def test_time_counts_further_passes_and_training():
    found = RunSize({"base": 10, "a": 10}, {"a": Budget(images=100, evaluations=60, branches=2)}, steps=20)
    # An image of the baseline takes two passes a step; "a" takes four, and trains at three a pass.
    assert found.draw_units == 10 + 10 * 2
    assert found.fit_units == pytest.approx(100 + 60 * 3 / (2 * 20))


def test_images_of_a_fit_with_fewer_steps_take_less_time():
    suite = load_suite("winobias-gender")
    items = make_plan(suite)[0]
    found = run_size(suite, method_uses(suite, ["base", "mist"]), items)
    assert (found.steps, found.fit_steps) == (50, {"mist": 20})
    assert found.fit_units == found.fit_images * 20 / 50 > 0
    (own,) = [u for u in method_uses(suite, ["mist:sampling_steps=50"]) if u.label != "base"]
    assert run_size(suite, [own], items).fit_units == found.fit_images


def test_the_lines_say_images_hours_and_disk():
    run = RunSize(
        {"base": 500, "mist": 500}, {"mist": Budget(images=3000), "uce": Budget(images=600)}, steps=20
    )
    assert size_lines(run, TrialBatch(seconds=2.0, bytes=400_000)) == [
        "images: 1,000, and at most 3,600 more while fitting (mist 3,000 and uce 600)",
        "time: about 33 min 20 s to generate them here, and at most 2 h 0 min to fit the methods",
        "disk: about 400.0 MB, and at most 1.2 GB more during a fit",
    ]
    assert size_lines(run, None, reason="no model")[1] == "time and disk: not estimated (no model)"
    assert size_lines(RunSize({"base": 5}, {}, 20), TrialBatch(1.0, 1000)) == [
        "images: 5",
        "time: about 5 s to generate them here",
        "disk: about 5.0 kB",
    ]


def test_downloads_name_what_is_missing_and_the_command_that_gets_it():
    assert downloads(str(TINY)) == ["downloads: none"]
    (line,) = downloads(SUITE.model_copy(update={"model": "org/model", "scorer": "org/clip"}))
    assert line == "downloads: model org/model and scorer org/clip; evenhand fetch tiny gets them"


def test_a_model_on_this_machine_is_not_a_download(tmp_path):
    for path in (tmp_path / "missing.safetensors", tmp_path):
        suite = SUITE.model_copy(update={"model": str(path), "scorer": "org/clip"})
        (line,) = downloads(suite, names=["tiny", str(path)])
        assert line == "downloads: scorer org/clip; evenhand fetch tiny gets them"
