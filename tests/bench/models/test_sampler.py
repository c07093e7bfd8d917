"""An image depends only on its prompt, its seed and the intervention."""

import os
import signal
import threading
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import memory
from evenhand.bench.models.compilation import Networks
from evenhand.bench.models.loading import MINI, load_model
from evenhand.bench.models.sampler import BatchSampler, Sampler
from evenhand.bench.prompts.plan import image_key
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Intervention
from evenhand.methods.shared.randomness import image_stream

PROTOCOL = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=64, height=64, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a CEO", "a portrait of a man", "a photo of a mechanic"]


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model, PROTOCOL)


@pytest.mark.slow
def test_images_equal_those_of_the_stock_pipeline(model, sampler):
    # Given to the pipeline when it is made, which then corrects its default of clipping latents like pixels.
    scheduler = DDIMScheduler.from_pretrained(MINI, subfolder="scheduler")
    pipe = StableDiffusionPipeline.from_pretrained(
        MINI, scheduler=scheduler, torch_dtype=torch.float32, safety_checker=None
    )
    assert not pipe.scheduler.config.clip_sample
    pipe.set_progress_bar_config(disable=True)
    pipe.tokenizer.model_max_length = 24
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in (7, 8)]
    stock = pipe(
        PROMPTS[:2],
        num_inference_steps=3,
        guidance_scale=2.5,
        generator=generators,
        output_type="np",
        eta=0.0,
    ).images
    ours = sampler(PROMPTS[:2], [7, 8])
    assert np.abs(ours.astype(int) - np.round(stock * 255)).max() <= 1


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_batch(sampler):
    together = sampler(PROMPTS, [1, 2, 3, 4, 5])
    alone = sampler(PROMPTS[3:4], [4])
    assert (together[3] == alone[0]).all()


@pytest.mark.slow
def test_the_batch_size_changes_at_most_the_last_bit_and_is_part_of_the_key(model, sampler):
    protocol = PROTOCOL.model_copy(update={"batch": 1})
    single = Sampler(model, protocol)(PROMPTS, [1, 2, 3, 4, 5])
    assert np.abs(single.astype(int) - sampler(PROMPTS, [1, 2, 3, 4, 5])).max() <= 1
    keys = {
        image_key(
            model=model.revision, protocol=each.model_dump_json(), intervention="", prompt="a CEO", seed=3
        )
        for each in (PROTOCOL, protocol)
    }
    assert len(keys) == 2


def test_different_seeds_give_different_images(sampler):
    first, second = sampler([PROMPTS[0]] * 2, [1, 2])
    assert (first != second).any()


@pytest.mark.slow
def test_edited_weights_are_applied_and_restored_bit_for_bit(model, sampler):
    before = {name: value.clone() for name, value in model.cross_attention().items()}
    plain = sampler(PROMPTS[:1], [1])
    zeroed = Intervention(weights={name: torch.zeros_like(value) for name, value in before.items()})
    assert (sampler(PROMPTS[:1], [1], intervention=zeroed) != plain).any()
    assert all(torch.equal(value, model.cross_attention()[name]) for name, value in before.items())
    assert (sampler(PROMPTS[:1], [1]) == plain).all()


def test_weights_are_restored_after_an_error(model):
    name, value = next(iter(model.cross_attention().items()))
    with pytest.raises(RuntimeError, match="boom"), model.edited({name: value + 1}):
        raise RuntimeError("boom")
    assert torch.equal(model.cross_attention()[name], value)


def test_a_broken_edit_is_marked_as_an_error(model, sampler):
    name, value = next(iter(model.cross_attention().items()))
    marks = []
    broken = Intervention(weights={name: torch.full_like(value, torch.nan)})
    sampler.draw(
        PROMPTS[:1], [1], intervention=broken, on_batch=lambda start, images, finite: marks.extend(finite)
    )
    assert marks == [False]


@pytest.mark.slow
def test_ctrl_c_stops_a_batch_at_the_next_step_and_keeps_earlier_batches(model, monkeypatch):
    steps, made, forward = [], [], model.unet.forward

    def watched(*arguments, **more):
        steps.append(len(steps))
        if len(steps) == 24:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return forward(*arguments, **more)

    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(model.unet, "forward", watched)
    sampler = Sampler(model, PROTOCOL.model_copy(update={"steps": 20, "batch": 1}))
    # Background processes ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            sampler.draw(PROMPTS, range(5), on_batch=lambda start, images, finite: made.append(start))
    finally:
        signal.signal(signal.SIGINT, before)
    assert made == [0]
    assert len(steps) < 40, "the second batch was drawn to its end"


