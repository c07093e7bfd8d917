"""Vectors trained on images of stated groups."""

import numpy as np
import pytest
import torch
from helpers.activations import PROMPTS, PROTOCOL, make
from helpers.methods import JOINT

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.methods.activations._mid_block import added
from evenhand.methods.activations.interpret_diffusion import InterpretDiffusion

H = (192, 4, 4)


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.mark.slow
def test_zero_vectors_do_not_change_any_image(mini):
    fitted = InterpretDiffusion(images=1, epochs=1, batch=2, scale=0).fit(make(mini))
    assert not fitted.tensors["vectors"].any()
    sampler = Sampler(mini, PROTOCOL)
    assert (sampler(PROMPTS, [1, 2, 3, 4], intervention=fitted) == sampler(PROMPTS, [1, 2, 3, 4])).all()


@pytest.mark.slow
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
