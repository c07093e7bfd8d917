"""EOS swap keeps a prompt's words and takes the end of text of a drawn cell, image by image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, make_task, mini_text
from pydantic import ValidationError

from evenhand.methods.embeddings.eos_swap import EosSwap
from evenhand.methods.saving import load, save

CONCEPTS = ("nurse", "construction worker")


def fit(model, cells=GENDER, target=None, **parameters):
    return EosSwap(**parameters).fit(
        make_task(Studio({}), concepts=CONCEPTS, cells=cells, model=model, target=target)
    )


def states(model, texts, **more):
    return replace(model.encode(texts), texts=tuple(texts), **more)


def streams(n):
    return [np.random.default_rng(seed) for seed in range(n)]


@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
def test_words_are_kept_and_the_end_of_text_is_replaced(model):
    text = states(model, ["a photo of a construction worker"])
    got = fit(model, target=(0, 1), weight=0.7).embedding(text, streams(1)).states[0]
    guidance = model.encode(["a male construction worker"])
    first, theirs = int(text.first_eos[0]), int(guidance.first_eos[0])
    assert torch.equal(got[:first], text.states[0, :first])
    length = len(got)
    for position in range(first, length):
        row = guidance.states[0, min(theirs + position - first, length - 1)]
        torch.testing.assert_close(got[position], 0.7 * row)


def test_a_guidance_longer_than_the_prompt_repeats_its_last_row():
    model = NumericModel()
    text = states(model, ["nurse"])
    got = fit(model, cells=JOINT, target=(0, 0, 0, 1)).embedding(text, streams(1)).states[0]
    guidance = model.encode(["an elderly male nurse"]).states[0]
    torch.testing.assert_close(got[2:9], guidance[5:12])
    torch.testing.assert_close(got[9:], guidance[-1:].expand(3, -1))


def test_cells_are_drawn_from_the_target_with_the_random_stream_of_the_image():
    model = NumericModel()
    intervention = fit(model, cells=JOINT, target=(0.1, 0.2, 0.3, 0.4))
    text = states(model, ["a photo of a nurse"] * 400)
    got = intervention.embedding(text, streams(400)).states
    known = [model.encode([f"{a} nurse"]) for a in ("a young female", "a young male", "an elderly female")]
    shares = [np.mean([torch.allclose(row[6], g.states[0, g.first_eos[0]]) for row in got]) for g in known]
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3], atol=0.06)
    alone = intervention.embedding(states(model, ["a photo of a nurse"]), [np.random.default_rng(399)])
    assert torch.equal(alone.states[0], got[399])


def test_prompts_without_a_concept_are_unchanged_and_draw_nothing():
    model = NumericModel()
    text, draws = states(model, ["a photo of a cat"]), streams(1)
    assert torch.equal(fit(model).embedding(text, draws).states, text.states)
    assert draws[0].random() == np.random.default_rng(0).random()


class Pooled(NumericModel):
    """Like SDXL, with a pooled vector that depends on the text."""

    def encode(self, texts):
        return replace(super().encode(texts), pooled=torch.stack([self._random(t, 5) for t in texts]))


def test_the_pooled_vector_is_replaced():
    model = Pooled()
    text = states(model, ["a photo of a nurse", "a photo of a cat"])
    got = fit(model, target=(1, 0)).embedding(text, streams(2)).pooled
    assert torch.equal(got[0], model.encode(["a female nurse"]).pooled[0])
    assert torch.equal(got[1], text.pooled[1])


def test_storage_keeps_the_order_of_the_concepts(tmp_path):
    model = NumericModel()
    intervention = fit(model, target=(1, 0))
    save(intervention, tmp_path)
    text = states(model, ["a construction worker", "a nurse"])
    again = load(tmp_path, EosSwap).embedding(text, streams(2)).states
    assert torch.equal(again, intervention.embedding(text, streams(2)).states)


@pytest.mark.parametrize("bad", [{"weight": 0}, {"guidance": "a person"}])
def test_invalid_parameters_raise_an_error(bad):
    with pytest.raises(ValidationError):
        EosSwap(**bad)
