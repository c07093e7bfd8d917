"""A run of many images holds no more images and open files at its end than at its beginning."""

import weakref
from collections import defaultdict

import numpy as np
import pytest

from evenhand.bench import evaluate
from evenhand.bench.benchmarks.soak import BOUND, STAGES, Growth, Look, Watch, suite_of
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.stages import label

IMAGES = 184


class Held(Watch):
    """Counts after every step how many image arrays are still referenced."""

    def __init__(self):
        super().__init__(quiet=True)
        self.arrays, self.counts = [], defaultdict(list)

    def hold(self, images):
        self.arrays.append(weakref.ref(images))

    def advance(self, n=1):
        super().advance(n)
        self.arrays = [each for each in self.arrays if each() is not None]
        self.counts[self._label.rsplit(": ", 1)[-1]].append(len(self.arrays))


def small_suite():
    """The suite with its first prompt set, small images and few resamples: what is held depends on none."""
    suite = suite_of(IMAGES)
    changes = {
        "prompts": suite.prompts[:1],
        "protocol": suite.protocol.model_copy(update={"width": 32, "height": 32}),
        "bootstrap": suite.bootstrap.model_copy(update={"draws": 100}),
    }
    return suite.model_copy(update=changes)


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    held, batch, chunks = Held(), Sampler._drawn, label.image_chunks

    def watched_batch(*arguments):
        images, finite = batch(*arguments)
        held.hold(images)
        return images, finite

    def watched_chunks(*arguments):
        for keys, images, broken in chunks(*arguments):
            held.hold(images)
            yield keys, images, broken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 2)
        patch.setattr(Sampler, "_drawn", watched_batch)
        patch.setattr(label, "image_chunks", watched_chunks)
        patch.setattr(label, "CHUNK", 8)
        evaluate(small_suite(), methods=["base"], out=tmp_path_factory.mktemp("soak"), progress=held)
    return held


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "most"), [("generate", 8), ("judge", 2)])
def test_few_image_arrays_are_held_at_a_time(held, stage, most):
    counts = held.counts[stage]
    assert len(counts) >= 20, "as many as there are batches or chunks"
    assert 1 <= max(counts) <= most


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_the_number_of_open_files_is_constant(held, stage):
    growth = Growth.of(stage, held.looks[stage])
    assert growth.units >= IMAGES
    assert growth.files[0] == growth.files[1]


def test_the_soak_test_detects_images_that_are_never_freed():
    noise = np.random.default_rng(0).integers(0, 2**20, 400)
    freed = [Look(done=8 * i, memory=10**9 + int(n), files=10) for i, n in enumerate(noise)]
    kept = [Look(each.done, each.memory + each.done * 64 * 64 * 3, each.files) for each in freed]
    assert Growth.of("generate", kept).slope > BOUND > Growth.of("generate", freed).slope
