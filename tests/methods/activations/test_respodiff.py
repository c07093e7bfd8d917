"""RespoDiff: two vectors per group, learned by score matching."""

import io
import itertools
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from helpers.methods import GENDER

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.activations._mid_block import added
from evenhand.methods.activations.respodiff import RespoDiff, ddim_step
from evenhand.methods.base import Task

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=64, height=64, batch=4)
H = (192, 4, 4)


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def make(mini, *, cells=GENDER, concepts=("nurse", "construction worker"), checkpoint=None):
    return Task(
        model=mini,
        concepts=tuple(concepts),
        cells=tuple(cells),
        target=np.full((len(concepts), len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(0),
        sample=Sampler(mini, PROTOCOL),
        judge=lambda images, texts: pytest.fail("nothing is judged"),
        checkpoint=checkpoint,
    )


def test_a_ddim_step_equals_that_of_diffusers(mini):
    scheduler = DDIMScheduler.from_config(
        mini.scheduler.config, clip_sample=False, timestep_spacing="trailing", set_alpha_to_one=False
    )
    scheduler.set_timesteps(4)
    t, s = scheduler.timesteps[:2]
    z, e = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    alphas = scheduler.alphas_cumprod
    expected = scheduler.step(e, t, z).prev_sample
    torch.testing.assert_close(ddim_step(z, e, signal=alphas[t], next_signal=alphas[s]), expected)


def test_a_run_in_bfloat16_ends_as_in_double_precision(mini):
    """Until the last timesteps, where ``1 - abar`` cannot be represented in ``bfloat16``."""
    alphas, steps = mini.alphas_cumprod, 40
    model = SimpleNamespace(
        alphas_cumprod=alphas,
        features=lambda *_: nullcontext(),
        encode=lambda texts: None,
        predict=lambda z, t, text: torch.ones_like(z),
    )
    start = torch.zeros(1, 1, 1, 1)
    method = RespoDiff(steps=steps, guidance=1)
    z, t = method._run(model, start.bfloat16(), steps - 1, ["a person"], torch.zeros(1))
    at, expected = torch.linspace(999, 0, steps).round().long(), start.double()
    for s, u in itertools.pairwise(at):
        a, b = alphas[s].double(), alphas[u].double()
        expected = ddim_step(expected, torch.ones_like(expected), signal=a, next_signal=b)
    assert t.tolist() == [0]
    torch.testing.assert_close(z.double(), expected, rtol=0.01, atol=0)


def test_the_first_step_follows_both_losses_with_a_guided_target(mini):
    """One step of Adam from the formulas, with the same draws."""
    method = RespoDiff(
        iterations=1, steps=1, target_guidance=4.0, learning_rate=0.04, semantic_learning_rate=0.004
    )
    fitted = method.fit(make(mini, cells=GENDER[:1]))
    rng = np.random.default_rng(0)
    rng.integers(1, size=1)  # the group
    rng.choice(["nurse", "construction worker"], 1)
    z = torch.from_numpy(rng.standard_normal((1, 4, 16, 16), dtype=np.float32))
    t = torch.tensor([999])

    def e(text, shift=None):
        with added(mini, torch.zeros(1, *H) if shift is None else shift):
            return mini.predict(z, t, mini.encode([text]))

    resp = torch.zeros(1, *H, requires_grad=True)
    with torch.no_grad():
        target = e("") + 4 * (e("a woman") - e(""))
    (gradient,) = torch.autograd.grad((e("a person", resp) - target).pow(2).mean(), resp)
    # The first step of Adam is the sign of the gradient, but for its epsilon. The semantic loss is zero and
    # minimal where both vectors are zero, so T_sem has no gradient yet.
    expected = -0.04 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(fitted.tensors["vectors"], expected, atol=1e-3, rtol=0)
    assert fitted.record["semantic"]["first_loss"] == 0


def test_the_target_is_the_guided_prediction_for_the_stated_group(mini):
    z, t = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3)), torch.tensor([400])
    with torch.no_grad():
        stated, uncond = (mini.predict(z, t, mini.encode([text])) for text in ("a man", ""))
    for w in (1.0, 4.0):
        got = RespoDiff(target_guidance=w)._target(mini, z, t, ["a man"])
        torch.testing.assert_close(got, uncond + w * (stated - uncond))


