"""The identity of a fit, which also seeds its random stream."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.stages.fit import CountedSample
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import Protocol

PROTOCOL = Protocol(version="t", solver="ddim", steps=4, guidance=2, width=8, height=8, batch=2)
ENTRIES = Path(__file__).parents[3] / "reports" / "entries"
SAMPLE = SimpleNamespace(sampler=SimpleNamespace(model=SimpleNamespace(revision="r")), protocol="p")


class Grey(BatchSampler):
    """Images whose grey value is the number of denoising steps."""

    def __init__(self):
        model = SimpleNamespace(revision="r", device=torch.device("cpu"))
        super().__init__(model, PROTOCOL, cores=1)

    def _applied(self, intervention):
        return nullcontext()

    def _batch(self, pairs, intervention, negative):
        return np.full((len(pairs), 8, 8, 3), self.protocol.steps, np.uint8), np.full(len(pairs), True)


def counted(folder):
    return CountedSample(Grey(), ImageStore(folder), PROTOCOL.model_dump_json(), Progress(quiet=True))


def test_a_method_that_states_its_denoising_steps_is_fitted_on_images_of_that_many(tmp_path):
    sample = counted(tmp_path)
    fitting = sample.with_steps(2)
    for of, steps in ((sample, 4), (fitting, 2), (sample, 4), (sample.with_steps(None), 4)):
        assert (of(["a nurse"] * 3, range(3)) == steps).all(), "both are in one store, under other keys"
    assert (sample.images, fitting.images) == (9, 3)


def test_an_image_that_was_stored_as_broken_is_not_taken_for_a_black_one(tmp_path):
    sample = counted(tmp_path)
    sample.store.put(sample._key("a nurse", 0, "", ""), np.zeros((8, 8, 3), np.uint8), status="error")
    with pytest.raises(EvenhandError, match="non-finite pixels; lower its step size"):
        sample(["a nurse"], [0])
