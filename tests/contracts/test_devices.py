"""The contract of devices: no code mixes them, and no denoising step waits for an accelerator."""

import tomllib
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.accelerator import DEVICE, DeviceTensor, MixedDevicesError, pretended_accelerator
from helpers.families import PROTOCOL, saved
from helpers.methods import GENDER, JOINT
from helpers.paths import DATA

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT
from evenhand.bench.mini.judges import clip_xs
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import SOLVERS, BatchSampler, Sampler
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.stages.fit import CountedJudge
from evenhand.bench.stages.resources import load_scorer
from evenhand.methods.base import Intervention, Task
from evenhand.methods.saving import load, save
from evenhand.metrics.judges.clip_scorer import ClipScorer

PROMPTS, SEEDS = ["a photo of a nurse", "a CEO"], [1, 2]
PER_STEP = 1
"""Largest number of waits that a method adds per denoising step, on average over four steps."""

QUICK = tomllib.loads((DATA / "quick_parameters.toml").read_text())


class Sides:
    """A model on both sides, loaded once: the contract of methods proves that fits do not change it."""

    def __init__(self, folder):
        with pretended_accelerator():
            self.there = load_model(str(folder), device="cuda")
        self.here = load_model(str(folder), device="cpu")


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def sides(request, tmp_path_factory):
    return Sides(saved(request.param, tmp_path_factory))


@contextmanager
def in_this_thread():
    """The accelerator; batches are drawn in this thread, the only one in which it exists."""

    def here(self, tasks):
        for task in tasks:
            yield task()

    with pytest.MonkeyPatch.context() as patch, pretended_accelerator() as waits:
        patch.setattr(BatchSampler, "_all", here)
        yield waits


@pytest.fixture
def accelerator():
    with in_this_thread() as waits:
        yield waits


def protocol(**changes):
    return PROTOCOL.model_copy(update=changes)


def planted(fault):
    there, here = torch.ones(2, 2, device="cuda"), torch.ones(2, 2)
    faults = {
        "sum of both": lambda: there + here,
        "product of both": lambda: there @ here,
        "list of both": lambda: torch.cat([there, here]),
        "index of the other": lambda: here[torch.tensor([0], device="cuda")],
        "numpy": lambda: there.numpy(),
        "pickle": lambda: torch.save(there, "/dev/null"),
    }
    faults[fault]()


@pytest.mark.parametrize(
    "fault",
    ["sum of both", "product of both", "list of both", "index of the other", "numpy", "pickle"],
)
def test_the_pretended_accelerator_rejects_what_cuda_rejects(fault, accelerator):
    with pytest.raises((MixedDevicesError, TypeError)):
        planted(fault)


def test_the_pretended_accelerator_computes_moves_and_counts_waits(accelerator):
    there = torch.arange(4.0, device="cuda").reshape(2, 2)
    weight = torch.ones(2, 2).to(there.device).requires_grad_()
    assert isinstance(there, DeviceTensor) and there.device == DEVICE
    loss = ((there @ weight) ** 2).sum() + torch.tensor(1.0)
    loss.backward()
    assert accelerator.total() == 0, "nothing was read"
    expected = 2 * torch.tensor([[0.0, 1], [2, 3]]).T @ torch.tensor([[1.0, 1], [5, 5]])
    assert torch.equal(weight.grad.cpu(), expected)
    assert (there[[1]].cpu() == torch.tensor([[2.0, 3]])).all()
    assert bool((there > 2).any()) and float(loss.detach()) == 53
    assert accelerator.total() == 4


@pytest.mark.parametrize(
    "solver",
    ["ddim", *(pytest.param(name, marks=pytest.mark.slow) for name in SOLVERS if name != "ddim")],
)
def test_images_are_those_of_the_cpu_and_no_step_waits(solver, sides, accelerator):
    settings = protocol(solver=solver, steps=4)
    on_cpu = Sampler(sides.here, settings)(PROMPTS, SEEDS)
    counted = {}
    for steps in (8, 4):
        sampler = Sampler(sides.there, protocol(solver=solver, steps=steps))
        accelerator.clear()
        drawn = sampler(PROMPTS, SEEDS)
        counted[steps] = accelerator.total()
    assert np.abs(drawn.astype(int) - on_cpu).max() <= 1
    assert counted[8] == counted[4], accelerator


@pytest.mark.slow
def test_edited_weights_and_latents_work_on_the_accelerator(sides, accelerator):
    model = sides.there
    images = Sampler(model, protocol())(PROMPTS, SEEDS)
    edit = {name: value.cpu() * 1.5 for name, value in model.cross_attention().items()}
    edited = Sampler(model, protocol())(PROMPTS, SEEDS, intervention=Intervention(weights=edit))
    assert (edited != images).any()
    assert (Sampler(model, protocol())(PROMPTS, SEEDS) == images).all()
    assert model.latents(images).device == DEVICE


def clip_of(encoder):
    """The bundled CLIP with a random text projection, because the text encoders are random."""
    size = 128, encoder.config.hidden_size
    return torch.randn(size, generator=torch.Generator().manual_seed(0)).to(encoder.device)


FOUR_STEPS = protocol(steps=4)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return Sides(saved("sd1", tmp_path_factory))


def drawn_there(sides, accelerator, fitted=None):
    """The images of the accelerator, and how often it waited for them."""
    accelerator.clear()
    return Sampler(sides.there, FOUR_STEPS)(PROMPTS, SEEDS, intervention=fitted), accelerator.total()


@pytest.fixture(scope="module")
def baseline_waits(sd1):
    with in_this_thread() as waits:
        return drawn_there(sd1, waits)[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_fits_and_draws_on_an_accelerator_as_on_a_cpu(
    name, sd1, baseline_waits, accelerator, tmp_path
):
    method = method_class(name)(**QUICK.get(name, {}))
    cells = GENDER if method.max_cells == 2 else JOINT
    scorer, model = load_scorer("mini"), sd1.there
    try:
        method.check(family=model.family, cells=cells)
    except EvenhandError as fault:
        pytest.skip(str(fault))
    task = Task(
        model=model,
        concepts=("nurse", "construction worker"),
        cells=cells,
        target=np.full((2, len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(0),
        sample=Sampler(model, FOUR_STEPS),
        judge=CountedJudge("clip-xs", clip_xs()),
        image_features=scorer.embed,
        clip=SimpleNamespace(features=scorer.features, text_projection=clip_of),
    )
    save(method.fit(task), tmp_path)
    fitted = load(tmp_path, type(method))
    if fitted.concept_weights:
        fitted = Intervention(weights=next(iter(fitted.concept_weights.values())))
    drawn, waits = drawn_there(sd1, accelerator, fitted)
    expected = Sampler(sd1.here, FOUR_STEPS)(PROMPTS, SEEDS, intervention=fitted)
    assert np.abs(drawn.astype(int) - expected).max() <= 1
    assert waits - baseline_waits <= PER_STEP * FOUR_STEPS.steps, accelerator


@pytest.mark.slow
def test_a_judge_and_the_scorer_label_and_embed_on_an_accelerator_as_on_a_cpu(accelerator):
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    scorer = ClipScorer(folder=ROOT / "clip", device="cuda")
    np.testing.assert_allclose(scorer.embed(images), load_scorer("mini").embed(images), atol=1e-5)
    on_cpu, judge = clip_xs(), clip_xs.__wrapped__()
    judge._device = "cuda"
    expected, answers = on_cpu.label(images), judge.label(images)
    for attribute, answer in answers.items():
        np.testing.assert_allclose(answer.probabilities, expected[attribute].probabilities, atol=1e-5)
