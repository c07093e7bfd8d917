"""DiffLens: the autoencoder, attributions compared with integrated gradients, and the edit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.accelerator import DEVICE, DeviceTensor, pretended_accelerator
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
from evenhand.methods.saving import load, save
from evenhand.methods.shared.group_assignment import assignment_spec

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=32, height=32, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a nurse", "a portrait of a nurse"]
SEEDS = [1, 2, 3, 4]
CPU = torch.device("cpu")


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
    sparse, losses = method._autoencoder(rows, 16, np.random.default_rng(1), device=CPU)
    assert losses[-1] < 0.1 < losses[0]
    left = (rows - sparse.decode(sparse.encode(rows))).square().sum() / (rows - rows.mean(0)).square().sum()
    assert left < 0.1


def test_columns_have_unit_norm_before_every_step_if_wished():
    """The last step of Adam changes a number by no more than about the learning rate."""
    rows = random(60, 12)
    drift = {}
    for unit_norm in (False, True):
        method = DiffLens(k=4, epochs=40, batch=20, learning_rate=0.01, unit_norm=unit_norm)
        sparse, _ = method._autoencoder(rows, 16, np.random.default_rng(1), device=CPU)
        drift[unit_norm] = float((sparse.decoder.norm(dim=0) - 1).abs().max())
    assert drift[True] <= 0.01 * np.sqrt(12) < drift[False]


def test_training_moves_batches_to_the_device_and_returns_the_autoencoder_on_the_cpu():
    rows, method = random(30, 12), DiffLens(k=4, epochs=2, batch=10)
    expected, _ = method._autoencoder(rows, 16, np.random.default_rng(1), device=CPU)
    with pretended_accelerator() as waits:
        sparse, losses = method._autoencoder(rows, 16, np.random.default_rng(1), device=DEVICE)
    assert waits.total() >= len(losses) == 6, "the losses were read from the device"
    assert torch.equal(sparse.encoder, expected.encoder) and not isinstance(sparse.encoder, DeviceTensor)


OLDER_MEN = (0.0, 0.0, 0.0, 1.0)
SITE = Site(name="mid_block", module=torch.nn.Identity(), inputs=(), keywords={})


def step_of(index=0, count=1):
    return Step(index=index, count=count, timestep=torch.tensor(1), scale=2.5)


def task_without_model(target=(0.25, 0.25, 0.25, 0.25)):
    return Task(
        model=None,
        concepts=("nurse",),
        cells=JOINT,
        target=np.array([target]),
        rng=None,
        sample=None,
        judge=None,
    )


def steering_of(fitted, texts=("a nurse",)):
    draws = tuple(np.random.default_rng(i) for i in range(len(texts)))
    return fitted.steer(Batch(texts=texts, seeds=tuple(range(len(texts))), draws=draws))


@pytest.mark.parametrize(("active", "changed"), [({}, [1, 1, 1]), ({"active": 0.5}, [1, 1, 0])])
def test_only_the_first_steps_are_changed(active, changed):
    pushes = {f"push/{name}": random(2, 8) for name in ("gender", "age")}
    fitted = DiffLensIntervention(
        tensors=pushes, data={"wishes": assignment_spec(task_without_model()), "amount": 1.0, **active}
    )
    steering, h = steering_of(fitted), random(2, 2, 2, 2)
    made = [steering.feature(step_of(i, 3), SITE, h) for i in range(3)]
    assert [not torch.equal(output, h) for output in made] == changed


@pytest.mark.parametrize("edit", ["add", "scale"])
def test_an_edit_equals_decoding_the_changed_features(edit):
    """Features of the drawn man are 0 and 2, with twice the amount; those of the drawn older group are 4."""
    sparse, h = autoencoder(k=3), random(4, 5, 1, 1, seed=4)
    located = {"gender": torch.tensor([[1, 3], [0, 2]]), "age": torch.tensor([[5], [4]])}
    names = {"gender": ["woman", "man"], "age": ["adult", "older"]}
    method = DiffLens(edit=edit, amount=1.5, amounts={"man": 2.0}, k=3)
    fitted = DiffLensIntervention(
        tensors=method._tensors(sparse, located, names),
        data={"wishes": assignment_spec(task_without_model(OLDER_MEN)), "amount": 1.5, "edit": edit, "k": 3},
    )
    got = steering_of(fitted, ("a nurse", "a cat")).feature(step_of(), SITE, h)
    z = sparse.encode(h[2:3].flatten(1))
    new = z.clone()
    for features, amount in (([0, 2], 3.0), ([4], 1.5)):
        new[:, features] = z[:, features] + amount if edit == "add" else (1 + amount) * z[:, features]
    expected = h[2].flatten() + (sparse.decode(new) - sparse.decode(z))[0]
    torch.testing.assert_close(got[2].flatten(), expected)
    assert torch.equal(got[[0, 1, 3]], h[[0, 1, 3]])


def test_scaling_changes_only_what_an_image_shows():
    """A feature that the image does not have cannot be scaled, but it can be added."""
    sparse = autoencoder(k=1)
    h = random(2, 5, 1, 1, seed=4)
    off = [i for i in range(6) if float(sparse.encode(h[1:].flatten(1))[0, i]) == 0][:2]
    located = {"gender": torch.tensor([[i] for i in off]), "age": torch.tensor([[i] for i in off])}
    names = {"gender": ["woman", "man"], "age": ["adult", "older"]}
    changed = {}
    for edit in ("add", "scale"):
        fitted = DiffLensIntervention(
            tensors=DiffLens(edit=edit)._tensors(sparse, located, names),
            data={"wishes": assignment_spec(task_without_model()), "amount": 9.0, "edit": edit, "k": 1},
        )
        changed[edit] = not torch.equal(steering_of(fitted).feature(step_of(), SITE, h), h)
    assert changed == {"add": True, "scale": False}


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


@pytest.fixture(scope="module", params=["add", "scale"])
def fitted(request, sampler):
    task = Task(
        model=sampler.model,
        concepts=("nurse",),
        cells=JOINT,
        target=np.full((1, 4), 1 / 4),
        rng=np.random.default_rng(0),
        sample=sampler,
        judge=None,
    )
    return DiffLens(images=4, expansion=1, k=32, epochs=5, features=3, edit=request.param).fit(task)


@pytest.mark.slow
def test_each_group_has_its_features_and_only_images_of_a_concept_change(sampler, fitted):
    shapes = {name: tuple(value.shape) for name, value in fitted.tensors.items()}
    width = 192 * 2 * 2
    if "edit" not in fitted.data:
        assert shapes == {"push/gender": (2, width), "push/age": (2, width)}
        assert set(fitted.data) == {"wishes", "amount"}, (
            "another key would change the digests of earlier fits"
        )
    else:
        used = shapes["used"][0]
        assert shapes["encoder"] == (192, width) and shapes["decoder"] == (width, used)
        assert shapes["factor/gender"] == shapes["factor/age"] == (2, used)
        assert fitted.tensors["factor/gender"].sum(dim=1).tolist() == [3, 3]
    assert {len(of) for groups in fitted.record["features"].values() for of in groups} == {3}
    made, baseline = sampler(PROMPTS, SEEDS, intervention=fitted), sampler(PROMPTS, SEEDS)
    same = [bool((a == b).all()) for a, b in zip(made, baseline, strict=True)]
    about_the_concept = [same[0], *same[2:]]
    assert same[1]
    # A push moves every image. A factor acts only where its feature is active, which the few features of
    # this short training need not be in every image.
    assert not all(about_the_concept) if "edit" in fitted.data else not any(about_the_concept)


@pytest.mark.slow
def test_amount_zero_gives_the_baseline_bit_for_bit(sampler, fitted):
    still = replace(fitted, data={**fitted.data, "amount": 0.0})
    assert (sampler(PROMPTS, SEEDS, intervention=still) == sampler(PROMPTS, SEEDS)).all()


@pytest.mark.slow
def test_a_fit_is_stored_whole(fitted, tmp_path):
    save(fitted, tmp_path)
    assert load(tmp_path, DiffLens).digest() == fitted.digest()


def test_the_encoder_moves_to_the_device_once_for_all_steps(monkeypatch):
    moves, move = [], SparseAutoencoder.to

    def counted(self, device):
        moves.append(self.encoder)
        return move(self, device)

    monkeypatch.setattr(SparseAutoencoder, "to", counted)
    names = ("gender", "age")
    tensors = {f"factor/{name}": random(2, 6) for name in names} | {"used": torch.arange(6)}
    stored = {"encoder": random(6, 8), "offset": random(6), "decoder": random(8, 6), "centre": random(8)}
    data = {"wishes": assignment_spec(task_without_model()), "amount": 1.0, "edit": "scale", "k": 2}
    steering = steering_of(DiffLensIntervention(tensors=tensors | stored, data=data))
    with pretended_accelerator():
        h = random(2, 2, 2, 2).to(DEVICE)
        for index in range(3):
            steering.feature(step_of(index, 3), SITE, h)
    assert [isinstance(encoder, DeviceTensor) for encoder in moves] == [False, True, True]
