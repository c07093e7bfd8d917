"""Tasks on the bundled model for methods that read or change activations."""

import numpy as np
import pytest
from helpers.methods import GENDER

from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.activations._masked_images import MaskedImages
from evenhand.methods.base import Task

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=64, height=64, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a photo of a construction worker", "a nurse"]


def make(mini, *, cells=GENDER, concepts=("nurse", "construction worker"), seed=0):
    return Task(
        model=mini,
        concepts=tuple(concepts),
        cells=tuple(cells),
        target=np.full((len(concepts), len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(seed),
        sample=Sampler(mini, PROTOCOL),
        judge=lambda images, texts: pytest.fail("nothing is judged"),
    )


def masked(task, classes, *, images, **more):
    template = "a photo of {a} {adjective} {concept}"
    return MaskedImages(
        task, classes, stated=template, **{"images": images, "passes": 1, "threshold": 0} | more
    )
