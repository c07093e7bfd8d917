"""Sampling weights compensate for non-compliance and judge errors, and change only if proven wrong."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from helpers.methods import GENDER, NumericModel, Studio, make_task

from evenhand.methods.base import Intervention
from evenhand.methods.shared.randomness import drawn_cell, image_stream
from evenhand.methods.sortition._weight_search import WeightSearch
from evenhand.methods.sortition.sortition import Sortition

CONCEPTS = ("nurse", "cook", "guard")


@dataclass
class World:
    """A model with a given compliance and a judge with a given confusion matrix, for gender alone."""

    compliance: np.ndarray
    judge: np.ndarray = field(default_factory=lambda: np.eye(2))
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    drawn: list = field(default_factory=list)

    def sample(self, prompts, seeds, *, intervention=None, negative_prompt=""):
        if intervention is None:
            assigned = [0 if "female" in prompt else 1 for prompt in prompts]
            shown = assigned
        else:
            digest, weights = intervention.digest(), intervention.data["lots"]
            assigned = [
                drawn_cell(p, image_stream(digest, p, s), weights)[1]
                for p, s in zip(prompts, seeds, strict=True)
            ]
            shown = [int(self.rng.random() < self.compliance[cell][1]) for cell in assigned]
        self.drawn.append((intervention is not None, len(prompts)))
        return np.array(shown, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)

    def read(self, images, texts):
        shown = images[:, 0, 0, 0]
        seen = [int(self.rng.random() < self.judge[group][1]) for group in shown]
        return np.eye(2)[seen]


def run(world, **parameters):
    task = replace(
        make_task(Studio({}), concepts=CONCEPTS, cells=GENDER, model=NumericModel()),
        sample=world.sample,
        judge=world.read,
    )
    method = Sortition(judge="clip-xs", measure="{a} {concept}", **parameters)
    intervention = Intervention(data={"lots": dict(zip(task.concepts, task.target.tolist(), strict=True))})
    fitted = WeightSearch(parameters=method, task=task, intervention=intervention).fitted()
    return np.array([fitted.data["lots"][concept] for concept in CONCEPTS]), fitted.record


def test_a_compliant_model_ends_the_search_early_with_the_target():
    world = World(np.eye(2))
    weights, record = run(world, images=2000, batch=60)
    assert np.allclose(weights, 0.5)
    assert record["looks"][-1]["verdicts"] == {"gender": "balanced"}
    assert record["looks"][-1]["images"] <= 240


def test_non_compliance_is_detected_and_compensated():
    compliance = np.array([[0.6, 0.4], [0.0, 1.0]])
    weights, record = run(World(compliance), images=1500, batch=100, tolerance=0.1)
    assert "unbalanced" in [look["verdicts"]["gender"] for look in record["looks"]]
    assert np.abs(weights @ compliance - 0.5).max() < 0.06


def test_errors_of_the_judge_do_not_move_the_sampling_weights():
    """The judge reads a third of the men as women; calibration shows it, so the weights stay even."""
    weights, record = run(
        World(np.eye(2), judge=np.array([[1.0, 0.0], [1 / 3, 2 / 3]])), images=1200, anchors=400
    )
    assert np.abs(weights - 0.5).max() < 0.08
    assert record["confusion"]["gender"][1][0] == pytest.approx(1 / 3, abs=0.08)


def test_without_images_the_sampling_weights_are_the_target():
    world = World(np.eye(2))
    weights, record = run(world, images=0, anchors=0)
    assert np.allclose(weights, 0.5)
    assert world.drawn == []
    assert record["looks"] == []
