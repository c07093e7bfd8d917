"""Sampling for training: adjusted gradients, and images equal to those of the engine."""

import numpy as np
import pytest
import torch
from helpers.families import pipeline

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.finetuning._adjusted_sampling import coefficients, decode, sample, solver


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


def test_coefficients_equal_the_formula_with_geometric_mean_one(model):
    bars = model.alphas_cumprod.double().numpy()
    got = coefficients(model.alphas_cumprod, [999, 500, 20, 1])
    wanted = [
        np.sqrt(bars[t]) * np.sqrt(1 - bars[t]) / (1 - bars[t] / bars[t - 1]) for t in (999, 500, 20, 1)
    ]
    np.testing.assert_allclose(got, np.array(wanted) / np.prod(wanted) ** 0.25, rtol=1e-6)
    assert np.prod(got) == pytest.approx(1)


class Scripted:
    """A model whose prediction is a trained number per timestep, times a detached function of the latents."""

    def __init__(self, model, offsets):
        self.scheduler, self.alphas_cumprod, self.unet = model.scheduler, model.alphas_cumprod, model.unet
        self.offsets, self.order, self.calls = offsets, {}, []

    def predict(self, latents, timesteps, text):
        self.calls.append(latents.requires_grad)
        place = self.order[int(timesteps[0])]
        return (latents * latents).sin() * 0.1 + self.offsets[place]


def test_the_gradient_is_the_solver_weight_times_the_coefficient(model):
    """The weight of each prediction in the result, by finite differences with the others fixed."""
    offsets = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    scripted = Scripted(model, offsets)
    timesteps = [int(t) for t in solver(model, 3).timesteps]
    scripted.order = {t: number for number, t in enumerate(timesteps)}
    noise = torch.randn(1, 4, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    text = model.encode(["a nurse"])
    sample(scripted, noise, text, text, steps=3, guidance=2.5).sum().backward()
    assert not any(scripted.calls)

    def result(predictions):
        scheduler, latents = solver(model, 3), noise
        for t, prediction in zip(timesteps, predictions, strict=True):
            latents = scheduler.step(prediction, t, latents).prev_sample
        return float(latents.sum())

    wanted = []
    for place, factor in enumerate(coefficients(model.alphas_cumprod, timesteps)):
        moved = [[torch.full_like(noise, sign * 0.5 * (place == n)) for n in range(3)] for sign in (1, -1)]
        wanted.append(factor * (result(moved[0]) - result(moved[1])))
    np.testing.assert_allclose(offsets.grad.numpy(), wanted, rtol=1e-6)


def test_sampling_for_training_equals_the_sampling_of_the_engine(model):
    protocol = Protocol(
        version="t", solver="dpmsolver++", steps=3, guidance=2.5, width=64, height=64, batch=2
    )
    wanted = Sampler(model, protocol)(["a photo of a nurse"] * 2, [1, 2])
    noise = torch.stack(
        [torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    )
    with torch.no_grad():
        text, uncond = model.encode(["a photo of a nurse"] * 2), model.encode([""] * 2)
        latents = sample(model, noise, text, uncond, steps=3, guidance=2.5)
        images = model.vae.decode(latents / model.vae.config.scaling_factor).sample
    got = images.clamp(-1, 1).add(1).mul(127.5).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(got - wanted).max() <= 1


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_latents_are_decoded_as_the_autoencoder_of_the_model_expects_them(tmp_path, precision):
    """Of an SDXL model: with the mean and standard deviation of latents, in float32 if it is upcast."""
    pipe = pipeline("sdxl")
    statistics = {"latents_mean": [-1.6, 1.2, 0.4, -2.6], "latents_std": [8.5, 5.9, 6.5, 5.0]}
    pipe.vae.register_to_config(force_upcast=True, **statistics)
    pipe.save_pretrained(tmp_path)
    model = load_model(str(tmp_path), precision=precision, device="cpu")
    latents = torch.randn(5, 4, 4, 4, generator=torch.Generator().manual_seed(0)).to(model.unet.dtype)
    latents.requires_grad_(True)
    images = decode(model, latents)
    with torch.no_grad():
        wanted = model.vae.decode(model.autoencoder.unscaled(latents)).sample
    torch.testing.assert_close(images, wanted)
    images.mean().backward()
    assert latents.grad.isfinite().all()
