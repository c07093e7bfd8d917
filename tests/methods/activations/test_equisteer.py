"""EquiSteer is compared with a naive float64 computation; gate, three groups, and joint cells."""

import itertools

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol, load_suite
from evenhand.methods.activations.equisteer import (
    EquiSteer,
    EquiSteerIntervention,
    exchange,
    orthonormal,
    steering_vectors,
)
from evenhand.methods.base import Cell, Task
from evenhand.methods.hooks import Batch, Site, Step
from evenhand.methods.shared.group_assignment import assignment_spec
from evenhand.methods.shared.observation import observe
from evenhand.methods.shared.prompt_text import fill

PROTOCOL = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=32, height=32, batch=4)
SUBJECTS = ("person", "doctor")
CONTEXTS = ("a photo of {a} {concept}",)
PARAMETERS = {"subjects": SUBJECTS, "contexts": CONTEXTS, "gate": 2}
TONES = tuple(
    Cell(groups={"tone": tone}, adjective=f"{tone}-skinned", noun="", adjectives={"tone": f"{tone}-skinned"})
    for tone in ("light", "medium", "dark")
)
NEUTRAL = ["a photo of a nurse", "a portrait of a mechanic", "a nurse", "a picture of a nurse"]
STATED = ["a photo of a female nurse", "a photo of a male mechanic", "a photo of a female mechanic"]


@pytest.fixture(scope="module")
def sampler():
    return Sampler(load_model("mini"), PROTOCOL)


def task_of(sampler, cells, target=None):
    row = np.full(len(cells), 1 / len(cells)) if target is None else np.array(target)
    return Task(
        model=sampler.model,
        concepts=("nurse", "mechanic"),
        cells=tuple(cells),
        target=np.stack([row, row]),
        rng=np.random.default_rng(0),
        sample=sampler,
        judge=None,
    )


@pytest.fixture(scope="module")
def gender(sampler):
    return EquiSteer(**PARAMETERS).fit(task_of(sampler, GENDER))


@pytest.fixture(scope="module")
def tone(sampler):
    return EquiSteer(**PARAMETERS).fit(task_of(sampler, TONES))


def naive(y, b, alpha, rescale):
    """Token by token: project out an explicit orthonormal basis, add, rescale."""
    basis = []
    for row in b:
        rest = row - sum((np.dot(row, e) * e for e in basis), np.zeros_like(row))
        if np.linalg.norm(rest) > 1e-6:
            basis.append(rest / np.linalg.norm(rest))
    out = []
    for token in y:
        new = token.copy()
        for e in basis:
            new = new - np.dot(new, e) * e
        new = new + alpha
        out.append(new * np.linalg.norm(token) / np.linalg.norm(new) if rescale else new)
    return np.array(out)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("opposite", [True, False])
def test_the_exchange_equals_the_formulas(rescale, opposite):
    rng = np.random.default_rng(0)
    b = rng.normal(size=(3, 16))
    b = np.stack([b[0], -b[0]]) if opposite else b
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    y, alpha = rng.normal(size=(2, 5, 16)), rng.normal(size=len(b))
    got = exchange(
        torch.from_numpy(y),
        b=torch.from_numpy(b),
        basis=orthonormal(torch.from_numpy(b)),
        alpha=torch.from_numpy(alpha),
        groups=torch.tensor([1, 0]),
        rescale=rescale,
    )
    for image, group in enumerate((1, 0)):
        expected = naive(y[image], b, alpha[group] * b[group], rescale)
        assert np.allclose(got[image], expected, atol=1e-10)


def test_erasing_removes_every_group_direction():
    b = torch.nn.functional.normalize(
        torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    basis = orthonormal(b)
    assert torch.allclose(basis @ basis.mT, torch.eye(3).expand(2, 3, 3), atol=1e-6)
    y = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))
    erased = exchange(
        y, b=b[0], basis=basis[0], alpha=torch.zeros(3), groups=torch.tensor([0]), rescale=False
    )
    assert (erased @ b[0].T).abs().max() < 1e-5


def test_a_dependent_direction_is_dropped():
    row = torch.nn.functional.normalize(torch.randn(16, generator=torch.Generator().manual_seed(0)), dim=0)
    assert torch.equal(orthonormal(torch.stack([row, -row]))[1], torch.zeros(16))


