"""Sortition by prompt states a drawn cell, with weights that correct what the model makes of it."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from helpers.methods import GENDER, JOINT, Studio, make_task
from scipy.stats import chisquare

from evenhand.methods.base import Task
from evenhand.methods.prompts.targeted_attribute import TargetedAttributePrompt
from evenhand.methods.saving import load, save
from evenhand.methods.shared.randomness import drawn_cell, image_stream
from evenhand.methods.sortition.sortition import Sortition
from evenhand.methods.sortition.sortition_prompt import SortitionPrompt

CONCEPTS = ("nurse", "cook", "guard")


@dataclass
class Obstinate:
    """A model that reads prompts, and draws a man for some of the prompts that ask for a woman.

    Attributes:
        refused: Share of the prompts for women that show a man.
    """

    refused: float
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def sample(self, prompts, seeds, *, intervention=None, negative_prompt=""):
        asked = list(prompts)
        if intervention is not None:
            digest = intervention.digest()
            asked = [
                intervention.prompt(prompt, image_stream(digest, prompt, seed))
                for prompt, seed in zip(prompts, seeds, strict=True)
            ]
        women = ["female" in prompt for prompt in asked]
        # Explicit prompts are followed, as the calibration of the judge assumes.
        kept = [woman and (intervention is None or self.rng.random() >= self.refused) for woman in women]
        return np.array(kept, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)

    def read(self, images, texts):
        first = images[:, 0, 0, 0] == 1
        return np.stack([first, ~first], axis=1).astype(float)


def task_of(cells=GENDER, target=None, model=None):
    task: Task = make_task(Studio({}), concepts=CONCEPTS, cells=cells, target=target)
    return task if model is None else replace(task, sample=model.sample, judge=model.read)


def unsearched(cells, target=None, **parameters):
    """Fitted without images, so that the sampling weights are the target."""
    method = SortitionPrompt(judge="clip-xs", anchors=0, images=0, **parameters)
    assert method.steering_judge is None
    return method.fit(task_of(cells, target))


def test_weights_are_solved_so_that_the_depicted_shares_meet_the_target():
    model = Obstinate(refused=0.4)
    method = SortitionPrompt(judge="clip-xs", measure="{a} {concept}", images=1500, batch=100)
    fitted = method.fit(task_of(model=model))
    women = np.array([fitted.data["lots"][concept][0] for concept in CONCEPTS])
    assert np.abs(women * (1 - model.refused) - 0.5).max() < 0.06
    assert "unbalanced" in {look["verdicts"]["gender"] for look in fitted.record["looks"]}


def test_a_model_that_complies_keeps_the_target():
    method = SortitionPrompt(judge="clip-xs", measure="{a} {concept}", images=1500)
    fitted = method.fit(task_of(model=Obstinate(refused=0)))
    assert fitted.data["lots"] == {concept: [0.5, 0.5] for concept in CONCEPTS}
    assert fitted.record["looks"][-1]["images"] <= 240


def test_the_stated_cell_is_the_one_that_the_search_assumes():
    fitted = unsearched(JOINT, target=(0.1, 0.2, 0.3, 0.4))
    words = {cell.name: cell.adjective for cell in JOINT}
    for seed in range(200):
        prompt = f"a {CONCEPTS[seed % 3]}"
        _, cell = drawn_cell(prompt, image_stream(fitted.digest(), prompt, seed), fitted.data["lots"])
        stated = fitted.prompt(prompt, image_stream(fitted.digest(), prompt, seed))
        assert words[JOINT[cell].name] in stated


def test_the_sampling_weights_are_drawn_and_not_the_target():
    fitted = unsearched(GENDER)
    lots = {concept: [0.9, 0.1] for concept in CONCEPTS}
    fitted = replace(fitted, data={**fitted.data, "lots": lots})
    rng = np.random.default_rng(5)
    drawn = Counter("female" in fitted.prompt("a nurse", rng) for _ in range(1000))
    assert chisquare([drawn[True], drawn[False]], [900, 100]).pvalue > 0.01


@pytest.mark.parametrize("text", ["a female nurse", "a photo of a house", "his cook"])
def test_what_a_prompt_states_stays(text):
    assert unsearched(GENDER).prompt(text, np.random.default_rng(0)) == text


def test_without_a_search_it_is_the_targeted_attribute_prompt():
    task = task_of(JOINT)
    ours, theirs = unsearched(JOINT), TargetedAttributePrompt().fit(task)
    for seed in range(50):
        text = ours.prompt("a female nurse", np.random.default_rng(seed))
        assert text == theirs.prompt("a female nurse", np.random.default_rng(seed))


def test_storage_keeps_the_weights(tmp_path):
    fitted = unsearched(JOINT, target=(0.1, 0.2, 0.3, 0.4))
    save(fitted, tmp_path)
    assert load(tmp_path, SortitionPrompt).digest() == fitted.digest()


def test_it_costs_what_the_search_of_sortition_costs():
    ours, theirs = SortitionPrompt(), Sortition()
    assert ours.budget(concepts=9, cells=JOINT) == theirs.budget(concepts=9, cells=JOINT)
    assert ours.budget(concepts=9, cells=JOINT).images == 240
