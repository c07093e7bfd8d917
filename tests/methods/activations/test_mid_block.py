"""Vectors on the bottleneck: adding them, and InterpretDiffusion, which learns them from images."""

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler, image_stream
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.activations._mid_block import (
    MidBlockIntervention,
    added,
    codes,
    for_cells,
    shape_of_h,
    training_cells,
)
from evenhand.methods.activations.interpret_diffusion import InterpretDiffusion
from evenhand.methods.base import Task
from evenhand.methods.shared.randomness import drawn_cell

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=64, height=64, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a photo of a construction worker", "a nurse"]
H = (192, 4, 4)


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


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


def test_training_cells_are_single_groups_or_whole_cells():
    assert [cell.adjective for cell in training_cells(JOINT, "groups")] == [
        "female",
        "male",
        "young",
        "elderly",
    ]
    assert [cell.noun for cell in training_cells(JOINT, "groups")][2:] == ["young person", "elderly person"]
    assert training_cells(JOINT, "cells") == list(JOINT)
    assert training_cells(GENDER, "groups") == list(GENDER)


def test_codes_are_one_for_the_groups_of_a_cell():
    # Female, male, young, elderly.
    expected = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
    assert codes(JOINT, JOINT).tolist() == expected
    assert torch.equal(codes(training_cells(JOINT, "groups"), JOINT), torch.eye(4))


def test_a_cell_gets_the_weighted_sum_of_its_groups(mini):
    v = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    fitted = for_cells(make(mini, cells=JOINT), v, scale=0.5, scales={"age": 3.0}, record={})
    female, male, young, elderly = v
    expected = torch.stack(
        [
            0.5 * (sex + 3 * age)
            for sex, age in [(female, young), (male, young), (female, elderly), (male, elderly)]
        ]
    )
    torch.testing.assert_close(fitted.tensors["vectors"], expected)


def test_the_drawn_cell_is_added_to_the_conditional_half_of_images_with_a_concept(mini):
    vectors = torch.randn(2, *H, generator=torch.Generator().manual_seed(0))
    target = {"nurse": [0.5, 0.5], "construction worker": [0.0, 1.0]}
    fitted = MidBlockIntervention(tensors={"vectors": vectors}, data={"target": target})
    seen = []

    class Watched(MidBlockIntervention):
        def steer(self, batch):
            steering, feature = super().steer(batch), None
            feature = steering.feature

            def keep(step, site, h):
                changed = feature(step, site, h)
                seen.append(changed - h)
                return changed

            steering.feature = keep
            return steering

    watched = Watched(tensors=fitted.tensors, data=fitted.data)
    Sampler(mini, PROTOCOL)(PROMPTS, [1, 2, 3, 4], intervention=watched)
    drawn = [
        drawn_cell(text, image_stream(watched.digest(), text, seed), target)
        for text, seed in zip(PROMPTS, [1, 2, 3, 4], strict=True)
    ]
    assert drawn[1] is None and drawn[2] == ("construction worker", 1)
    rows = torch.stack([torch.zeros(H) if cell is None else vectors[cell[1]] for cell in drawn])
    assert len(seen) == PROTOCOL.steps
    for difference in seen:
        assert difference.shape == (8, *H)
        assert not difference[:4].any()
        torch.testing.assert_close(difference[4:], rows, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_zero_vectors_do_not_change_any_image(mini):
    fitted = InterpretDiffusion(images=1, epochs=1, batch=2, scale=0).fit(make(mini))
    assert not fitted.tensors["vectors"].any()
    sampler = Sampler(mini, PROTOCOL)
    assert (sampler(PROMPTS, [1, 2, 3, 4], intervention=fitted) == sampler(PROMPTS, [1, 2, 3, 4])).all()


def test_interpret_diffusion_follows_adam_on_the_denoising_loss(mini):
    """One step on one image, written out from the formula with the same draws."""
    method = InterpretDiffusion(
        images=1, epochs=1, batch=2, learning_rate=0.03, neutral="a photo of a person"
    )
    fitted = method.fit(make(mini))
    rng = np.random.default_rng(0)
    seeds = rng.integers(2**31, size=2).tolist()
    x = mini.latents(Sampler(mini, PROTOCOL)(["a woman", "a man"], seeds))
    rows = rng.integers(2, size=2)
    t = torch.from_numpy(rng.integers(1000, size=2))
    eps = torch.from_numpy(rng.standard_normal((2, 4, 16, 16), dtype=np.float32))
    abar = mini.alphas_cumprod[t].view(2, 1, 1, 1)
    v = torch.zeros(2, *H, requires_grad=True)
    with mini.features(["mid_block"], lambda site, h: h + v[rows]):
        text = mini.encode(["a photo of a person"] * 2)
        predicted = mini.predict(abar.sqrt() * x[rows] + (1 - abar).sqrt() * eps, t, text)
    (gradient,) = torch.autograd.grad((eps - predicted).pow(2).mean(), v)
    # The first step of Adam is the sign of the gradient, but for its epsilon.
    expected = -0.03 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(fitted.tensors["vectors"], expected, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_interpret_diffusion_learns_what_the_neutral_prompt_omits(mini):
    method = InterpretDiffusion(
        neutral="a photo of {a} {concept}",
        stated="a photo of {a} {adjective} {concept}",
        lessons="cells",
        images=2,
        epochs=10,
        batch=4,
        learning_rate=0.05,
    )
    task = make(mini, cells=JOINT, concepts=("nurse",))
    before = mini.evaluations
    fitted = method.fit(task)
    budget = method.budget(concepts=1, cells=JOINT)
    assert mini.evaluations - before == budget.evaluations == 8 * 10 + 1
    assert budget.images == 8
    assert fitted.record["steps"] == 20

    def loss(vectors):
        """Denoising loss of new noise on the images that state a cell."""
        rng = torch.Generator().manual_seed(5)
        x = mini.latents(Sampler(mini, PROTOCOL)(["a photo of an elderly female nurse"] * 4, range(4)))
        t = torch.tensor([900, 700, 500, 300])
        eps = torch.randn(x.shape, generator=rng)
        abar = mini.alphas_cumprod[t].view(4, 1, 1, 1)
        with torch.no_grad(), added(mini, vectors[2].expand(4, *H)):
            text = mini.encode(["a photo of a nurse"] * 4)
            return (mini.predict(abar.sqrt() * x + (1 - abar).sqrt() * eps, t, text) - eps).pow(2).mean()

    vectors = fitted.tensors["vectors"]
    assert loss(vectors) < 0.97 * loss(torch.zeros_like(vectors))


@pytest.mark.slow
def test_training_does_not_depend_on_the_number_of_threads(mini):
    method = InterpretDiffusion(images=1, epochs=2, batch=2)
    before, digests = torch.get_num_threads(), set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            digests.add(method.fit(make(mini)).digest())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(digests) == 1


def test_the_shape_of_the_bottleneck_is_found(mini):
    assert shape_of_h(mini, torch.zeros(3, 4, 16, 16)) == H
    assert shape_of_h(mini, torch.zeros(3, 4, 32, 16)) == (192, 8, 4)