def test_an_embedding_level_intervention_replaces_the_conditional_states(sampler):
    class Blank(Intervention):
        def embedding(self, text, draws):
            return replace(text, states=torch.zeros_like(text.states))

    first = sampler(PROMPTS[:1], [1], intervention=Blank())
    second = sampler(PROMPTS[1:2], [1], intervention=Blank())
    assert (first == second).all()


def test_the_random_stream_of_an_image_depends_only_on_method_prompt_and_seed():
    first = image_stream("m", "a nurse", 1).random(4)
    assert (first == image_stream("m", "a nurse", 1).random(4)).all()
    others = [
        image_stream(*key).random(4) for key in (("n", "a nurse", 1), ("m", "a cook", 1), ("m", "a nurse", 2))
    ]
    assert all((first != other).all() for other in others)


class SmallDevice(BatchSampler):
    """A device that generates at most ``fits`` images at once; an image shows its seed."""

    def __init__(self, *, fits, batch=8, device="cuda"):
        model = SimpleNamespace(device=torch.device(device), name="big")
        super().__init__(
            model, PROTOCOL.model_copy(update={"batch": batch, "width": 8, "height": 8}), cores=1
        )
        self.fits, self.tried = fits, []

    def _applied(self, intervention):
        return nullcontext()

    def _batch(self, pairs, intervention, negative):
        self.tried.append(len(pairs))
        if len(pairs) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        seeds = np.array([seed for _, seed in pairs], dtype=np.uint8)
        images = np.broadcast_to(seeds[:, None, None, None], (len(pairs), 8, 8, 3))
        return images, np.ones(len(pairs), dtype=bool)


def test_a_batch_is_written_while_an_accelerator_draws_the_next_one():
    drawing, writing = ([threading.Event() for _ in range(4)] for _ in range(2))

    class Watched(SmallDevice):
        def _batch(self, pairs, intervention, negative):
            number = pairs[0][1] // 8
            drawing[number].set()
            # This batch is finished only once the one before is being written, and the reverse.
            assert number == 0 or writing[number - 1].wait(timeout=5)
            return super()._batch(pairs, intervention, negative)

    def write(start, images, finite):
        number = start // 8
        writing[number].set()
        assert number == 3 or drawing[number + 1].wait(timeout=5)

    Watched(fits=8).draw(["a"] * 32, range(32), on_batch=write)
    assert all(event.is_set() for event in [*drawing, *writing])


@pytest.mark.slow
def test_an_accelerator_without_memory_for_a_batch_generates_it_in_smaller_parts_from_then_on(caplog):
    sampler = SmallDevice(fits=3)
    images = sampler(["a"] * 12, range(12))
    assert images[:, 0, 0, 0].tolist() == list(range(12))
    assert sampler.tried == [8, 4, *[2] * 8], "the last batch is filled up"
    assert sampler.micro_batch == 2
    assert [record.getMessage() for record in caplog.records] == [
        "the device cannot generate 8 images at once; generating 4 at once",
        "the device cannot generate 4 images at once; generating 2 at once",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("device", "fits", "count"), [("cuda", 0, 1), ("cpu", 3, 8)])
def test_memory_that_suffices_for_nothing_is_a_one_line_error(device, fits, count):
    with pytest.raises(EvenhandError) as caught:
        SmallDevice(fits=fits, device=device)(["a"] * 12, range(12))
    said = str(caught.value)
    assert said.startswith(f"not enough memory to generate {count} images at once (8 x 8, float32) with")
    assert 'set precision = "bfloat16"' in said and "GPU 0" not in said


@pytest.mark.slow
def test_images_are_decoded_in_parts_of_limited_size(model, monkeypatch):
    sampler, sizes = Sampler(model, PROTOCOL.model_copy(update={"batch": 4})), []
    plain = sampler(PROMPTS[:1] * 4, range(4))

    def decode(latents):
        sizes.append(len(latents))
        return model.vae.decode(latents)

    monkeypatch.setattr(memory, "MAX_PIXELS", 2 * PROTOCOL.width * PROTOCOL.height)
    parted = Sampler(model, sampler.protocol, networks=Networks(model.unet, decode))
    assert (parted(PROMPTS[:1] * 4, range(4)) == plain).all()
    assert sizes == [2, 2]