@pytest.mark.slow
def test_the_vectors_match_the_score_of_the_stated_group(mini):
    method = RespoDiff(
        neutral="a photo of {a} {concept}",
        stated="a photo of {a} {adjective} {concept}",
        iterations=8,
        batch=2,
        steps=3,
        guidance=1,
        target_guidance=1,
        learning_rate=0.04,
        semantic_learning_rate=0,
    )
    fitted = method.fit(make(mini, concepts=("nurse",)))
    noise = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    z, t = method._run(mini, noise, 1, ["a photo of a nurse"] * 2, torch.zeros(2, *H))
    neutral, stated = (mini.encode([text] * 2) for text in ("a photo of a nurse", "a photo of a male nurse"))
    with torch.no_grad():
        expected, unsteered = mini.predict(z, t, stated), mini.predict(z, t, neutral)
        with added(mini, fitted.tensors["vectors"][1].expand(2, *H)):
            got = mini.predict(z, t, neutral)
    assert (got - expected).pow(2).mean() < 0.9 * (unsteered - expected).pow(2).mean()


@pytest.mark.slow
def test_the_semantic_vector_undoes_part_of_the_responsible_one(mini):
    """Its minimum is the opposite vector, so a faster learning rate removes more of the effect."""
    keywords = {"iterations": 6, "batch": 2, "steps": 1, "guidance": 1, "learning_rate": 0.04}
    norms = [
        RespoDiff(**keywords, semantic_learning_rate=rate).fit(make(mini)).tensors["vectors"].norm().item()
        for rate in (0, 0.004, 0.04)
    ]
    assert norms[2] < norms[1] < norms[0] and norms[2] < 0.9 * norms[0] < norms[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters", [{}, {"guidance": 1, "target_guidance": 1}, {"semantic_learning_rate": 0}]
)
def test_the_budget_bounds_the_passes_and_is_reached_by_the_longest_runs(mini, parameters):
    method = RespoDiff(iterations=2, batch=3, steps=1, **parameters)
    before = mini.evaluations
    method.fit(make(mini))
    budget = method.budget(concepts=2, cells=GENDER)
    assert mini.evaluations - before == budget.evaluations  # a full run of one step has no step before z
    longer = RespoDiff(iterations=2, batch=3, steps=4, **parameters)
    before = mini.evaluations
    longer.fit(make(mini))
    assert mini.evaluations - before <= longer.budget(concepts=2, cells=GENDER).evaluations
    assert not budget.exact


class Memory:
    """A checkpoint in memory; interrupts the training when it has saved a number of states."""

    def __init__(self, *, interrupt_after):
        self.saves, self.interrupt_after, self.state = 0, interrupt_after, None

    def due(self):
        return True

    def save(self, state):
        self.saves += 1
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        self.state = buffer.getvalue()
        if self.saves == self.interrupt_after:
            raise KeyboardInterrupt

    def load(self):
        return None if self.state is None else torch.load(io.BytesIO(self.state), weights_only=True)


@pytest.mark.slow
def test_an_interrupted_training_resumes_with_the_same_result(mini):
    method = RespoDiff(iterations=3, batch=1, steps=2, guidance=1, learning_rate=0.04)
    whole = method.fit(make(mini))
    memory = Memory(interrupt_after=4)
    with pytest.raises(KeyboardInterrupt):
        method.fit(make(mini, checkpoint=memory))
    resumed = method.fit(make(mini, checkpoint=memory))
    assert memory.saves == 6  # two groups, three iterations: four steps before the interruption, two after
    assert resumed.digest() == whole.digest() and resumed.record == whole.record


@pytest.mark.slow
def test_training_stops_early_only_with_patience(mini):
    keywords = {"iterations": 8, "steps": 1, "learning_rate": 1e-9}
    counts = [
        RespoDiff(**keywords, patience=patience).fit(make(mini)).record["response"]["steps"]
        for patience in (0, 2)
    ]
    assert counts[0] == 16 and 4 <= counts[1] < 16


def test_the_run_to_z_follows_the_edited_model_with_guidance(mini):
    method = RespoDiff(steps=3, guidance=2.5)
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    rows = 0.3 * torch.randn(1, *H, generator=torch.Generator().manual_seed(4))
    z, t = method._run(mini, noise, 2, ["a person"], rows)
    expected, abar = noise, mini.alphas_cumprod
    for now, then in ((999, 500), (500, 0)):
        with torch.no_grad():
            e_uncond = mini.predict(expected, torch.tensor([now]), mini.encode([""]))
            with added(mini, rows):
                e = e_uncond + 2.5 * (
                    mini.predict(expected, torch.tensor([now]), mini.encode(["a person"])) - e_uncond
                )
        clean = (expected - (1 - abar[now]).sqrt() * e) / abar[now].sqrt()
        expected = abar[then].sqrt() * clean + (1 - abar[then]).sqrt() * e
    torch.testing.assert_close(z, expected)
    assert t.tolist() == [0]


def test_factors_of_attributes_that_are_not_balanced_raise_an_error():
    with pytest.raises(EvenhandError, match=r"'scales' names tone, which is not balanced; .* gender"):
        RespoDiff(scales={"tone": 0.9}).check(family="sd1", cells=GENDER)
    RespoDiff(scales={"gender": 0.9}).check(family="sd1", cells=GENDER)
