"""Concept Algebra replaces the prompt's score within the subspace of the attributes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, Studio, make_task
from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.guidance.concept_algebra import ConceptAlgebra, ConceptProjection, subspace
from evenhand.methods.hooks import Batch, Steering, Step

SHAPE = (3, 4, 5, 7)
"""Three images with latents that are not square."""


def predictions(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(count)]


def guided(steering, predicted, *, timestep=500, scale=2.5):
    uncond, text, *branches = predicted
    return steering.noise(Step(0, 8, torch.tensor(timestep), scale), uncond, text, branches)


def projection(*, branches, new, gamma=(1.0, 1.0, 1.0), spanning, threshold=0.9, until=1000):
    texts = [[f"{image}{branch}" for branch in range(branches)] for image in range(3)]
    return ConceptProjection(texts, new, gamma, spanning=spanning, threshold=threshold, until=until)


def test_two_poles_and_a_neutral_prompt_give_the_binary_form_for_each_image():
    uncond, text, a, b, z = predictions(5)
    got = guided(projection(branches=3, new=[2, 2, 2], spanning=2), [uncond, text, a, b, z])
    for n in range(3):
        u = (b - a)[n] / torch.linalg.norm((b - a)[n])
        e_0 = text[n] - ((text - z)[n] * u).sum() * u
        torch.testing.assert_close(got[n], uncond[n] + 2.5 * (e_0 - uncond[n]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9, 0.999])
def test_the_subspace_form_equals_the_formula(threshold):
    uncond, text, *branches = predictions(7)
    new, gamma = [4, 0, 2], [1.0, 0.5, 2.0]
    steering = projection(branches=5, new=new, gamma=gamma, spanning=4, threshold=threshold)
    got = guided(steering, [uncond, text, *branches])
    for n in range(3):
        A = np.stack([branch[n].numpy().ravel() for branch in branches[:4]], axis=1) / np.sqrt(4)
        Q, S, _ = np.linalg.svd(A - A.mean(axis=1, keepdims=True), full_matrices=False)
        reached = np.cumsum(S**2) / np.sum(S**2) >= threshold
        Q = Q[:, : int(np.argmax(reached)) + 1]
        e_0, e_new = text[n].numpy().ravel(), branches[new[n]][n].numpy().ravel()
        e_0 = e_0 + gamma[n] * Q @ (Q.T @ (e_new - e_0))
        expected = uncond[n].numpy() + 2.5 * (e_0.reshape(SHAPE[1:]) - uncond[n].numpy())
        np.testing.assert_allclose(got[n].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_each_image_keeps_the_columns_it_needs():
    one, two = torch.zeros(2, 64)
    one[0], two[1] = 1.0, 1.0
    # The second image varies in one direction only, the first in two: 3/4 and 1/4 of its variance.
    scores = torch.stack([torch.stack([one, one]), torch.stack([-one, -one]), torch.stack([two, one])])
    kept = (subspace(scores, 0.9).norm(dim=1) > 0.5).sum(dim=1)
    assert kept.tolist() == [2, 1]
    assert (subspace(scores, 0.7).norm(dim=1) > 0.5).sum(dim=1).tolist() == [1, 1]


def test_an_image_without_a_concept_gets_classifier_free_guidance_even_with_equal_prompts():
    uncond, text, same = predictions(3)
    steering = projection(branches=2, new=[0, 0, 0], gamma=[0.0, 0.0, 0.0], spanning=2)
    assert torch.equal(guided(steering, [uncond, text, same, same]), uncond + 2.5 * (text - uncond))


def test_the_projection_acts_from_its_timestep_on():
    predicted = predictions(4)
    unsteered = Steering()
    steering = projection(branches=2, new=[0, 0, 0], spanning=2, until=600)
    assert torch.equal(guided(steering, predicted, timestep=601), guided(unsteered, predicted))
    assert not torch.equal(guided(steering, predicted, timestep=600), guided(unsteered, predicted))


def fit(cells=GENDER, target=None, **parameters):
    model = SimpleNamespace(alphas_cumprod=torch.ones(1000))
    task = make_task(
        Studio({}), concepts=("nurse", "construction worker"), cells=cells, target=target, model=model
    )
    return ConceptAlgebra(**parameters).fit(task)


def steer(intervention, *texts):
    draws = tuple(np.random.default_rng(seed) for seed in range(len(texts)))
    return intervention.steer(Batch(texts, tuple(range(len(texts))), draws))


def test_the_defaults_are_the_prompts_of_the_published_evaluation():
    steering = steer(fit(), "a photo of a nurse", "a photo of a cat")
    assert steering.branches[0] == ["a woman", "a man", "a person"]
    assert (steering.new[0], steering.spanning, steering.until) == (2, 2, 1000)
    assert steering.gamma.tolist() == [1, 0]
    assert len(steering.branches[1]) == 3


TEMPLATE = "a photo of {a} {adjective} {concept}"


@pytest.mark.parametrize(
    ("parameters", "prompts", "new", "spanning"),
    [
        (
            {"span": "opposite", "towards": "cell", "prompt": TEMPLATE},
            ["a photo of an elderly female nurse", "a photo of a young male nurse"],
            0,
            2,
        ),
        (
            {"span": "opposite", "prompt": "{noun}", "neutral": "person"},
            ["elderly woman", "young man", "person"],
            2,
            2,
        ),
        (
            {"span": "cells", "towards": "cell", "prompt": "{noun}"},
            ["young woman", "young man", "elderly woman", "elderly man"],
            2,
            4,
        ),
        (
            {"span": "groups", "towards": "cell"},
            ["a female person", "a male person", "a young person", "an elderly person", "an elderly woman"],
            4,
            4,
        ),
    ],
)
def test_the_chosen_prompts_span_the_subspace_of_joint_cells(parameters, prompts, new, spanning):
    steering = steer(fit(cells=JOINT, target=(0, 0, 1, 0), **parameters), "a nurse")
    assert list(steering.branches[0]) == prompts
    assert (int(steering.new[0]), steering.spanning) == (new, spanning)
    assert ConceptAlgebra(**parameters).budget(concepts=2, cells=JOINT).branches == len(prompts)


@pytest.mark.slow
def test_only_images_of_a_concept_change():
    model = load_model("mini")
    protocol = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=32, height=32, batch=4)
    prompts = ["a photo of a cat", "a photo of a nurse", "a nurse and a dog", "a nursery"]
    intervention = fit(towards="cell", prompt=TEMPLATE)
    baseline = Sampler(model, protocol)(prompts, [1, 2, 3, 4]).astype(int)
    edited = Sampler(model, protocol)(prompts, [1, 2, 3, 4], intervention=intervention).astype(int)
    change = np.abs(edited - baseline).max(axis=(1, 2, 3))
    assert (change[[0, 3]] <= 1).all()
    assert (change[[1, 2]] > 10).all()


def test_gamma_zero_gives_the_baseline_bit_for_bit():
    assert type(steer(fit(gamma=0.0), "a nurse")) is Steering


def test_invalid_tasks_raise_an_error():
    with pytest.raises(EvenhandError, match="at least two cells"):
        fit(cells=GENDER[:1])
    with pytest.raises(EvenhandError, match="cannot fill template"):
        fit(prompt="{noun} {who}")
    with pytest.raises(ValidationError):
        ConceptAlgebra(prompt="a person")
    with pytest.raises(ValidationError):
        ConceptAlgebra(threshold=1.0)
