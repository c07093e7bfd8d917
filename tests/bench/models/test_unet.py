"""Text states and latents of a U-Net model, and threads that share one tokenizer."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers.families import pipeline

from evenhand.bench.models import memory, unet
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.unet import UNetModel

TEXTS = ["a photo of a nurse", "a cat", "a photo of a cat and a dog"]


class Watched:
    """A slow tokenizer that records whether two calls overlap."""

    def __init__(self, tokenizer):
        self.tokenizer, self.model_max_length = tokenizer, tokenizer.model_max_length
        self.inside, self.overlapped = threading.Semaphore(1), False

    def __call__(self, *args, **more):
        alone = self.inside.acquire(blocking=False)
        self.overlapped |= not alone
        time.sleep(0.02)
        tokens = self.tokenizer(*args, **more)
        if alone:
            self.inside.release()
        return tokens


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.mark.slow
def test_concurrent_threads_do_not_use_the_tokenizer_at_the_same_time():
    model, alone = load_model("mini"), load_model("mini")
    [(tokenizer, encoder)] = model.text_encoders
    watched = Watched(tokenizer)
    model.text_encoders = [(watched, encoder)]
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        together = list(pool.map(lambda text: model.encode([text]), TEXTS))
    assert not watched.overlapped
    for text, encoded in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(encoded.states, alone.encode([text]).states)


def test_latents_are_encoded_in_parts_of_limited_size_with_the_same_bytes(mini, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
    together, sizes, encode = mini.latents(images), [], mini.vae.encode

    def watched(pixels):
        sizes.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(mini.vae, "encode", watched)
    monkeypatch.setattr(memory, "MAX_PIXELS", 4 * 16 * 16)
    assert torch.equal(mini.latents(images), together)
    assert sizes == [4, 4, 3], "equal parts, so that none has a single image"


def test_the_number_of_kept_texts_is_bounded_and_a_dropped_one_is_encoded_again(monkeypatch):
    monkeypatch.setattr(unet, "CACHED_TEXTS", 2)
    model = UNetModel(pipeline("sd1"), name="tiny", revision="", device="cpu")
    first = model.encode(TEXTS[:1]).states
    model.encode(TEXTS)
    assert model._encoded.cache_info().currsize == 2
    assert torch.equal(model.encode(TEXTS[:1]).states, first)


@pytest.mark.parametrize("forced", [True, False])
def test_guidance_of_sdxl_starts_from_zeros_only_if_the_model_says_so(forced):
    pipe = pipeline("sdxl")
    pipe.register_to_config(force_zeros_for_empty_prompt=forced)
    model = UNetModel(pipe, name="tiny", revision="", device="cpu")
    unconditional, empty = model.unconditional(2), model.encode(["", ""])
    assert torch.equal(unconditional.states, torch.zeros_like(empty.states) if forced else empty.states)
    assert torch.equal(unconditional.pooled, torch.zeros_like(empty.pooled) if forced else empty.pooled)
    assert torch.equal(unconditional.first_eos, empty.first_eos)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_noise_of_a_model_of_velocities_has_its_full_size_in_half_precision(dtype):
    """At the first timesteps, where ``1 - abar`` itself cannot be represented."""
    pipe = pipeline("sd2").to(dtype)
    pipe.scheduler.register_to_config(prediction_type="v_prediction")
    model = UNetModel(pipe, name="tiny", revision="", device="cpu")
    model.unet.conv_out.weight.zero_()
    model.unet.conv_out.bias.zero_()
    timesteps = torch.tensor([0, 2, 10, 100])
    latents = torch.ones(4, 4, 16, 16, dtype=dtype)
    with torch.no_grad():
        found = model.predict(latents, timesteps, model.encode(["a"] * 4))[:, 0, 0, 0].double()
    expected = (1 - model.alphas_cumprod[timesteps].double()).sqrt()
    torch.testing.assert_close(found, expected, rtol=torch.finfo(dtype).eps, atol=0)
