"""The bundled model, and a learner with random tokens, for tests of learned tokens."""

import pytest
import torch
from helpers.iti_gen import METHOD, PROTOCOL, task_on

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.methods.embeddings.iti_gen import Learner


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model, PROTOCOL)


@pytest.fixture(scope="module")
def learner(model, sampler):
    learner = Learner(METHOD, task_on(model, sampler))
    generator = torch.Generator().manual_seed(0)
    for tokens in learner.tokens.values():
        tokens += 0.02 * torch.randn(tokens.shape, generator=generator)
    return learner
