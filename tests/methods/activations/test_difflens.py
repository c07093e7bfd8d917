"""DiffLens: the autoencoder, attributions compared with integrated gradients, and the edit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.methods import JOINT

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.activations.balancing_act import linear_classifier
from evenhand.methods.activations.difflens import (
    DiffLens,
    DiffLensIntervention,
    SparseAutoencoder,
    attributions,
)
from evenhand.methods.base import Task
from evenhand.methods.hooks import Batch, Site, Step
from evenhand.methods.shared.group_assignment import assignment_spec

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=64, height=64, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a nurse", "a portrait of a nurse"]
SEEDS = [1, 2, 3, 4]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def autoencoder(k=2):
    return SparseAutoencoder(random(6, 5), random(6, seed=1), random(5, 6, seed=2), random(5, seed=3), k)


def test_a_row_uses_only_its_k_largest_positive_features():
    sparse, h = autoencoder(), random(20, 5, seed=4)
    z = sparse.encode(h)
    dense = ((h - sparse.centre) @ sparse.encoder.T + sparse.offset).clamp_min(0)
    for got, full in zip(z, dense, strict=True):
        kept = sorted(range(6), key=lambda i: -float(full[i]))[:2]
        assert torch.equal(got, torch.stack([full[i] if i in kept else torch.zeros(()) for i in range(6)]))


def test_training_reconstructs_rows_with_few_directions():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4, 12))
    use = rng.random((300, 4)) * (rng.random((300, 4)) < 0.4)
    rows = torch.from_numpy((use @ directions).astype(np.float32))
    method = DiffLens(k=4, epochs=60, batch=50, learning_rate=0.01)
    sparse, losses = method._autoencoder(rows, 16, np.random.default_rng(1))
    assert losses[-1] < 0.1 < losses[0]
    left = (rows - sparse.decode(sparse.encode(rows))).square().sum() / (rows - rows.mean(0)).square().sum()
    assert left < 0.1


def test_columns_have_unit_norm_before_every_step_if_wished():
    """The last step of Adam changes a number by no more than about the learning rate."""
    rows = random(60, 12)
    drift = {}
    for unit_norm in (False, True):
        method = DiffLens(k=4, epochs=40, batch=20, learning_rate=0.01, unit_norm=unit_norm)
        sparse, _ = method._autoencoder(rows, 16, np.random.default_rng(1))
        drift[unit_norm] = float((sparse.decoder.norm(dim=0) - 1).abs().max())
    assert drift[True] <= 0.01 * np.sqrt(12) < drift[False]


@pytest.mark.parametrize(("active", "changed"), [({}, [1, 1, 1]), ({"active": 0.5}, [1, 1, 0])])
def test_only_the_first_steps_are_changed(active, changed):
    task = Task(
        model=None,
        concepts=("nurse",),
        cells=JOINT,
        target=np.full((1, 4), 1 / 4),
        rng=None,
        sample=None,
        judge=None,
    )
    pushes = {f"push/{name}": random(2, 8) for name in ("gender", "age")}
    fitted = DiffLensIntervention(
        tensors=pushes, data={"wishes": assignment_spec(task), "amount": 1.0, **active}
    )
    steering = fitted.steer(Batch(texts=("a nurse",), seeds=(0,), draws=(np.random.default_rng(0),)))
    h = random(2, 2, 2, 2)
    site = Site(name="mid_block", module=torch.nn.Identity(), inputs=(), keywords={})
    steps = [Step(index=i, count=3, timestep=torch.tensor(1), scale=2.5) for i in range(3)]
    assert [not torch.equal(steering.feature(step, site, h), h) for step in steps] == changed


def test_attributions_are_positive_integrated_gradients_between_pairs():
    sparse, h = autoencoder(k=3), random(12, 2, 5, seed=5)
    groups = np.arange(12) % 2
    z = sparse.encode(h.reshape(24, 5)).reshape(12, 2, 6)
    got = attributions(h, z, groups, sparse.decoder, 1.0)
    expected = torch.zeros(2, 6)
    for step in range(2):
        weight, bias = map(torch.from_numpy, linear_classifier(h[:, step].numpy(), groups, 1.0))
        for group in range(2):
            pairs = [(z[i, step], z[j, step]) for i in range(group, 12, 2) for j in range(1 - group, 12, 2)]
            more = sum(at - base for at, base in pairs) > 0
            for at, base in pairs:
                for part in (np.arange(8) + 0.5) / 8:
                    point = (base + part * (at - base)).requires_grad_(True)
                    logit = sparse.decode(point[None]) @ weight[group] + bias[group]
                    (slope,) = torch.autograd.grad(logit.sum(), point)
                    expected[group] += more * (at - base) * slope / 8 / len(pairs)
    assert torch.allclose(got, expected, atol=1e-4)


def test_two_groups_increase_different_features():
    """Features 0 and 1 belong to the first group, 2 and 3 to the second."""
    groups = np.arange(40) % 2
    z = random(40, 1, 4).abs() * 0.1
    z[groups == 0, :, :2] += 1
    z[groups == 1, :, 2:] += 1
    found = attributions(z, z, groups, torch.eye(4), 1.0)
    assert [set(of.tolist()) for of in found.topk(2, dim=1).indices] == [{0, 1}, {2, 3}]


@pytest.fixture(scope="module")
def sampler():
    return Sampler(load_model("mini"), PROTOCOL)


@pytest.fixture(scope="module")
def fitted(sampler):
    task = Task(
        model=sampler.model,
        concepts=("nurse",),
        cells=JOINT,
        target=np.full((1, 4), 1 / 4),
        rng=np.random.default_rng(0),
        sample=sampler,
        judge=None,
    )
    return DiffLens(images=4, expansion=1, k=32, epochs=5, features=3).fit(task)


@pytest.mark.slow
def test_each_group_has_its_features_and_only_images_of_a_concept_change(sampler, fitted):
    assert {name: tuple(value.shape) for name, value in fitted.tensors.items()} == {
        "push/gender": (2, 192 * 16),
        "push/age": (2, 192 * 16),
    }
    assert {len(of) for groups in fitted.record["features"].values() for of in groups} == {3}
    assert set(fitted.data) == {"wishes", "amount"}, "another key would change the digests of earlier fits"
    made, baseline = sampler(PROMPTS, SEEDS, intervention=fitted), sampler(PROMPTS, SEEDS)
    assert [bool((a == b).all()) for a, b in zip(made, baseline, strict=True)] == [False, True, False, False]


@pytest.mark.slow
def test_amount_zero_gives_the_baseline_bit_for_bit(sampler, fitted):
    still = replace(fitted, data={**fitted.data, "amount": 0.0})
    assert (sampler(PROMPTS, SEEDS, intervention=still) == sampler(PROMPTS, SEEDS)).all()
