"""ITI-GEN and FairQueue are compared with naive computations, diffusers and transformers."""

import itertools

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, MAN, WOMAN

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Task
from evenhand.methods.embeddings._learned_tokens import LearnedTokens, contribution, insert
from evenhand.methods.embeddings.fairqueue import FairQueue
from evenhand.methods.embeddings.iti_gen import ItiGen, Learner
from evenhand.methods.hooks import Batch, Site, Step

PROTOCOL = Protocol(version="t", solver="ddim", steps=4, guidance=2.5, width=64, height=64, batch=4)
PROMPTS, SEEDS = ["a photo of a nurse", "a photo of a cat", "a nurse", "a photo of a dog"], [1, 2, 3, 4]
METHOD = ItiGen(
    prompt="a photo of a person",
    reference="a photo of {a} {noun}",
    images=2,
    epochs=2,
    steps=2,
    halve_after=1,
)


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model, PROTOCOL)


def task_on(model, sampler, *, cells=JOINT, **more):
    scorer = load_scorer("mini")
    clip = {"image_features": scorer.embed, "clip": scorer, **more}
    target = np.full((1, len(cells)), 1 / len(cells))
    rng = np.random.default_rng(0)
    return Task(model, ("nurse",), tuple(cells), target, rng, sampler, judge=None, **clip)


