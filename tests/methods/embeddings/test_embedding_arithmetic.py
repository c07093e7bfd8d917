"""Embedding Arithmetic adds the mean difference that naming a group makes, image by image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from helpers.methods import GENDER, JOINT, MINI, NumericModel, Studio, make_task
from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.methods.base import Cell, TextStates
from evenhand.methods.embeddings.embedding_arithmetic import RELEASED_PROFESSIONS, EmbeddingArithmetic
from evenhand.methods.saving import load, save

CONCEPTS = ("nurse", "construction worker")
KNOWN = ("auditor", "editor", "mover")
TEMPLATE = "a photo of a {concept}"


def fit(model, cells=GENDER, target=None, **parameters):
    parameters = {"template": TEMPLATE, "professions": KNOWN} | parameters
    return EmbeddingArithmetic(**parameters).fit(
        make_task(Studio({}), concepts=CONCEPTS, cells=cells, model=model, target=target)
    )


def states(model, texts):
    return replace(model.encode(texts), texts=tuple(texts))


def streams(n):
    return [np.random.default_rng(seed) for seed in range(n)]


@pytest.fixture(scope="module")
def pipe():
    return StableDiffusionPipeline.from_pretrained(MINI, torch_dtype=torch.float32)


@torch.no_grad()
def rows_of(pipe, text):
    """The states of a text by diffusers, and the position of its first end of text by the tokenizer."""
    found, _ = pipe.encode_prompt(text, "cpu", 1, False)
    return found[0], pipe.tokenizer(text).input_ids.index(pipe.tokenizer.eos_token_id)


def vector_by_hand(pipe, words):
    """The mean over professions of the state at the end of text, with the words minus without them."""
    total = 0
    for profession in KNOWN:
        stated, stated_end = rows_of(pipe, f"a photo of a {words} {profession}")
        neutral, neutral_end = rows_of(pipe, f"a photo of a {profession}")
        total = total + stated[stated_end] - neutral[neutral_end]
    return total / len(KNOWN)


@pytest.mark.parametrize(
    ("composed", "words"),
    [(False, ["dark-skinned male"]), (True, ["dark-skinned", "male"])],
    ids=["prompts that name all groups", "sum over groups"],
)
def test_the_end_of_text_moves_as_computed_with_diffusers(pipe, composed, words):
    dark_man = Cell(
        groups={"tone": "dark", "gender": "man"},
        adjective="dark-skinned male",
        noun="dark-skinned man",
        adjectives={"tone": "dark-skinned", "gender": "male"},
    )
    intervention = fit(load_model("mini", device="cpu"), cells=[dark_man], alpha=1.5, composed=composed)
    prompt = "a portrait of a construction worker"
    expected, end = rows_of(pipe, prompt)
    text = TextStates(expected[None], torch.tensor([end]), texts=(prompt,))
    got = intervention.embedding(text, streams(1)).states[0]
    v = sum(vector_by_hand(pipe, one) for one in words)
    assert torch.equal(got[:end], expected[:end]), "the words stay"
    torch.testing.assert_close(got[end:], expected[end:] + 1.5 * v, atol=2e-4, rtol=1e-4)
    assert v.norm() > 1, "the words matter"


def test_a_profession_that_the_vectors_come_from_ends_like_its_stated_prompt():
    model = NumericModel()
    intervention = fit(model, target=(0, 1), alpha=1, professions=("nurse",))
    got = intervention.embedding(states(model, ["a photo of a nurse"]), streams(1)).states[0]
    stated = model.encode(["a photo of a male nurse"])
    end = int(stated.first_eos[0])
    torch.testing.assert_close(got[end - 1], stated.states[0, end], atol=1e-5, rtol=1e-5)


def test_cells_are_drawn_from_the_target_with_the_random_stream_of_the_image():
    model = NumericModel()
    intervention = fit(model, cells=JOINT, target=(0.1, 0.2, 0.3, 0.4))
    text = states(model, ["a photo of a nurse"] * 400)
    got = intervention.embedding(text, streams(400)).states
    end = int(text.first_eos[0])
    moved = (got - text.states)[:, end]
    shares = [
        np.mean([torch.allclose(row, v.double(), atol=1e-5) for row in moved])
        for v in intervention.tensors["v"]
    ]
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3, 0.4], atol=0.08)
    alone = intervention.embedding(states(model, ["a photo of a nurse"]), [np.random.default_rng(399)])
    assert torch.equal(alone.states[0], got[399])


def test_zero_strength_changes_nothing():
    model = NumericModel()
    text = states(model, ["a photo of a nurse", "a construction worker"])
    assert torch.equal(fit(model, alpha=0).embedding(text, streams(2)).states, text.states)


def test_prompts_without_a_concept_are_unchanged_and_draw_nothing():
    model = NumericModel()
    text, draws = states(model, ["a photo of a cat"]), streams(1)
    assert torch.equal(fit(model).embedding(text, draws).states, text.states)
    assert draws[0].random() == np.random.default_rng(0).random()


class Pooled(NumericModel):
    """Like SDXL, with a pooled vector that depends on the text."""

    def encode(self, texts):
        return replace(super().encode(texts), pooled=torch.stack([self._random(t, 5) for t in texts]))


def test_the_pooled_vector_moves_too():
    model = Pooled()
    text = states(model, ["a photo of a nurse", "a photo of a cat"])
    got = fit(model, target=(1, 0), alpha=2).embedding(text, streams(2)).pooled
    differences = [
        model.encode([f"a photo of a female {one}"]).pooled[0]
        - model.encode([f"a photo of a {one}"]).pooled[0]
        for one in KNOWN
    ]
    torch.testing.assert_close(got[0] - text.pooled[0], 2 * sum(differences) / 3, atol=1e-5, rtol=1e-5)
    assert torch.equal(got[1], text.pooled[1])


def test_storage_keeps_the_vectors(tmp_path):
    model = NumericModel()
    intervention = fit(model, target=(1, 0))
    save(intervention, tmp_path)
    text = states(model, ["a construction worker", "a nurse"])
    again = load(tmp_path, EmbeddingArithmetic).embedding(text, streams(2)).states
    assert torch.equal(again, intervention.embedding(text, streams(2)).states)


def test_the_released_values_are_the_defaults():
    method = EmbeddingArithmetic()
    assert (method.alpha, method.professions) == (1.25, RELEASED_PROFESSIONS)
    assert len(set(RELEASED_PROFESSIONS)) == 10


@pytest.mark.parametrize("bad", [{"alpha": -1}, {"template": "a person"}, {"professions": ()}])
def test_invalid_parameters_raise_an_error(bad):
    with pytest.raises(ValidationError):
        EmbeddingArithmetic(**bad)


def test_a_template_with_another_field_raises_an_error():
    with pytest.raises(EvenhandError, match="adjective"):
        fit(NumericModel(), template="a {adjective} {concept}")
