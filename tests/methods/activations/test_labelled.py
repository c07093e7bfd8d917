"""Activations of images whose prompts state their groups."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.methods import JOINT, Studio, make_task

from evenhand.methods.activations._labelled import observe_cells
from evenhand.methods.hooks import Batch, Site, Step


class Sampler:
    """Draws nothing; the output of its only module is the length of the prompt, at two steps."""

    def __init__(self):
        self.prompts, self.seeds = [], []

    def __call__(self, prompts, seeds, *, intervention):
        self.prompts, self.seeds = list(prompts), list(seeds)
        draws = tuple(np.random.default_rng(seed) for seed in seeds)
        steering = intervention.steer(Batch(texts=tuple(prompts), seeds=tuple(seeds), draws=draws))
        lengths = torch.tensor([float(len(prompt)) for prompt in prompts])[:, None]
        for index in range(2):
            step = Step(index=index, count=2, timestep=torch.tensor(9 - index), scale=2.5)
            site = Site("mid", torch.nn.Identity(), (), {})
            steering.feature(step, site, torch.cat([torch.zeros_like(lengths), lengths + index]))
        return np.zeros((len(prompts), 1, 1, 3), np.uint8)


def observed(*, subjects=("nurse", "CEO"), images=3):
    sampler = Sampler()
    task = replace(make_task(Studio({}), concepts=("teacher",), cells=JOINT), sample=sampler)
    found = observe_cells(
        task,
        templates=["a photo of {a} {adjective} {concept}", "a portrait of {a} {adjective} {concept}"],
        subjects=subjects,
        images=images,
        sites=["mid"],
        reduce=lambda step, site, output: output,
    )
    return found, sampler


def test_subjects_take_turns_and_then_templates():
    _, sampler = observed()
    assert sampler.prompts[:3] == [
        "a photo of a young female nurse",
        "a photo of a young female CEO",
        "a portrait of a young female nurse",
    ]
    assert sampler.prompts[6] == "a photo of an elderly female nurse"


def test_every_image_has_the_groups_of_its_prompt():
    found, sampler = observed()
    assert found.groups["gender"].tolist() == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3
    assert found.groups["age"].tolist() == [0] * 6 + [1] * 6
    stated = [("female" not in prompt, "young" not in prompt) for prompt in sampler.prompts]
    assert list(zip(found.groups["gender"], found.groups["age"], strict=True)) == stated


def test_activations_are_the_conditional_ones_of_each_image_and_step():
    found, sampler = observed()
    lengths = [float(len(prompt)) for prompt in sampler.prompts]
    assert found.features["mid"][:, 0, 0].tolist() == lengths
    assert found.features["mid"][:, 1, 0].tolist() == [length + 1 for length in lengths]


def test_seeds_differ_and_follow_from_the_task():
    (_, first), (_, again) = observed(images=20), observed(images=20)
    assert len(set(first.seeds)) == 80 and first.seeds == again.seeds


def test_without_subjects_the_concepts_of_the_task_are_drawn():
    _, sampler = observed(subjects=())
    assert all(prompt.endswith("teacher") for prompt in sampler.prompts)


@pytest.mark.parametrize("images", [1, 4])
def test_every_cell_has_as_many_images(images):
    found, _ = observed(images=images)
    cells = list(zip(found.groups["gender"], found.groups["age"], strict=True))
    assert len(cells) == 4 * images and all(cells.count(cell) == images for cell in cells)
