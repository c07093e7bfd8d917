"""A short ITI-GEN on the bundled model, and random tokens in its place."""

import numpy as np
import torch
from helpers.methods import JOINT

from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Task
from evenhand.methods.embeddings._learned_tokens import LearnedTokens
from evenhand.methods.embeddings.iti_gen import ItiGen

PROTOCOL = Protocol(version="t", solver="ddim", steps=4, guidance=2.5, width=32, height=32, batch=4)
PROMPTS, SEEDS = ["a photo of a nurse", "a photo of a cat", "a nurse", "a photo of a dog"], [1, 2, 3, 4]
METHOD = ItiGen(
    prompt="a photo of a person",
    reference="a photo of {a} {noun}",
    images=2,
    epochs=2,
    steps=2,
    halve_after=1,
)


def task_on(model, sampler, *, cells=JOINT, **more):
    scorer = load_scorer("mini")
    clip = {"image_features": scorer.embed, "clip": scorer, **more}
    target = np.full((1, len(cells)), 1 / len(cells))
    rng = np.random.default_rng(0)
    return Task(model, ("nurse",), tuple(cells), target, rng, sampler, judge=None, **clip)


def drawn(sampler, **data):
    tokens = torch.randn(2, 3, 192, generator=torch.Generator().manual_seed(0)) * 0.3
    sites = [name for name, _ in sampler.model.unet.named_modules() if name.endswith("attn2")]
    defaults = {"target": {"nurse": [1.0, 0.0]}, "queue": 0.0, "amplify": 1.0, "sites": sites}
    return LearnedTokens(tensors={"tokens": tokens}, data={**defaults, **data})
