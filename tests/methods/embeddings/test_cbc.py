"""CBC: decoupled tokens, injected residuals and rescaled attention."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, make_task

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.embeddings.cbc import Cbc, ContextControl, decouple
from evenhand.methods.hooks import Batch, Site, Step

PROTOCOL = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=64, height=64, batch=4)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_decoupled_states_are_orthogonal_to_every_group_and_residuals_are_projections():
    c, s = rows(2, 5, 8), rows(3, 8, seed=1)
    free, r = decouple(c, s)
    expected = c.numpy().reshape(-1, 8).copy()
    basis = []
    for row in s.numpy():  # Gram-Schmidt, one group after the other
        for unit in basis:
            row = row - row @ unit * unit
        basis.append(row / np.linalg.norm(row))
        expected -= np.outer(expected @ basis[-1], basis[-1])
    np.testing.assert_allclose(free.numpy().reshape(-1, 8), expected, atol=1e-12)
    assert float((free @ s.T).abs().max()) < 1e-12
    for k, n, i in np.ndindex(3, 2, 5):
        along = float(c[n, i] @ s[k]) / float(s[k] @ s[k])
        torch.testing.assert_close(r[k, n, i], along * s[k])


def test_one_group_gives_the_papers_formula():
    c, s = rows(2, 5, 8), rows(1, 8, seed=1)
    free, r = decouple(c, s)
    torch.testing.assert_close(free, c - r[0])


def control(*, last=(2, 0, 3), steps=2, share=0.2, rescale=True, attributes=((0, 1), (2, 3, 4))):
    """Three images of prompts of two, no and three treated tokens; five groups of two attributes."""
    groups = sum(len(indices) for indices in attributes)
    return ContextControl(
        last,
        s=rows(groups, 8, seed=1),
        centres=rows(groups, steps, 4, 3, 5, seed=2),
        attributes=[list(indices) for indices in attributes],
        share=share,
        last_timestep=1000,
        rescale=rescale,
    )


def step(index=1, count=2, timestep=300):
    return Step(index, count, torch.tensor(timestep), 7.5)


def test_residuals_of_the_groups_that_are_not_closest_are_injected():
    steering = control()
    states = rows(3, 6, 8, seed=3)
    latents = torch.stack([steering.centres[1, 1], steering.centres[0, 1], steering.centres[4, 1]])
    latents += 0.01 * rows(3, 4, 3, 5, seed=4)
    got = steering.text(step(), states, latents)
    free, r = decouple(states, steering.s)
    expected = states.clone()
    for n, last in enumerate((2, 0, 3)):
        for token in range(1, last + 1):
            parts = []
            for groups in ((0, 1), (2, 3, 4)):
                far = [torch.dist(latents[n], steering.centres[k, 1]) for k in groups]
                others = [k for k in groups if k != groups[int(np.argmin(far))]]
                parts.append(torch.stack([r[k][n, token] for k in others]).mean(dim=0))
            expected[n, token] = 0.2 * (parts[0] + parts[1]) / 2 + 0.8 * free[n, token]
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(got[1], states[1])
    assert torch.equal(got[0, 3:], states[0, 3:])


def test_with_equal_distances_all_groups_are_injected_equally():
    steering = control(attributes=((0, 1),))
    steering.centres[:] = steering.centres[:1].clone()
    states, latents = rows(3, 6, 8, seed=3), rows(3, 4, 3, 5, seed=4)
    free, r = decouple(states, steering.s)
    got = steering.text(step(), states, latents)
    torch.testing.assert_close(got[0, 1], 0.1 * (r[0][0, 1] + r[1][0, 1]) + 0.8 * free[0, 1])


def test_another_number_of_steps_raises_an_error():
    with pytest.raises(EvenhandError, match="fitted with 2 steps, not 8"):
        control().text(step(count=8), rows(3, 6, 8), rows(3, 4, 3, 5))


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def test_rescaling_values_rescales_attention(mini):
    name = "mid_block.attentions.0.transformer_blocks.0.attn2"
    attention = dict(mini.unet.named_modules())[name]
    x = torch.randn(2, 16, attention.to_q.in_features, generator=torch.Generator().manual_seed(0))
    states = mini.encode(["", "a photo of a nurse"]).states
    steering = control(last=(5,))
    factor = torch.ones(24)
    factor[1:6] = 2 * (1 - 300 / 1000)
    with mini.features([f"{name}.to_v"], lambda site, output: steering.feature(step(), site, output)):
        got = attention(x, encoder_hidden_states=states)

    def heads(values):
        return values.unflatten(2, (attention.heads, -1)).transpose(1, 2)

    q, k, v = heads(attention.to_q(x)), heads(attention.to_k(states)), heads(attention.to_v(states))
    weights = (q @ k.mT * attention.scale).softmax(dim=-1)
    weights[1] = weights[1] * factor
    expected = attention.to_out[0]((weights @ v).transpose(1, 2).flatten(start_dim=2))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(got[1], attention(x, encoder_hidden_states=states)[1], atol=1e-3)


def test_without_rescaling_values_are_unchanged():
    values = rows(6, 6, 10)
    site = Site(name="v", module=torch.nn.Identity(), inputs=(), keywords={})
    assert torch.equal(control(rescale=False).feature(step(), site, values), values)


class Darkroom:
    """Generates images with scripted latents: the number of the group plus the step and noise of the seed."""

    def __init__(self):
        self.asked = []

    def sample(self, prompts, seeds, *, intervention, negative_prompt=""):
        assert intervention.observes
        self.asked.append((tuple(prompts), tuple(seeds)))
        draws = tuple(np.random.default_rng(0) for _ in seeds)
        steering = intervention.steer(Batch(tuple(prompts), tuple(seeds), draws))
        states = torch.zeros(len(seeds), 4, 8)
        for index in range(3):
            latents = torch.stack([self.latents(p, s, index) for p, s in zip(prompts, seeds, strict=True)])
            assert steering.text(Step(index, 3, torch.tensor(0), 2.0), states, latents) is states
        return np.zeros((len(seeds), 2, 2, 3), dtype=np.uint8)

    @staticmethod
    def latents(prompt, seed, index):
        return torch.full((1, 2, 2), float(len(prompt) + 100 * index + seed % 7))


def fit(cells=GENDER, target=None, **parameters):
    room = Darkroom()
    model = NumericModel()
    model.unet = torch.nn.ModuleDict({"attn2": torch.nn.ModuleDict({"to_v": torch.nn.Identity()})})
    model.alphas_cumprod = torch.ones(1000)
    task = make_task(
        SimpleNamespace(sample=room.sample, judge=Studio({}).judge),
        concepts=("nurse", "construction worker"),
        cells=cells,
        target=target,
        model=model,
    )
    return Cbc(**parameters).fit(task), room, model


def test_centres_are_mean_latents_of_the_groups_on_shared_seeds():
    intervention, room, _ = fit(images=3, prompt="{a} {adjective} {concept}")
    assert [prompts for prompts, _ in room.asked] == [
        ("a female nurse", "a female construction worker", "a female nurse"),
        ("a male nurse", "a male construction worker", "a male nurse"),
    ]
    assert room.asked[0][1] == room.asked[1][1]
    for group, (prompts, seeds) in enumerate(room.asked):
        for index in range(3):
            drawn = [room.latents(p, s, index) for p, s in zip(prompts, seeds, strict=True)]
            expected = torch.stack(drawn).mean(dim=0)
            torch.testing.assert_close(intervention.tensors["centres"][group, index], expected)


def test_the_state_of_a_group_is_that_of_its_last_word():
    intervention, _, model = fit(cells=JOINT, images=1, prompt="a {adjective} {noun}")
    words = [
        "a female female person",
        "a male male person",
        "a young young person",
        "a elderly elderly person",
    ]
    states = model.encode(words).states
    torch.testing.assert_close(intervention.tensors["s"], states[torch.arange(4), 4].float())
    assert intervention.data["control"]["attributes"] == [[0, 1], [2, 3]]
    assert fit(cells=JOINT[:2], images=1)[0].data["control"]["attributes"] == [[0, 1]]  # gender alone
    assert Cbc(images=5).budget(concepts=2, cells=JOINT).images == 20


def test_uneven_targets_and_single_cells_raise_an_error():
    with pytest.raises(EvenhandError, match="can only balance gender evenly"):
        fit(target=(0.3, 0.7))
    with pytest.raises(EvenhandError, match="at least two cells to balance, got one"):
        fit(cells=GENDER[:1])
    fit(cells=JOINT, target=(0.5, 0, 0, 0.5))  # even over each attribute


@pytest.mark.slow
def test_only_images_of_a_concept_change(mini):
    sampler = Sampler(mini, PROTOCOL)
    task = make_task(
        SimpleNamespace(sample=sampler, judge=None), concepts=("nurse",), cells=JOINT, model=mini
    )
    intervention = Cbc(images=1, prompt="{a} {noun}").fit(task)
    prompts = ["a photo of a cat", "a photo of a nurse", "a nurse and a dog", "a nursery"]
    baseline, edited = (
        sampler(prompts, [1, 2, 3, 4], intervention=i).astype(int) for i in (None, intervention)
    )
    change = np.abs(edited - baseline).max(axis=(1, 2, 3))
    assert (change[[0, 3]] == 0).all()
    assert (change[[1, 2]] > 10).all()
