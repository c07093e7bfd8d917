"""CBC: decoupled tokens, the first leaning, recursively injected residuals, rescaled attention."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, make_task

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import TextStates
from evenhand.methods.embeddings.cbc import Cbc, ContextControl, Tokens, adherence, decouple
from evenhand.methods.hooks import Batch, Site, Step

PROTOCOL = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=32, height=32, batch=4)


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


def test_the_whole_state_of_a_group_may_replace_the_projection():
    c, s = rows(2, 5, 8), rows(3, 8, seed=1)
    free, r = decouple(c, s, residual="state")
    assert torch.equal(free, decouple(c, s)[0])
    for k, n, i in np.ndindex(3, 2, 5):
        torch.testing.assert_close(r[k, n, i], s[k])


def test_one_group_gives_the_papers_formula():
    c, s = rows(2, 5, 8), rows(1, 8, seed=1)
    free, r = decouple(c, s)
    torch.testing.assert_close(free, c - r[0])


def mask(*rows_of_positions, length=6):
    return torch.tensor([[i in positions for i in range(length)] for positions in rows_of_positions])


THREE = Tokens(
    content=mask({1, 2, 3}, {1, 2}, {1, 2, 3, 4}),
    subject=mask({3}, set(), {2}),
    context=mask({1, 2}, set(), {1, 3, 4}),
)
"""Three prompts: a subject at the end, no subject, and a subject in the middle."""


def control(*, tokens=THREE, steps=3, delta_r=0.2, delta_c=2.0, attributes=((0, 1), (2, 3, 4))):
    """Five groups of two attributes."""
    groups = sum(len(indices) for indices in attributes)
    return ContextControl(
        tokens,
        s=rows(groups, 8, seed=1),
        centres=rows(groups, steps, 4, 3, 5, seed=2),
        attributes=[list(indices) for indices in attributes],
        delta_r=delta_r,
        delta_c=delta_c,
        tau=0.5,
        residual="projection",
    )


def step(index=1, count=3):
    return Step(index, count, torch.tensor(300), 7.5)


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def written_out(c, m, s, *, content, subject, tau):
    """``B_mk`` of one prompt and group."""
    e = {i: np.exp((cosine(c[m], c[i]) + cosine(s, c[i])) / tau) for i in content}
    return sum(value for i, value in e.items() if i not in subject) / sum(e.values())


def test_the_adherence_score_is_the_share_of_the_context():
    c, s = rows(3, 6, 8), rows(2, 8, seed=1)
    got = adherence(c, s, content=THREE.content, subject=THREE.subject, tau=0.5)
    for k in (0, 1):
        first = written_out(c[0], 3, s[k], content=(1, 2, 3), subject=(3,), tau=0.5)
        last = written_out(c[2], 2, s[k], content=(1, 2, 3, 4), subject=(2,), tau=0.5)
        assert got[k, [0, 2]].tolist() == pytest.approx([first, last])
    assert (
        adherence(c, s, content=mask(set(), set(), set()), subject=THREE.subject, tau=1).tolist()
        == [[0] * 3] * 2
    )


def test_the_adherence_of_a_subject_of_two_tokens_uses_the_state_of_the_last():
    c, s = rows(1, 6, 8), rows(1, 8, seed=1)
    got = adherence(c, s, content=mask({1, 2, 3, 4}), subject=mask({2, 3}), tau=1)
    assert float(got) == pytest.approx(
        written_out(c[0], 3, s[0], content=(1, 2, 3, 4), subject=(2, 3), tau=1)
    )


def others(r, groups, k, n):
    return torch.stack([r[j][n] for j in groups if j != k]).mean(dim=0)


def test_residuals_are_injected_recursively_first_by_the_text_and_then_by_the_latents():
    steering, states = control(), rows(3, 6, 8, seed=3)
    free, r = decouple(states, steering.s)
    b = adherence(states, steering.s, content=THREE.content, subject=THREE.subject, tau=0.5)
    leaning = (0.5 - b).abs()
    latents = [rows(3, 4, 3, 5, seed=4 + index) for index in range(3)]
    expected = free
    for index in range(3):
        got = steering.text(step(index), states, latents[index])
        injected = torch.zeros_like(states)
        for n in range(3):
            for groups in ((0, 1), (2, 3, 4)):
                if index == 0:
                    k = max(groups, key=lambda group: float(leaning[group, n]))
                else:
                    k = min(
                        groups,
                        key=lambda group: torch.dist(latents[index][n], steering.centres[group, index]),
                    )
                injected[n] += others(r, groups, k, n)
        expected = 0.2 * injected + 0.8 * expected
        torch.testing.assert_close(got[THREE.context], expected[THREE.context], rtol=1e-6, atol=1e-6)
        assert torch.equal(got[~THREE.context], states[~THREE.context])


def test_an_image_keeps_its_own_course_in_any_batch():
    states, latents = rows(3, 6, 8, seed=3), rows(3, 4, 3, 5, seed=4)
    alone = control(tokens=Tokens(*(getattr(THREE, name)[2:] for name in ("content", "subject", "context"))))
    together = control()
    for index in range(2):
        got = alone.text(step(index), states[2:], latents[2:])
        torch.testing.assert_close(got, together.text(step(index), states, latents)[2:])


def test_without_injection_context_tokens_are_only_decoupled():
    states = rows(3, 6, 8, seed=3)
    steering = control(delta_r=0)
    got = steering.text(step(0), states, rows(3, 4, 3, 5))
    torch.testing.assert_close(got[THREE.context], decouple(states, steering.s)[0][THREE.context])


def test_the_subject_is_found_and_kept():
    ids = ((0, 7, 8, 9, 5, 1), (0, 7, 1), (0, 8, 9, 8, 9, 1))
    texts = ("a construction worker b", "a cat", "construction worker construction worker")
    text = TextStates(torch.zeros(3, 8, 4), torch.tensor([5, 2, 5]), texts=texts, ids=ids)
    concepts = {"worker": (9,), "construction worker": (8, 9)}
    tokens = Tokens.of(text, concepts, keep_subject=True)
    assert torch.equal(tokens.content, mask({1, 2, 3, 4}, {1}, {1, 2, 3, 4}, length=8))
    assert torch.equal(tokens.subject, mask({2, 3}, set(), {1, 2}, length=8))
    assert torch.equal(tokens.context, mask({1, 4}, set(), {3, 4}, length=8))
    tokens = Tokens.of(text, concepts, keep_subject=False)
    assert torch.equal(tokens.context, mask({1, 2, 3, 4}, set(), {1, 2, 3, 4}, length=8))


def test_another_number_of_steps_raises_an_error():
    with pytest.raises(EvenhandError, match="fitted with 3 steps, not 8"):
        control().text(step(count=8), rows(3, 6, 8), rows(3, 4, 3, 5))


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.mark.slow
def test_rescaling_values_rescales_attention(mini):
    name = "mid_block.attentions.0.transformer_blocks.0.attn2"
    attention = dict(mini.unet.named_modules())[name]
    x = torch.randn(2, 16, attention.to_q.in_features, generator=torch.Generator().manual_seed(0))
    states = mini.encode(["", "a photo of a nurse"]).states
    words = mask(range(1, 6), length=24)
    steering = control(tokens=Tokens(words, mask({5}, length=24), words))
    factor = torch.ones(24)
    factor[1:6] = 2 * (1 - 1 / 3)
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


def test_the_attention_to_context_tokens_decays_over_the_steps():
    values = rows(9, 6, 10)
    site = Site(name="v", module=torch.nn.Identity(), inputs=(), keywords={})
    for index, factor in ((0, 2.0), (1, 4 / 3), (2, 2 / 3)):
        got = control().feature(step(index), site, values)
        assert torch.equal(got[:3], values[:3]) and torch.equal(got[6:], values[6:])
        conditional = got[3:6]
        torch.testing.assert_close(conditional[THREE.context], factor * values[3:6][THREE.context])
        assert torch.equal(conditional[~THREE.context], values[3:6][~THREE.context])


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
