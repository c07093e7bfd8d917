"""Interventions in the denoising loop: branches, text states, features and guidance, image by image."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Intervention
from evenhand.methods.hooks import Steering

PROTOCOL = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=64, height=64, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a CEO", "a portrait of a man", "a photo of a mechanic"]
SEEDS = [1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model, PROTOCOL)


@pytest.fixture(scope="module")
def plain(sampler):
    return sampler(PROMPTS, SEEDS)


def intervention(steering, sites=()):
    class Steered(Intervention):
        def sites(self):
            return sites

        def steer(self, batch):
            return steering(batch)

    return Steered()


@dataclass
class Swap(Steering):
    """Follows the branch instead of the prompt."""

    branches: list

    def noise(self, step, uncond, text, branches):
        return uncond + step.scale * (branches[-1] - uncond)


@pytest.mark.slow
def test_a_branch_is_the_prediction_for_its_own_prompt(sampler, plain):
    turned = PROMPTS[1:] + PROMPTS[:1]
    swapped = sampler(
        PROMPTS,
        SEEDS,
        intervention=intervention(lambda batch: Swap([(t,) for t in turned_of(batch, turned)])),
    )
    expected = sampler(turned, SEEDS)
    assert np.abs(swapped.astype(int) - expected).max() <= 1
    assert (swapped != plain).any(axis=(1, 2, 3)).all()


def turned_of(batch, turned):
    by_text = dict(zip(PROMPTS, turned, strict=True))
    return [by_text[text] for text in batch.texts]


@pytest.mark.slow
def test_steps_count_up_and_have_the_solvers_timesteps(sampler):
    seen = []

    class Watch(Steering):
        def text(self, step, states, latents):
            seen.append((step.index, step.count, int(step.timestep), step.scale, tuple(latents.shape)))
            return states

    sampler(PROMPTS[:1], SEEDS[:1], intervention=intervention(lambda batch: Watch()))
    assert [row[:2] for row in seen] == [(0, 3), (1, 3), (2, 3)]
    assert sorted((row[2] for row in seen), reverse=True) == [row[2] for row in seen]
    assert {row[3:] for row in seen} == {(2.5, (4, 4, 16, 16))}


@pytest.mark.slow
def test_text_states_can_change_between_steps(sampler, plain, model):
    target = model.encode(["a photo of a mechanic"]).states

    class Late(Steering):
        def text(self, step, states, latents):
            return target.expand_as(states) if step.index >= step.count else states

    class Always(Steering):
        def text(self, step, states, latents):
            return target.expand_as(states)

    assert (sampler(PROMPTS, SEEDS, intervention=intervention(lambda batch: Late())) == plain).all()
    replaced = sampler(PROMPTS, SEEDS, intervention=intervention(lambda batch: Always()))
    assert (replaced == sampler(PROMPTS[-1:] * 5, SEEDS)).all()


@pytest.mark.slow
def test_features_reach_the_batch_being_sampled(sampler, plain):
    """Batches run in parallel threads on one U-Net; each must see its own module outputs."""
    seen = {}

    @dataclass
    class Mark(Steering):
        texts: tuple

        def feature(self, step, site, output):
            seen.setdefault(self.texts, []).append((step.index, site.name, tuple(output.shape)))
            return output

    sites = ("mid_block", "down_blocks.0.attentions.0.transformer_blocks.0.attn2")
    made = sampler(PROMPTS, SEEDS, intervention=intervention(lambda batch: Mark(batch.texts), sites))
    assert (made == plain).all()
    assert {len(rows) for rows in seen.values()} == {3 * 2}
    assert len(seen) == 2
    assert all(shape[0] == 2 * 4 for rows in seen.values() for _, _, shape in rows)


@pytest.mark.slow
def test_a_changed_feature_changes_the_image_and_leaves_no_hook(sampler, plain, model):
    class Zero(Steering):
        def feature(self, step, site, output):
            return torch.zeros_like(output)

    made = sampler(PROMPTS, SEEDS, intervention=intervention(lambda batch: Zero(), ("mid_block",)))
    assert (made != plain).any(axis=(1, 2, 3)).all()
    assert (sampler(PROMPTS, SEEDS) == plain).all()


@pytest.mark.slow
def test_an_unknown_module_is_an_error(sampler):
    with pytest.raises(EvenhandError, match=r"mid_blok', which mini does not have"):
        sampler(PROMPTS[:1], SEEDS[:1], intervention=intervention(lambda batch: Steering(), ("mid_blok",)))


def test_the_models_prediction_equals_the_samplers_and_passes_gradients(model):
    text = model.encode(PROMPTS[:2])
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([500, 500])
    before = model.evaluations
    offset = torch.zeros(192, 4, 4, requires_grad=True)
    with model.features(["mid_block"], lambda site, output: output + offset):
        predicted = model.predict(latents, timesteps, text)
    predicted.square().sum().backward()
    assert offset.grad.abs().max() > 0
    assert model.evaluations == before + 2
    plain = model.predict(latents, timesteps, text)
    assert torch.allclose(plain, predicted)
    assert not plain.requires_grad


@pytest.mark.slow
def test_latents_decode_to_their_image(model, plain):
    latents = model.latents(plain)
    decoded = model.vae.decode(latents / model.vae.config.scaling_factor).sample
    pixels = decoded.permute(0, 2, 3, 1).add(1).mul(127.5).clamp(0, 255)
    assert np.abs(pixels.numpy() - plain).mean() < np.abs(pixels.numpy() - plain[::-1]).mean() / 4


def test_edited_text_encoder_weights_change_the_states_within_the_context_only(model):
    before = model.encode(PROMPTS[:1]).states
    name, value = next(
        (f"text_encoder.{n}", v)
        for n, v in model.text_encoders[0][1].named_parameters()
        if "k_proj.weight" in n
    )
    with model.edited({name: value * 2}):
        assert not torch.equal(model.encode(PROMPTS[:1]).states, before)
    assert torch.equal(model.encode(PROMPTS[:1]).states, before)


@pytest.mark.slow
def test_an_embedding_can_change_the_states_of_each_image_with_its_random_stream(sampler, plain):
    class Noisy(Intervention):
        def embedding(self, text, draws):
            shift = torch.stack([torch.from_numpy(draw.normal(size=192)).float() for draw in draws])
            return replace(text, states=text.states + 0.3 * shift[:, None])

    first = sampler(PROMPTS, SEEDS, intervention=Noisy())
    assert (first != plain).any()
    assert (sampler(PROMPTS[::-1], SEEDS[::-1], intervention=Noisy())[::-1] == first).all()
