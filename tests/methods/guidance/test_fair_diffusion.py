"""Fair Diffusion: the semantic guidance of diffusers, with a cell drawn for every image."""

from collections import Counter

import numpy as np
import pytest
import torch
from diffusers import SemanticStableDiffusionPipeline
from helpers.families import pipeline
from helpers.methods import GENDER, JOINT, Studio, make_task
from pydantic import ValidationError
from scipy.stats import chisquare

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Intervention
from evenhand.methods.guidance.fair_diffusion import FairDiffusion, SemanticGuidance, strongest
from evenhand.methods.hooks import Batch, Steering, Step

PROTOCOL = Protocol(version="t", solver="ddim", steps=6, guidance=7.0, width=32, height=32, batch=2)
PROMPTS = ["a photo of a nurse", "a portrait of a mechanic"]
EDITS = (("male person", -1), ("female person", 1))
# The random networks hardly react to words; a large scale makes the edit visible.
GUIDANCE = {"scale": 400.0, "quantile": 0.95, "momentum": 0.5, "beta": 0.6, "warmup": 0.34}


class Recorded(SemanticGuidance):
    """Records what it adds to classifier-free guidance."""

    def noise(self, step, uncond, text, branches):
        guided = super().noise(step, uncond, text, branches)
        added.append(guided - uncond - step.scale * (text - uncond))
        return guided


class Guided(Intervention):
    def steer(self, batch):
        return Recorded([EDITS] * len(batch), **GUIDANCE)


added: list[torch.Tensor] = []


def test_guidance_and_images_equal_those_of_diffusers(tmp_path):
    parts = pipeline("sd1")
    parts.save_pretrained(tmp_path)
    sampler = Sampler(load_model(str(tmp_path), device="cpu"), PROTOCOL)
    added.clear()
    ours = sampler(PROMPTS, [1, 2], intervention=Guided())

    library = SemanticStableDiffusionPipeline(
        **{
            name: parts.components[name] for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
        },
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    library.set_progress_bar_config(disable=True)
    theirs = library(
        prompt=PROMPTS,
        latents=torch.stack([torch.randn(4, 16, 16, generator=torch.manual_seed(s)) for s in (1, 2)]),
        num_inference_steps=6,
        guidance_scale=7.0,
        height=32,
        width=32,
        editing_prompt=[prompt for prompt, _ in EDITS],
        reverse_editing_direction=[sign < 0 for _, sign in EDITS],
        edit_warmup_steps=[3, 3],  # 0.34 of 6 steps is 2.04: the edits act from step 3
        edit_guidance_scale=400.0,
        edit_threshold=0.95,
        edit_momentum_scale=0.5,
        edit_mom_beta=0.6,
        output_type="np",
    ).images
    wanted = library.sem_guidance[:6]
    torch.testing.assert_close(torch.stack(added), wanted, rtol=1e-3, atol=1e-3)
    assert not wanted[:3].any()
    assert (wanted[3:].flatten(start_dim=1).abs().amax(dim=1) > 5).all()
    assert np.abs(ours.astype(int) - (theirs * 255).round()).max() <= 1
    assert np.abs(ours.astype(int) - sampler(PROMPTS, [1, 2])).max() > 5


def test_a_step_equals_the_formula_for_each_image():
    generator = torch.Generator().manual_seed(0)
    shape = (3, 4, 5, 7)  # latents that are not square

    def draw():
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    signs = np.array([[1, -1, -1], [-1, 1, 1], [0, 0, 0]])
    steering = SemanticGuidance(
        [[(f"{i}{j}", int(s)) for j, s in enumerate(row)] for i, row in enumerate(signs)],
        scale=3.0,
        quantile=0.8,
        momentum=0.5,
        beta=0.6,
        warmup=0.5,
    )
    assert steering.branches == [tuple(f"{i}{j}" for j in range(3)) for i in range(3)]
    nu = np.zeros(shape)
    for index in range(4):
        uncond, text, *branches = (draw() for _ in range(5))
        got = steering.noise(Step(index, 4, torch.tensor(0), 2.5), uncond, text, branches)
        G = 0.5 * nu
        for n, channel, c in np.ndindex(3, 4, 3):
            g = signs[n, c] * 3.0 * (branches[c] - uncond)[n, channel].numpy()
            G[n, channel] += np.where(np.abs(g) >= np.quantile(np.abs(g), 0.8), g, 0)
        nu = 0.6 * nu + 0.4 * G
        wanted = (uncond + 2.5 * (text - uncond)).numpy() + (G if index >= 2 else 0)
        # The quantile is taken in single precision: the kept positions agree, their values are exact.
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-6, atol=1e-9)


