"""Recorded activations are those of each image, whatever its batch, and do not change the image."""

import numpy as np
import pytest
import torch

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Intervention
from evenhand.methods.hooks import Steering
from evenhand.methods.shared.observation import observe

PROTOCOL = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=32, height=32, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a CEO", "a portrait of a man", "a photo of a nurse"]
SEEDS = [1, 2, 3, 4, 5]
SITES = ["mid_block", "down_blocks.1.attentions.0.transformer_blocks.0.attn2"]


class Scene:
    """The part of a task that the recording needs."""

    def __init__(self, sampler):
        self.sample = sampler


@pytest.fixture(scope="module")
def sampler():
    return Sampler(load_model("mini"), PROTOCOL)


@pytest.fixture(scope="module")
def seen(sampler):
    return observe(Scene(sampler), PROMPTS, SEEDS, sites=SITES, reduce=lambda step, site, output: output)


@pytest.mark.slow
def test_recorded_activations_are_the_conditional_outputs_of_every_step(sampler, seen):
    kept = {}

    class Keep(Steering):
        def feature(self, step, site, output):
            kept[site.name, step.index] = output.clone()
            return output

    class Keeping(Intervention):
        def sites(self):
            return SITES

        def steer(self, batch):
            return Keep()

    sampler(PROMPTS[:4], SEEDS[:4], intervention=Keeping())
    for site in SITES:
        assert seen.features[site].shape[:2] == (5, 3)
        for step in range(3):
            assert torch.equal(seen.features[site][:4, step], kept[site, step][4:8])


@pytest.mark.slow
def test_both_halves_can_be_recorded_with_the_conditional_one_second(sampler, seen):
    halves = observe(
        Scene(sampler), PROMPTS, SEEDS, sites=SITES[:1], reduce=lambda step, site, output: output, both=True
    ).features["mid_block"]
    assert torch.equal(halves[:, :, 1], seen.features["mid_block"])
    assert not torch.allclose(halves[:, :, 0], halves[:, :, 1], atol=1e-3)


@pytest.mark.slow
def test_recording_does_not_change_the_images(sampler, seen):
    assert (seen.images == sampler(PROMPTS, SEEDS)).all()


@pytest.mark.slow
def test_activations_do_not_depend_on_the_order_or_the_batch(sampler, seen):
    turned = observe(
        Scene(sampler), PROMPTS[::-1], SEEDS[::-1], sites=SITES, reduce=lambda step, site, output: output
    )
    for site in SITES:
        assert torch.allclose(turned.features[site].flip(0), seen.features[site], atol=1e-5)
        # The same text with another seed is another image.
        assert not torch.allclose(seen.features[site][0], seen.features[site][4], atol=1e-3)


@pytest.mark.slow
def test_only_the_first_steps_are_recorded_after_reduction(sampler, seen):
    means = observe(
        Scene(sampler),
        PROMPTS,
        SEEDS,
        sites=SITES[:1],
        reduce=lambda step, site, output: output.mean(dim=(2, 3)) * (step.index + 1),
        steps=2,
    )
    expected = seen.features["mid_block"].mean(dim=(3, 4))[:, :2] * torch.tensor([1.0, 2.0])[None, :, None]
    assert means.features.keys() == {"mid_block"}
    assert torch.allclose(means.features["mid_block"], expected, atol=1e-6)


@pytest.mark.slow
def test_recorded_activations_allow_gradients(seen):
    weight = torch.ones(192, requires_grad=True)
    (seen.features["mid_block"].mean(dim=(3, 4)) @ weight).sum().backward()
    assert weight.grad.abs().max() > 0


def test_an_error_is_raised_if_nothing_was_recorded():
    class Stored:
        def sample(self, prompts, seeds, *, intervention=None, negative_prompt=""):
            return np.zeros((len(prompts), 2, 2, 3), np.uint8)

    with pytest.raises(EvenhandError, match="no output of mid_block was recorded"):
        observe(Stored(), PROMPTS, SEEDS, sites=["mid_block"], reduce=lambda step, site, output: output)