@pytest.mark.slow
@pytest.mark.parametrize("cells", [GENDER, TONES], ids=["two groups", "three groups"])
def test_vectors_thresholds_and_amounts_equal_the_formulas(sampler, cells, gender, tone):
    fitted = gender if cells is GENDER else tone
    words = [cell.adjective for cell in cells]
    texts = {
        w: [fill(c, concept=f"{w} {s}".strip()) for s in SUBJECTS for c in CONTEXTS] for w in [*words, ""]
    }
    site = fitted.data["gate"]
    seen = {
        word: observe(task_of(sampler, cells), of, [0] * len(of), sites=[site], reduce=lambda t, s, y: y)
        .features[site]
        .double()
        for word, of in texts.items()
    }
    step = 2
    mean = {word: y[:, step].mean(dim=(0, 1)) for word, y in seen.items()}
    for i, word in enumerate(words):
        other = words[1 - i] if len(words) == 2 else ""
        s = mean[word] - mean[other]
        b = s / s.norm()
        assert torch.allclose(fitted.tensors[f"b/{site}"][step, i].double(), b, atol=1e-4)
        m = {w: (y[:, step] @ b).amax(dim=1).mean() for w, y in seen.items()}
        assert torch.allclose(fitted.tensors[f"alpha/{site}"][step, i].double(), m[word], atol=1e-3)
    first = fitted.tensors[f"b/{site}"][0].double()
    for i, word in enumerate(words):
        peaks = [(seen[w][:, 0] @ first[i]).amax(dim=1).mean() for w in (word, "")]
        assert torch.allclose(fitted.tensors["threshold"][i].double(), sum(peaks) / 2, atol=1e-3)


def test_two_groups_have_opposite_vectors_and_more_are_contrasted_with_neutral_prompts():
    means = torch.randn(6, 2, 8, generator=torch.Generator().manual_seed(0))
    b = steering_vectors(means, [2, 3])
    assert torch.allclose(b[:, 0], -b[:, 1])
    expected = (means[4] - means[5]) / (means[4] - means[5]).norm(dim=-1, keepdim=True)
    assert torch.allclose(b[:, 4], expected)


@pytest.mark.slow
def test_an_image_whose_prompt_states_a_group_is_unchanged_bit_for_bit(sampler, gender):
    """Other images of the same batch are steered and do change."""
    prompts = [text for pair in itertools.zip_longest(NEUTRAL, STATED) for text in pair if text]
    seeds = list(range(len(prompts)))
    baseline, steered = sampler(prompts, seeds), sampler(prompts, seeds, intervention=gender)
    for prompt, before, after in zip(prompts, baseline, steered, strict=True):
        assert (before == after).all() == (prompt in STATED), prompt


@pytest.mark.slow
def test_images_without_a_treated_concept_are_unchanged_bit_for_bit(sampler, gender):
    prompts = ["a photo of a cat", "a photo of a lawyer", "a nurse", "a photo of a dog"]
    baseline, steered = sampler(prompts, SEEDS), sampler(prompts, SEEDS, intervention=gender)
    assert [bool((a == b).all()) for a, b in zip(baseline, steered, strict=True)] == [True, True, False, True]


SEEDS = [1, 2, 3, 4]


@pytest.mark.slow
def test_an_image_shows_the_assigned_group(sampler):
    """After steering, the response to a group's vector is larger if the target assigns this group."""
    responses = []
    for target in ([1.0, 0.0], [0.0, 1.0]):
        fitted = EquiSteer(**PARAMETERS).fit(task_of(sampler, GENDER, target))
        site = fitted.data["gate"]
        y = torch.randn(
            4, 6, fitted.tensors[f"b/{site}"].shape[2], generator=torch.Generator().manual_seed(0)
        )
        group = target.index(1.0)
        b, alpha = fitted.tensors[f"b/{site}"][0], fitted.tensors[f"alpha/{site}"][0]
        steered = exchange(
            y, b=b, basis=orthonormal(b), alpha=alpha, groups=torch.full((4,), group), rescale=False
        )
        responses.append((steered @ b[0]).mean().item())
        images = sampler(NEUTRAL, SEEDS, intervention=fitted)
        responses.append(images.astype(int))
    assert responses[0] > 0 > responses[2]
    assert np.abs(responses[1] - responses[3]).mean() > 1


