"""Sortition from images: what it learns from, what it adds to text states, and that this shows a group."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.activations import PROTOCOL, make
from helpers.methods import GENDER, JOINT, Studio, make_task
from scipy.stats import chisquare, ttest_rel

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.methods.base import Task
from evenhand.methods.shared.training import course
from evenhand.methods.sortition.sortition import sampling_data
from evenhand.methods.sortition.sortition_images import (
    Examples,
    SortitionImages,
    SortitionImagesIntervention,
    groups_of,
)

CONCEPTS = ("nurse", "construction worker")
TEMPLATE = "{a} {concept}"


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def brightness(images, texts):
    """A judge of two groups without words: the brighter half of all images is the first group."""
    mean = images.mean(axis=(1, 2, 3))
    first = mean > np.median(mean)
    return np.stack([first, ~first], axis=1)[:, : len(texts)].astype(float)


def method(**parameters):
    small = {"measure": TEMPLATE, "judge": "clip-xs", "examples": 8, "steps": 1, "images": 0}
    return SortitionImages(**small | parameters)


def intervention(model, cells=JOINT, lots=None, scale=1.0):
    task = replace(make_task(Studio({}), concepts=CONCEPTS, cells=cells), model=model)
    generator = torch.Generator().manual_seed(0)
    v = {
        f"v/{name}/{group}": torch.randn(192, generator=generator)
        for cell in cells
        for name, group in cell.groups.items()
    }
    data = {**sampling_data(task), "scale": scale}
    if lots is not None:
        data["lots"] = {concept: list(lots) for concept in CONCEPTS}
    return SortitionImagesIntervention(tensors=v, data=data)


@pytest.mark.slow
def test_a_fit_follows_adam_on_the_denoising_loss(mini):
    """One step on one batch, written out from the formula with the same draws."""
    task = make(mini, concepts=("nurse", "guard"))
    fitted = method(learning_rate=0.03, training_batch=4).fit(replace(task, judge=brightness))
    rng = np.random.default_rng(0)
    prompts = ["a nurse", "a guard"] * 4
    images = Sampler(mini, PROTOCOL)(prompts, rng.integers(0, 2**31, size=8).tolist())
    read = np.zeros(8, np.int64)
    for start in (0, 1):
        read[start::2] = brightness(images[start::2], ("", "")).argmax(axis=1)
    rows = Examples(prompts, images, {"gender": read}).draw(rng, 4)
    t = torch.from_numpy(rng.integers(1000, size=4))
    eps = torch.from_numpy(rng.standard_normal((4, 4, 16, 16), dtype=np.float32))
    abar = mini.alphas_cumprod[t].view(4, 1, 1, 1)
    x_t = abar.sqrt() * mini.latents(images)[rows] + (1 - abar).sqrt() * eps
    text = mini.encode([prompts[row] for row in rows])
    v = torch.zeros(2, 192, requires_grad=True)
    states = text.states.clone()
    # Token 0 begins the text, 1 is the article, 2 the occupation.
    states[:, 2:] = states[:, 2:] + v[read[rows]][:, None]
    predicted = mini.predict(x_t, t, replace(text, states=states))
    (gradient,) = torch.autograd.grad((eps - predicted).pow(2).mean(), v)
    # The first step of Adam is the sign of the gradient, but for its epsilon.
    step = -0.03 * gradient / (gradient.abs() + 1e-8)
    learned = torch.stack([fitted.tensors[f"v/gender/{group}"] for group in ("woman", "man")])
    torch.testing.assert_close(learned, step - step.mean(dim=0), atol=1e-3, rtol=0)


@pytest.mark.slow
def test_learned_directions_make_the_model_show_the_group(mini):
    """The judge sorts bright from dark images, for which no prompt here has a word."""
    task = make(mini, concepts=("guard",))
    fitted = method(examples=48, steps=60, learning_rate=0.05).fit(replace(task, judge=brightness))
    sample, shown = Sampler(mini, PROTOCOL), {}
    for group, lots in {"woman": [1.0, 0.0], "man": [0.0, 1.0]}.items():
        forced = replace(fitted, data={**fitted.data, "lots": {"guard": lots}})
        images = sample(["a photo of a guard"] * 16, list(range(16)), intervention=forced)
        shown[group] = images.mean(axis=(1, 2, 3))
    assert ttest_rel(shown["woman"], shown["man"], alternative="greater").pvalue < 1e-4


@pytest.mark.slow
def test_no_prompt_of_the_fit_states_a_group(mini):
    asked = []
    task: Task = replace(make(mini), judge=brightness)

    def sample(prompts, seeds, **options):
        asked.extend(prompts)
        return task.sample(prompts, seeds, **options)

    fitted = method(images=8, batch=4).fit(replace(task, sample=sample))
    assert len(asked) == 16
    assert set(asked) == {"a nurse", "a construction worker"}
    assert fitted.record["training"] == course([fitted.record["training"]["first_loss"]])
    assert [look["images"] for look in fitted.record["looks"]] == [4, 8]


def test_images_belong_to_the_most_probable_group():
    p = np.random.default_rng(0).dirichlet([1, 1, 1], size=60)
    assert (groups_of(p, least=4) == p.argmax(axis=1)).all()


def test_a_group_that_is_never_the_most_probable_one_gets_the_likeliest_images():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.95, 0.05], [0.99, 0.01]])
    assert groups_of(p, least=2).tolist() == [0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("least", [1, 4, 8, 100])
def test_every_group_has_its_images_whatever_the_judge_says(least):
    rng = np.random.default_rng(1)
    for p in (rng.dirichlet([50, 1, 1], size=24), np.tile([0.5, 0.3, 0.2], (24, 1)), np.full((24, 3), 1 / 3)):
        assert np.bincount(groups_of(p, least=least), minlength=3).min() >= min(least, 8)


def test_rare_groups_are_drawn_as_often_as_common_ones():
    groups = {"gender": np.array([0] * 90 + [1] * 10), "age": np.array([0, 1, 2, 1] * 25)}
    rows = Examples([], np.zeros(0, np.uint8), groups).draw(np.random.default_rng(0), 6000)
    women = groups["gender"] == 0
    # Two of the five groups are a gender, one of them women; the other draws choose by age alone.
    by_age = np.mean([women[groups["age"] == group].mean() for group in range(3)])
    expected = 6000 * (1 / 5 + 3 / 5 * by_age)
    shown = women[rows].sum()
    assert chisquare([shown, 6000 - shown], [expected, 6000 - expected]).pvalue > 1e-3


@pytest.mark.parametrize("cell", range(4))
def test_the_directions_of_the_drawn_groups_are_added_from_the_concept_on(mini, cell):
    made = intervention(mini, lots=np.eye(4)[cell], scale=0.5)
    text = mini.encode(["a photo of a construction worker in a park"])
    states = made.embedding(text, [np.random.default_rng(0)]).states
    v = sum(made.tensors[f"v/{name}/{group}"] for name, group in JOINT[cell].groups.items())
    assert torch.equal(states[0, :6], text.states[0, :6])
    torch.testing.assert_close(states[0, 6:], text.states[0, 6:] + 0.5 * v)


def test_an_attribute_that_a_known_word_states_is_left_alone(mini):
    made = intervention(mini, lots=[1.0, 0.0, 0.0, 0.0])
    text = mini.encode(["a female nurse"])
    states = made.embedding(text, [np.random.default_rng(0)]).states
    torch.testing.assert_close(states[0, 3:], text.states[0, 3:] + made.tensors["v/age/adult"])


@pytest.mark.parametrize("prompt", ["a photo of a cat", "an elderly female nurse", ""])
def test_prompts_without_a_concept_or_with_all_groups_stated_keep_their_states(mini, prompt):
    text = mini.encode([prompt])
    made = intervention(mini).embedding(text, [np.random.default_rng(0)])
    assert torch.equal(made.states, text.states)


def test_the_cost_is_declared_in_advance():
    budget = SortitionImages().budget(concepts=35, cells=GENDER)
    assert (budget.images, budget.judgements, budget.evaluations) == (240, 240, 2400)
