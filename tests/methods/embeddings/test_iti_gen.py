"""ITI-GEN is compared with naive computations and transformers."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.iti_gen import METHOD, PROMPTS, SEEDS, drawn, task_on
from helpers.methods import GENDER, JOINT, MAN, WOMAN

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.stages.resources import load_scorer
from evenhand.methods.base import Task
from evenhand.methods.embeddings._learned_tokens import insert
from evenhand.methods.embeddings.iti_gen import ItiGen, Learner


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


@pytest.mark.slow
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


class Recording(Learner):
    """Two attributes with two groups, eight images, and a loss without a model; records every batch."""

    def __init__(self, method):
        self.method, self.groups = method, {"gender": (0, 1, 0, 1), "age": (0, 0, 1, 1)}
        self.tokens = {name: torch.zeros(2, 3, 4) for name in self.groups}
        self.images, self.seen = torch.zeros(4, 2, 5), []
        unet = SimpleNamespace(dtype=torch.float32)
        self.task = SimpleNamespace(rng=np.random.default_rng(0), model=SimpleNamespace(unet=unet))

    def loss(self, attribute, batch):
        self.seen.append((attribute, batch.tolist()))
        return (self.tokens[attribute] - 1).square().sum()


@pytest.mark.parametrize(
    ("turns", "order"), [("step", ["gender", "age"] * 4), ("epoch", (["gender"] * 2 + ["age"] * 2) * 2)]
)
def test_attributes_take_turns_and_each_sees_every_image_once_per_epoch(turns, order):
    learner = Recording(ItiGen(epochs=2, steps=2, turns=turns))
    assert len(learner.learn()) == 8
    assert [name for name, _ in learner.seen] == order
    for name in learner.groups:
        batches = [batch for seen, batch in learner.seen if seen == name]
        assert [len(batch) for batch in batches] == [4] * 4
        assert sorted(batches[0] + batches[1]) == sorted(batches[2] + batches[3]) == list(range(8))
    assert ItiGen().turns == "step", "as released"


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
def test_training_brings_the_loss_down_and_an_attribute_with_one_group_learns_nothing(model, sampler):
    task = task_on(model, sampler, cells=JOINT[:2])
    fitted = ItiGen(prompt=METHOD.prompt, reference=METHOD.reference, images=4, epochs=12, steps=2).fit(task)
    assert fitted.record["last_loss"] < 0.8 * fitted.record["first_loss"]
    assert fitted.tensors["tokens"].shape == (2, 3, 192)
    assert list(Learner(METHOD, task_on(model, sampler, cells=JOINT[:2])).tokens) == ["gender"]


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


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_tokens_are_trained_in_float32_whatever_the_precision_of_the_model(precision):
    model = load_model("mini", precision=precision, device="cpu")
    features = np.random.default_rng(0).standard_normal((8, 128), dtype=np.float32)
    more = {"image_features": lambda images: features}
    task = task_on(model, lambda prompts, seeds: prompts, cells=GENDER, **more)
    learner = Learner(METHOD.model_copy(update={"images": 4}), task)
    assert {tokens.dtype for tokens in learner.tokens.values()} == {torch.float32}
    assert np.isfinite(learner.learn()).all()
    assert all(tokens.isfinite().all() and tokens.any() for tokens in learner.tokens.values())
