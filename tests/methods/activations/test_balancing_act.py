"""Balancing Act: classifiers and gradients equal scikit-learn and autograd; guidance is per image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.activations.balancing_act import (
    BalancingAct,
    BalancingActIntervention,
    gradient,
    linear_classifier,
)
from evenhand.methods.base import Cell, Task
from evenhand.methods.hooks import Batch, Site, Step
from evenhand.methods.shared.group_assignment import assignment_spec, group_words
from evenhand.methods.shared.observation import observe

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=32, height=32, batch=4)
TONES = tuple(
    Cell(groups={"tone": t}, adjective=f"{t}-skinned", noun="", adjectives={"tone": f"{t}-skinned"})
    for t in ("light", "medium", "dark")
)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a nurse", "a portrait of a nurse"]
SEEDS = [1, 2, 3, 4]


@pytest.fixture(scope="module")
def sampler():
    return Sampler(load_model("mini"), PROTOCOL)


def task_of(sampler, cells, target=None):
    row = np.full(len(cells), 1 / len(cells)) if target is None else np.array(target)
    return Task(
        model=sampler and sampler.model,
        concepts=("nurse",),
        cells=tuple(cells),
        target=row[None],
        rng=np.random.default_rng(0),
        sample=sampler,
        judge=None,
    )


def data(groups, n=60, width=7):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % groups
    return rng.normal(size=(n, width)).astype(np.float32) + labels[:, None] * 0.3, labels


@pytest.mark.parametrize("groups", [2, 3])
def test_probabilities_equal_those_of_scikit_learn(groups):
    h, labels = data(groups)
    weight, bias = linear_classifier(h, labels, 2.0)
    assert weight.shape == (groups, 7)
    expected = LogisticRegression(C=0.5, max_iter=1000).fit(h, labels).predict_proba(h)
    got = torch.softmax(torch.from_numpy(h @ weight.T + bias), dim=1).numpy()
    assert np.allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("loss", ["logit", "cross-entropy"])
def test_the_gradient_equals_autograd(loss):
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((3, 7), (3,)))
    h = torch.randn(5, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    groups = torch.tensor([0, 1, 2, 1, 0])
    logits = h @ weight.T + bias
    picked = (torch.log_softmax(logits / 8, dim=1) if loss == "cross-entropy" else logits)[range(5), groups]
    (-picked.sum()).backward()
    got = gradient(h.detach(), weight, bias, groups, loss=loss)
    assert torch.allclose(got, h.grad, atol=1e-12)


@pytest.fixture(scope="module")
def tone(sampler):
    return BalancingAct(images=6, step=5.0).fit(task_of(sampler, TONES))


@pytest.mark.slow
def test_step_zero_gives_the_baseline_bit_for_bit(sampler, tone):
    still = replace(tone, data={**tone.data, "step": 0.0})
    assert (sampler(PROMPTS, SEEDS, intervention=still) == sampler(PROMPTS, SEEDS)).all()


@pytest.mark.slow
def test_only_the_first_steps_are_guided_and_the_classifiers_of_these_do_not_change(sampler, tone):
    early = BalancingAct(images=6, step=5.0, active=0.5).fit(task_of(sampler, TONES))
    assert torch.equal(early.tensors["weight/tone"][0], tone.tensors["weight/tone"][0])
    assert tone.tensors["weight/tone"].any(dim=(1, 2)).tolist() == [True, True]
    assert early.data == tone.data, "another key would change the digests of earlier fits"
    steering = early.steer(Batch(texts=("a nurse",), seeds=(0,), draws=(np.random.default_rng(0),)))
    site = Site(name="mid_block", module=torch.nn.Identity(), inputs=(), keywords={})
    h = torch.randn(2, 192, 2, 2, generator=torch.Generator().manual_seed(0))
    steps = [Step(index=i, count=2, timestep=torch.tensor(1), scale=2.5) for i in range(2)]
    assert [torch.equal(steering.feature(step, site, h), h) for step in steps] == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("halves", ["both", "conditional"])
def test_only_prompts_with_a_treated_concept_are_guided(sampler, tone, halves):
    fitted = replace(tone, data={**tone.data, "step": 30.0, "halves": halves})
    made, baseline = sampler(PROMPTS, SEEDS, intervention=fitted), sampler(PROMPTS, SEEDS)
    assert [bool((a == b).all()) for a, b in zip(made, baseline, strict=True)] == [False, True, False, False]


@pytest.mark.parametrize("loss", ["logit", "cross-entropy"])
@pytest.mark.parametrize("halves", ["both", "conditional"])
def test_a_step_follows_the_negative_gradient_of_every_attribute_in_the_chosen_halves(halves, loss):
    """Compared with autograd of the summed losses of two attributes."""
    generator = torch.Generator().manual_seed(0)
    sizes = {"gender": 2, "tone": 3}
    tensors = {
        f"{name}/{attribute}": torch.randn(1, *shape(g), generator=generator)
        for attribute, g in sizes.items()
        for name, shape in (("weight", lambda g: (g, 8)), ("bias", lambda g: (g,)))
    }
    cells = [
        Cell(groups={"gender": g, "tone": t}, adjective="", noun="", adjectives={"gender": g, "tone": t})
        for g in ("woman", "man")
        for t in ("light", "medium", "dark")
    ]
    spec = assignment_spec(task_of(None, cells, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
    fitted = BalancingActIntervention(
        tensors=tensors, data={"wishes": spec, "loss": loss, "step": 0.5, "halves": halves}
    )
    draws = tuple(np.random.default_rng(i) for i in range(2))
    steering = fitted.steer(Batch(texts=("a nurse", "a cat"), seeds=(0, 1), draws=draws))
    h = torch.randn(4, 2, 2, 2, generator=generator, requires_grad=True)
    loss_sum = 0
    for attribute, group in (("gender", 1), ("tone", 1)):
        logits = h.flatten(1) @ tensors[f"weight/{attribute}"][0].T + tensors[f"bias/{attribute}"][0]
        scores = torch.log_softmax(logits / 8, dim=1) if loss == "cross-entropy" else logits
        loss_sum = loss_sum - scores[[0, 2], group].sum()
    loss_sum.backward()
    expected = h.detach().clone()
    for row in (0, 2) if halves == "both" else (2,):
        expected[row] -= 0.5 * h.grad[row]
    site = Site(name="mid_block", module=torch.nn.Identity(), inputs=(), keywords={})
    got = steering.feature(Step(index=0, count=1, timestep=torch.tensor(1), scale=2.5), site, h.detach())
    assert torch.allclose(got, expected, atol=1e-5)
    assert torch.equal(got[[1, 3]], h.detach()[[1, 3]])


@pytest.mark.slow
def test_classifiers_predict_the_groups_of_new_images(sampler, tone):
    texts = [f"a photo of a {cell.adjective} nurse" for cell in TONES for _ in range(3)]
    seen = observe(
        task_of(sampler, TONES),
        texts,
        list(range(len(texts))),
        sites=["mid_block"],
        reduce=lambda step, site, h: h.flatten(start_dim=1),
    ).features["mid_block"][:, 0]
    labels = [list(group_words(TONES)["tone"]).index(cell.groups["tone"]) for cell in TONES for _ in range(3)]
    logits = seen @ tone.tensors["weight/tone"][0].T + tone.tensors["bias/tone"][0]
    assert (logits.argmax(dim=1).numpy() == labels).mean() >= 7 / 9
