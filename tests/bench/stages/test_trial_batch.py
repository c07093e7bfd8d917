"""The trial batch of a dry run draws little, keeps nothing, and scales to all steps."""

import pytest
from helpers.paths import TINY

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.stages import trial_batch
from evenhand.bench.suites.suite import load_suite


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