def test_the_quantile_keeps_the_largest_positions_of_every_channel():
    g = torch.randn(2, 3, 4, 10, 10, generator=torch.Generator().manual_seed(1))
    kept = strongest(g, 0.95)
    assert ((kept != 0).flatten(start_dim=3).sum(dim=3) == 5).all()
    assert torch.equal(strongest(g, 0.0), g)
    assert strongest(g.half(), 0.95).dtype == torch.float16


@pytest.mark.parametrize(
    ("warmup", "count", "first"), [(0.1, 50, 5), (0.1, 8, 1), (0.1, 30, 3), (0.2, 50, 10), (0.0, 8, 0)]
)
def test_the_warmup_is_a_share_of_the_steps(warmup, count, first):
    steering = SemanticGuidance([[("a", 1)]], **{**GUIDANCE, "warmup": warmup, "quantile": 0.0})
    one, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    acts = [
        bool(steering.noise(Step(i, count, torch.tensor(0), 1.0), zero, zero, [one]).any())
        for i in range(count)
    ]
    assert acts == [i >= first for i in range(count)]


def steer(intervention, texts, seeds):
    draws = tuple(np.random.default_rng(seed) for seed in seeds)
    return intervention.steer(Batch(tuple(texts), tuple(seeds), draws))


def fit(cells=GENDER, target=None, **parameters):
    task = make_task(Studio({}), concepts=("nurse", "construction worker"), cells=cells, target=target)
    return FairDiffusion(**parameters).fit(task)


@pytest.mark.parametrize("edits", ["attributes", "cells"])
def test_one_binary_attribute_uses_the_papers_pair_of_prompts(edits):
    steering = steer(fit(target=(1.0, 0.0), edits=edits), ["a photo of a nurse"], [1])
    assert set(zip(steering.branches[0], steering.signs[:, 0].tolist(), strict=True)) == {
        ("female person", 1),
        ("male person", -1),
    }


def test_the_drawn_group_of_every_attribute_is_added_and_its_other_groups_are_reversed():
    steering = steer(fit(cells=JOINT, target=(0, 0, 1, 0)), ["a construction worker"], [1])
    assert dict(zip(steering.branches[0], steering.signs[:, 0].tolist(), strict=True)) == {
        "female person": 1,
        "male person": -1,
        "elderly person": 1,
        "young person": -1,
    }


def test_cells_reverse_an_opposite_cell_with_two_branches():
    template = "a photo of {a} {adjective} {concept}"
    steering = steer(
        fit(cells=JOINT, target=(0, 0, 1, 0), edits="cells", prompt=template), ["a nurse at work"], [1]
    )
    assert list(zip(steering.branches[0], steering.signs[:, 0].tolist(), strict=True)) == [
        ("a photo of an elderly female nurse", 1),
        ("a photo of a young male nurse", -1),
    ]


def test_cells_are_drawn_from_the_target():
    target, draws = (0.1, 0.2, 0.3, 0.4), 2000
    intervention = fit(cells=JOINT, target=target, edits="cells")
    steering = steer(intervention, ["a photo of a nurse"] * draws, range(draws))
    shown = Counter(row[0] for row in steering.branches)
    expected = {f"{cell.adjective} person": draws * p for cell, p in zip(JOINT, target, strict=True)}
    assert set(shown) == set(expected)
    assert chisquare([shown[key] for key in expected], list(expected.values())).pvalue > 0.001


@pytest.mark.slow
def test_a_prompt_without_a_concept_gives_the_baseline_image():
    model = load_model("mini")
    protocol = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=32, height=32, batch=4)
    prompts = ["a photo of a cat", "a photo of a nurse", "a nurse and a dog", "a nursery"]
    baseline = Sampler(model, protocol)(prompts, [1, 2, 3, 4]).astype(int)
    edited = Sampler(model, protocol)(prompts, [1, 2, 3, 4], intervention=fit(warmup=0.0)).astype(int)
    change = np.abs(edited - baseline).max(axis=(1, 2, 3))
    assert (change[[0, 3]] <= 1).all()
    assert (change[[1, 2]] > 10).all()


@pytest.mark.parametrize(("edits", "cells", "branches"), [("cells", JOINT, 2), ("attributes", JOINT, 4)])
def test_the_budget_states_the_additional_passes(edits, cells, branches):
    method = FairDiffusion(edits=edits)
    assert method.budget(concepts=2, cells=cells).branches == branches
    assert len(steer(fit(cells, edits=edits), ["a nurse"], [0]).branches[0]) == branches


def test_scale_zero_gives_the_baseline_bit_for_bit():
    assert type(steer(fit(scale=0.0), ["a nurse"], [0])) is Steering


def test_invalid_tasks_raise_an_error():
    with pytest.raises(EvenhandError, match="at least two cells"):
        fit(cells=GENDER[:1])
    with pytest.raises(EvenhandError, match=r"cannot fill template '\{adjective\} \{who\}'"):
        fit(prompt="{adjective} {who}")
    with pytest.raises(ValidationError):
        FairDiffusion(prompt="a person")
