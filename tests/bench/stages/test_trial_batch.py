"""The trial batch of a dry run draws little, keeps nothing, and scales to all steps."""

import pytest
from helpers.paths import TINY

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model, open_sampler
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.stages import trial_batch
from evenhand.bench.stages.generate import Drawing
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.base import Intervention


@pytest.mark.slow
def test_time_is_that_of_all_steps_and_size_that_of_stored_images(monkeypatch):
    suite = load_suite(str(TINY))
    many = suite.model_copy(update={"protocol": suite.protocol.model_copy(update={"steps": 80})})
    clock = iter([10.0, 16.0])
    monkeypatch.setattr(trial_batch.time, "perf_counter", lambda: next(clock))
    found = trial_batch.draw_a_batch(many)
    images = len(make_plan(suite)[0])
    assert images <= 2 * suite.protocol.batch
    assert found.seconds == pytest.approx(6 / images * 80 / trial_batch.STEPS)
    assert 500 < found.bytes < 3 * suite.protocol.width * suite.protocol.height + 1000


def test_missing_model_is_an_error():
    suite = load_suite(str(TINY)).model_copy(update={"model": "somebody/a-model"})
    with pytest.raises(EvenhandError, match="somebody/a-model"):
        trial_batch.draw_a_batch(suite)


@pytest.mark.slow
def test_the_first_images_of_a_run_are_timed_after_one_batch_and_kept(tmp_path, monkeypatch):
    suite = load_suite(str(TINY))
    suite = suite.model_copy(update={"protocol": suite.protocol.model_copy(update={"batch": 2})})
    items, store = make_plan(suite)[0], ImageStore(tmp_path / "images")
    sampler = open_sampler(load_model("mini"), suite.protocol)
    drawing = Drawing(Intervention(), sampler=sampler, protocol=suite.protocol.model_dump_json())
    clock = iter([10.0, 16.0])
    monkeypatch.setattr(trial_batch.time, "perf_counter", lambda: next(clock))
    found = trial_batch.time_first_images(drawing, items, store=store)
    keys = [job.key for job in drawing.jobs(items)]
    assert list(store.statuses(keys)) == keys[:6], "one batch to warm up and two timed ones"
    assert found.seconds == pytest.approx(6 / 4)
    assert found.bytes == pytest.approx(sum(store.path(key).stat().st_size for key in keys[2:6]) / 4)
    assert trial_batch.time_first_images(drawing, items[:6], store=store) is None