@pytest.fixture(scope="module")
def learner(model, sampler):
    learner = Learner(METHOD, task_on(model, sampler))
    generator = torch.Generator().manual_seed(0)
    for tokens in learner.tokens.values():
        tokens += 0.02 * torch.randn(tokens.shape, generator=generator)
    return learner


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def naive_loss(learner, attribute, batch, *, cells=JOINT):
    """The formulas in float64 loops, from the features."""
    texts = learner.text_features(attribute).detach().double().numpy()
    images, original = learner.images.double().numpy(), learner.original.double().numpy()
    groups = list(dict.fromkeys(cell.groups[attribute] for cell in cells))
    seen = {group: [] for group in groups}
    for number in batch.tolist():
        cell, image = divmod(number, images.shape[1])
        seen[cells[cell].groups[attribute]].append(images[cell, image])
    total = 0.0
    for i, j in itertools.combinations(groups, 2):
        moves, likeness = [], []
        for (a, one), (b, other) in itertools.product(enumerate(cells), repeat=2):
            same = all(one.groups[name] == other.groups[name] for name in one.groups if name != attribute)
            if one.groups[attribute] == i and other.groups[attribute] == j and same:
                moves.append((texts[a], texts[b]))
                likeness.append((cosine(original, texts[a]) + cosine(original, texts[b])) / 2)
        if seen[i] and seen[j]:
            shift = np.mean(seen[i], axis=0) - np.mean(seen[j], axis=0)
            total += np.mean([1 - cosine(shift, a - b) for a, b in moves])
        else:
            own = [cosine(v, a) for v in seen[i] for a, _ in moves] + [
                cosine(v, b) for v in seen[j] for _, b in moves
            ]
            total += 1 - np.mean(own)
        total += np.mean([max(0.0, 0.8 - value) for value in likeness])
    return total / (len(groups) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("attribute", ["gender", "age"])
def test_the_loss_equals_the_papers_formula(learner, attribute):
    for batch in (torch.arange(learner.images.shape[0] * learner.images.shape[1]), torch.tensor([0, 1, 0])):
        got = float(learner.loss(attribute, batch))
        assert got == pytest.approx(naive_loss(learner, attribute, batch), rel=1e-4)


@pytest.mark.slow
def test_the_loss_of_three_groups_averages_over_their_pairs(model, sampler):
    cells = [type(WOMAN)(groups={"tone": t}, adjective=f"{t}-skinned", noun=f"{t}-skinned person") for t in
             ("light", "medium", "dark")]  # fmt: skip
    learner = Learner(METHOD, task_on(model, sampler, cells=cells))
    learner.tokens["tone"] += torch.randn(3, 3, 192, generator=torch.Generator().manual_seed(1)) * 0.02
    batch = torch.arange(6)  # two images of every cell
    assert float(learner.loss("tone", batch)) == pytest.approx(
        naive_loss(learner, "tone", batch, cells=cells), rel=1e-4
    )


def test_equal_texts_are_trained_towards_their_images(model, sampler):
    learner = Learner(METHOD, task_on(model, sampler, cells=GENDER))
    batch = torch.arange(4)
    texts = learner.text_features("gender")
    expected = 1 - float((learner.images.flatten(0, 1) @ texts[0]).mean())
    expected += max(0.0, 0.8 - float(texts[0] @ learner.original))
    assert float(learner.loss("gender", batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_only_the_tokens_of_the_trained_attribute_get_gradients(learner):
    for tokens in learner.tokens.values():
        tokens.requires_grad_(True)
    learner.loss("age", torch.arange(4)).backward()
    assert learner.tokens["age"].grad.any()
    assert learner.tokens["gender"].grad is None
    for tokens in learner.tokens.values():
        tokens.requires_grad_(False)


@pytest.mark.slow
def test_unchanged_rows_give_the_text_features_of_clip(learner, model):
    """Overwriting rows with themselves gives the text feature of transformers."""
    text = METHOD.prompt
    same = model.encode_uncached([text], lambda x, eos: insert(x, eos, x[:, int(eos) : int(eos) + 3]))
    torch.testing.assert_close(same.states, model.encode([text]).states, atol=1e-6, rtol=1e-5)
    np.testing.assert_allclose(
        learner.original.numpy(), load_scorer("mini").embed_texts([text])[0], atol=1e-5
    )


@pytest.mark.slow
def test_tokens_of_attributes_add_and_overwrite_the_end_of_text(learner):
    rows = torch.randn(4, 24, 192)
    eos = torch.tensor([6, 6, 3, 10])
    tokens = learner.cell_tokens()
    written = insert(rows, eos, tokens)
    for cell in range(4):
        gender, age = (learner.groups[name][cell] for name in ("gender", "age"))
        expected = rows[cell].clone()
        expected[int(eos[cell]) : int(eos[cell]) + 3] = (
            learner.tokens["gender"][gender] + learner.tokens["age"][age]
        )
        torch.testing.assert_close(written[cell], expected)


@pytest.mark.slow
def test_training_brings_the_loss_down_and_an_attribute_with_one_group_learns_nothing(model, sampler):
    task = task_on(model, sampler, cells=JOINT[:2])
    fitted = ItiGen(prompt=METHOD.prompt, reference=METHOD.reference, images=4, epochs=12, steps=2).fit(task)
    assert fitted.record["last_loss"] < 0.8 * fitted.record["first_loss"]
    assert fitted.tensors["tokens"].shape == (2, 3, 192)
    assert list(Learner(METHOD, task_on(model, sampler, cells=JOINT[:2])).tokens) == ["gender"]


def drawn(sampler, **data):
    tokens = torch.randn(2, 3, 192, generator=torch.Generator().manual_seed(0)) * 0.3
    sites = [name for name, _ in sampler.model.unet.named_modules() if name.endswith("attn2")]
    defaults = {"target": {"nurse": [1.0, 0.0]}, "queue": 0.0, "amplify": 1.0, "sites": sites}
    return LearnedTokens(tensors={"tokens": tokens}, data={**defaults, **data})


@pytest.mark.parametrize(("amplified", "positions"), [({}, [3, 4, 5]), ({"amplified": "end"}, [6])])
def test_attention_is_amplified_at_the_learned_tokens_or_at_the_row_after_them(
    sampler, model, amplified, positions
):
    """The learned tokens of "a nurse" begin at row 3, after the begin of text and two words."""
    name = next(name for name, _ in model.unet.named_modules() if name.endswith("attn2"))
    module = model.unet.get_submodule(name)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 64, module.to_q.in_features, generator=generator)
    states = torch.randn(2, 24, 192, generator=generator)
    site = Site(name, module, (pixels,), {"encoder_hidden_states": states})
    batch = Batch(
        texts=("a nurse",), seeds=(0,), draws=(np.random.default_rng(0),), encode=model.encode_uncached
    )
    steering = drawn(sampler, amplify=3.0, **amplified).steer(batch)
    output = torch.zeros(2, 64, module.to_q.in_features)
    step = Step(index=0, count=1, timestep=torch.tensor(1), scale=2.5)
    chosen = torch.zeros(1, 24)
    chosen[0, positions] = 1.0
    expected = 2 * contribution(site, torch.tensor([1]), chosen)
    got = steering.feature(step, site, output)
    torch.testing.assert_close(got[1:], expected)
    assert not got[0].any()


@pytest.mark.slow
def test_prompts_without_a_concept_and_a_full_queue_give_baseline_images(sampler):
    baseline = sampler(PROMPTS, SEEDS)
    changed = sampler(PROMPTS, SEEDS, intervention=drawn(sampler))
    assert [bool((a != b).any()) for a, b in zip(baseline, changed, strict=True)] == [
        True,
        False,
        True,
        False,
    ]
    assert (sampler(PROMPTS, SEEDS, intervention=drawn(sampler, queue=1.0, amplify=10.0)) == baseline).all()


def test_the_queue_uses_the_original_prompt_for_its_share_of_the_steps(sampler):
    seen = []

    class Watched(LearnedTokens):
        def steer(self, batch):
            steering = super().steer(batch)
            ask = steering.text

            def text(step, states, latents):
                seen.append(torch.equal(ask(step, states, latents), states))
                return states

            steering.text = text
            return steering

    given = drawn(sampler, queue=0.5)
    sampler(PROMPTS, SEEDS, intervention=Watched(tensors=given.tensors, data=given.data))
    assert seen == [True, True, False, False]


def test_amplified_attention_equals_diffusers_attention_with_multiplied_weights(model):
    from diffusers.models.attention_processor import AttnProcessor

    name = next(name for name, _ in model.unet.named_modules() if name.endswith("attn2"))
    module = model.unet.get_submodule(name)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(3, 64, module.to_q.in_features, generator=generator)
    states = torch.randn(3, 24, 192, generator=generator)
    site = Site(name, module, (pixels,), {"encoder_hidden_states": states})
    rows, chosen = torch.tensor([0, 2]), torch.zeros(2, 24)
    chosen[0, 6:9], chosen[1, 4:7] = 1.0, 1.0
    output = module(pixels, encoder_hidden_states=states)
    got = output.index_add(0, rows, 9 * contribution(site, rows, chosen))
    everything = contribution(site, rows, torch.ones(2, 24)) + module.to_out[0].bias
    torch.testing.assert_close(everything, output[rows], atol=1e-5, rtol=1e-4)

    class Amplified(AttnProcessor):
        def __call__(self, attn, *arguments, **keywords):
            own = attn.get_attention_scores

            def scores(query, key, mask=None):
                found = own(query, key, mask)
                factor = torch.ones(3, 24)
                factor[rows] += 9 * chosen
                return found * factor.repeat_interleave(len(found) // 3, dim=0)[:, None]

            attn.get_attention_scores = scores
            try:
                return super().__call__(attn, *arguments, **keywords)
            finally:
                del attn.get_attention_scores

    before = module.processor
    module.set_processor(Amplified())
    expected = module(pixels, encoder_hidden_states=states)
    module.set_processor(before)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_fairqueue_is_iti_gen_with_a_queue_and_amplified_attention(model, sampler):
    few = {"images": 1, "epochs": 1, "steps": 1, "prompt": METHOD.prompt, "reference": METHOD.reference}
    iti = ItiGen(**few).fit(task_on(model, sampler, cells=GENDER))
    fair = FairQueue(**few).fit(task_on(model, sampler, cells=GENDER))
    assert torch.equal(iti.tensors["tokens"], fair.tensors["tokens"])
    assert (fair.data["queue"], fair.data["amplify"], len(fair.data["sites"])) == (
        0.2,
        10.0,
        len(drawn(sampler).sites()),
    )
    assert iti.data["sites"] == []
    assert "amplified" not in fair.data, "it would change the digests of earlier fits"


@pytest.mark.slow
def test_the_budget_counts_the_reference_images(model, sampler):
    asked = []

    def counted(prompts, seeds):
        asked.extend(prompts)
        return sampler(prompts, seeds)

    method = METHOD.model_copy(update={"images": 3})
    task = task_on(model, sampler)
    Learner(method, Task(**{**vars(task), "sample": counted}))
    assert len(asked) == method.budget(concepts=1, cells=JOINT).images == 8
    assert asked[0] == asked[1] == "a photo of a young woman"


def test_errors_name_the_remedy(model, sampler):
    with pytest.raises(EvenhandError, match="'scorer' is that CLIP"):
        ItiGen().fit(task_on(model, sampler, clip=None))
    with pytest.raises(EvenhandError, match="has no room for 3 learned ones in 24; shorten it"):
        insert(torch.zeros(1, 24, 8), torch.tensor([21]), torch.zeros(1, 3, 8))
    assert insert(torch.zeros(1, 24, 8), torch.tensor([20]), torch.ones(1, 3, 8))[0, 20:23].all()
    assert MAN in GENDER
