"""Helpers for tests of finetuning: a quick setting, a task on the bundled model, what a judge perceives."""

import numpy as np
import torch
from helpers.methods import GENDER, JOINT

from evenhand.bench.mini.judges import clip_xs
from evenhand.bench.stages.fit import CountedJudge
from evenhand.bench.stages.resources import load_scorer
from evenhand.methods.base import Task
from evenhand.methods.finetuning._preservation import Perceived
from evenhand.methods.finetuning.finetuning import Alignment, Finetuning

QUICK = {
    "prompts": ("a photo of {a} {concept}",),
    "judge": "clip-xs",
    "encoders": ("clip",),
    "chunk": 4,
    "trained": "both",
    "rank": 2,
    "batch": 4,
    "steps": 2,
    "fewest_draws": 2,
    "most_draws": 2,
    "guidance": 2.5,
    "label_draws": 5,
    "ema": 0.0,
    "learning_rate": 1e-3,
}


def task_on(model, *, cells=GENDER, **more):
    return Task(
        model=model,
        concepts=("nurse", "mechanic"),
        cells=tuple(cells),
        target=np.full((2, len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(0),
        sample=None,
        judge=CountedJudge("clip-xs", clip_xs()),
        clip=more.get("clip", load_scorer("mini")),
    )


class Unchanged:
    """Updates that are never disabled."""

    @staticmethod
    def parameters():
        return []


def aligned(model, *, cells=JOINT, task=None, **parameters):
    """The loss of a method, without any update of the networks."""
    return Alignment(Finetuning(**QUICK | parameters), task or task_on(model, cells=cells), Unchanged())


def shown(groups, *, faces=None):
    """What a judge is certain to perceive: attribute to the group of every image."""
    logs = {
        name: torch.eye(max(of) + 1)[torch.tensor(of)].mul(0.98).add(0.01).log()
        for name, of in groups.items()
    }
    return Perceived(logs, faces)


def certain(**groups):
    return {name: (np.array(of), np.ones(len(of), bool)) for name, of in groups.items()}
