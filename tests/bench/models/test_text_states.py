"""Encoding with gradients and changed input rows, compared with transformers, in several threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from helpers.families import pipeline

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import MINI, load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Intervention
from evenhand.methods.hooks import Batch, Steering

TEXTS = ["a photo of a nurse", "a construction worker", ""]


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_encode_uncached_without_a_change_equals_encode(family, tmp_path):
    pipeline(family).save_pretrained(tmp_path)
    model = load_model(str(tmp_path), device="cpu")
    uncached, kept = model.encode_uncached(TEXTS), model.encode(TEXTS)
    torch.testing.assert_close(uncached.states, kept.states, atol=1e-5, rtol=1e-5)
    assert torch.equal(uncached.first_eos, kept.first_eos) and uncached.ids == kept.ids
    if family == "sdxl":
        torch.testing.assert_close(uncached.pooled, kept.pooled, atol=1e-5, rtol=1e-5)


def test_replacing_input_rows_by_those_of_another_prompt_gives_its_states(model):
    from transformers import CLIPTextModel, CLIPTokenizer

    reference = CLIPTextModel.from_pretrained(MINI / "text_encoder").float().eval()
    tokenizer = CLIPTokenizer.from_pretrained(MINI / "tokenizer")
    ids = tokenizer(["a photo of a cat"], padding="max_length", max_length=24, return_tensors="pt").input_ids
    with torch.no_grad():
        wanted = reference(ids).last_hidden_state
        embeddings = next(m for m in reference.modules() if type(m).__name__ == "CLIPTextEmbeddings")
        cat = embeddings(ids)
        got = model.encode_uncached(["a photo of a nurse"], lambda rows, eos: cat).states
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-6)


def test_changing_a_row_keeps_earlier_states_and_passes_gradients(model):
    added = torch.zeros(192, requires_grad=True)

    def change(rows, eos):
        assert eos.tolist() == [6]
        place = torch.zeros(1, rows.shape[1], 1).index_fill(1, eos, 1.0)
        return rows + place * (added + 0.1)

    states = model.encode_uncached(["a photo of a nurse"], change).states
    with torch.no_grad():
        plain = model.encode_uncached(["a photo of a nurse"]).states
    assert torch.equal(states[:, :6], plain[:, :6])
    assert not torch.allclose(states[:, 6:], plain[:, 6:])
    states[:, :6].sum().backward(retain_graph=True)
    assert not added.grad.any()
    states[:, 6:].square().sum().backward()
    assert added.grad.any()


def test_a_change_is_visible_in_its_thread_only(model):
    plain = model.encode_uncached(TEXTS[:1]).states

    def encoded(number):
        change = (lambda rows, eos: rows + number) if number % 2 else None
        return model.encode_uncached(TEXTS[:1], change).states

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(encoded, range(12)))
    assert all(torch.equal(result, plain) for result in results[::2])
    assert not any(torch.allclose(result, plain) for result in results[1::2])


def test_a_batch_can_encode_for_its_intervention(model):
    class Same(Steering):
        def __init__(self, states):
            self.states = states

        def text(self, step, states, latents):
            torch.testing.assert_close(self.states, states, atol=1e-5, rtol=1e-5)
            return self.states

    class Reencoded(Intervention):
        def steer(self, batch):
            return Same(batch.encode(batch.texts).states)

    protocol = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=64, height=64, batch=2)
    sampler = Sampler(model, protocol)
    difference = sampler(TEXTS[:2], [1, 2], intervention=Reencoded()).astype(int) - sampler(TEXTS[:2], [1, 2])
    assert abs(difference).max() <= 1


def test_errors_say_what_to_do(model, tmp_path):
    with pytest.raises(EvenhandError, match="shorten it"):
        model.encode_uncached(["a nurse " * 20])
    pipeline("sdxl").save_pretrained(tmp_path)
    with pytest.raises(EvenhandError, match="two text encoders"):
        load_model(str(tmp_path), device="cpu").encode_uncached(["a"], lambda rows, eos: rows)
    with pytest.raises(ValueError, match="without a text encoder"):
        Batch(texts=("a",), seeds=(1,), draws=()).encode(["a"])
