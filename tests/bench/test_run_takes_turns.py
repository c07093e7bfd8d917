"""On an accelerator, generator and judges take turns, so that each has the memory of the device."""

from contextlib import contextmanager

import pytest
from helpers.paths import TINY

from evenhand.bench import run
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.models.unet import Model
from evenhand.bench.stages import measure
from evenhand.metrics.vision.loaded_weights import _has_network


@pytest.fixture
def seen(monkeypatch):
    """What was loaded whenever the model drew, a judge labelled, or the scorer embedded; by task."""
    found, resting, evaluations = {"draw": [], "judge": [], "embed": []}, [False], []

    def loaded():
        (evaluation,) = evaluations
        owners = {**evaluation.judges, "scorer": evaluation.scorer}
        names = {name for name, owner in owners.items() if any(map(_has_network, vars(owner).values()))}
        return names | ({"model"} if not resting[0] else set())

    @contextmanager
    def recorded(self):
        resting[0] = True
        yield
        resting[0] = False

    def watched(owner, name, task):
        original = getattr(owner, name)

        def call(*arguments, **options):
            result = original(*arguments, **options)
            found[task].append(loaded())
            return result

        monkeypatch.setattr(owner, name, call)

    load = measure.Evaluation.load
    monkeypatch.setattr(measure.Evaluation, "load", lambda self: evaluations.append(self) or load(self))
    monkeypatch.setattr(Model, "resting", recorded)
    watched(BatchSampler, "draw", "draw")
    watched(measure, "judge_images", "judge")
    watched(measure, "embed_images", "embed")
    return found


def test_generator_and_judges_take_turns_on_an_accelerator(seen, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "best_device", lambda: "cuda")
    run.evaluate(str(TINY), methods=["base", "random-attribute-prompt"], out=tmp_path)
    assert seen["draw"] and all(names == {"model"} for names in seen["draw"])
    assert seen["judge"] == [{"clip-s", "vit"}] * 2
    assert seen["embed"] == [{"scorer"}]


def test_on_a_cpu_everything_stays_loaded(seen, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "best_device", lambda: "cpu")
    run.evaluate(str(TINY), methods=["base"], out=tmp_path)
    every = {"model", "clip-s", "vit", "scorer"}
    assert all(names == every for names in [*seen["draw"], *seen["judge"], *seen["embed"]])