@pytest.mark.slow
def test_joint_cells_are_steered_attribute_after_attribute(sampler):
    cells = load_suite("mini").cells()
    fitted = EquiSteer(**PARAMETERS).fit(task_of(sampler, cells))
    assert fitted.data["slices"] == [("gender", 0, 2), ("tone", 2, 5), ("age", 5, 7)]
    assert [attribute for attribute, _ in fitted.data["wishes"]["order"]] == ["gender", "tone", "age"]
    assert "gated" not in fitted.data, "it would change the digests of earlier fits"
    # Groups of one attribute are orthonormal among themselves, not to those of the others.
    basis = fitted.tensors[f"basis/{fitted.data['gate']}"][0]
    tones = basis[2:5]
    assert torch.allclose(tones @ tones.T, torch.eye(3), atol=1e-5)


@pytest.mark.parametrize(("gated", "age"), [("image", 0.0), ("attribute", 1.0)])
def test_a_stated_group_protects_the_image_or_its_attribute(sampler, gated, age):
    """The output of the first image responds to a group of gender; those of age lie along the second axis."""
    b = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])[None]
    fitted = EquiSteerIntervention(
        tensors={
            "b/m": b,
            "basis/m": torch.cat([orthonormal(b[:, :2]), orthonormal(b[:, 2:])], dim=1),
            "alpha/m": torch.ones(1, 4),
            "threshold": torch.full((4,), 0.5),
        },
        data={
            "modules": ["m"],
            "gate": "m",
            "slices": [("gender", 0, 2), ("age", 2, 4)],
            "rescale": False,
            "wishes": assignment_spec(task_of(sampler, JOINT, [1, 0, 0, 0])),
            "gated": gated,
        },
    )
    draws = tuple(np.random.default_rng(i) for i in range(2))
    steering = fitted.steer(Batch(texts=("a female nurse", "a nurse"), seeds=(0, 1), draws=draws))
    y = torch.tensor([[[0.8, 0.2, 3.0]], [[0.1, 0.2, 3.0]]])
    site = Site(name="m", module=torch.nn.Identity(), inputs=(), keywords={})
    step = Step(index=0, count=1, timestep=torch.tensor(1), scale=2.5)
    changed = steering.feature(step, site, torch.cat([y, y]))
    assert torch.equal(changed[:2], y)
    expected = [[0.8, age or 0.2, 3.0], [1.0, 1.0, 3.0]]
    assert torch.allclose(changed[2:, 0], torch.tensor(expected))


@pytest.mark.slow
def test_only_the_first_steps_are_steered(sampler):
    fitted = EquiSteer(**PARAMETERS, steps=1).fit(task_of(sampler, GENDER))
    assert {len(fitted.tensors[f"alpha/{site}"]) for site in fitted.data["modules"]} == {1}
    assert (sampler(NEUTRAL, SEEDS, intervention=fitted) != sampler(NEUTRAL, SEEDS)).any()


@pytest.mark.parametrize(("modules", "released"), [(6, 4), (24, 17)], ids=["SD 1.5 and 2.1", "SDXL"])
def test_the_default_gate_is_the_released_module(modules, released):
    names = [f"down_blocks.{i}.attn2" for i in range(modules)]
    assert EquiSteer()._gate([*names, "up_blocks.0.attn2"]) == names[released]
    assert EquiSteer(gate=1)._gate(names) == names[1]
    ends = EquiSteer.space()["gate_depth"]
    assert EquiSteer(gate_depth=ends.low)._gate(names) == names[0]
    assert EquiSteer(gate_depth=ends.high)._gate(names) == names[int(0.95 * modules)]


def test_a_missing_gate_module_raises_an_error():
    with pytest.raises(EvenhandError, match="module 4 of the down path, which has 3"):
        EquiSteer(gate=4)._gate([f"down_blocks.{i}.attn2" for i in range(3)])


@pytest.mark.slow
def test_the_budget_equals_the_generated_images(sampler):
    drawn = []

    def counting(prompts, seeds, **more):
        drawn.extend(prompts)
        return sampler(prompts, seeds, **more)

    method = EquiSteer(**PARAMETERS)
    task = task_of(sampler, TONES)
    method.fit(Task(**{**vars(task), "sample": counting}))
    assert len(drawn) == method.budget(concepts=2, cells=TONES).images == 16
