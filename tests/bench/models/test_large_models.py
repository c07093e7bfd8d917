"""Large models: quantization, offload, attention kernels and compiled blocks, as a protocol chooses them."""

import importlib.util
from functools import partial

import numpy as np
import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from helpers.accelerator import pretended_accelerator
from helpers.families import PROTOCOL as U_NET_PROTOCOL
from helpers.families import saved
from helpers.whole import SIDE, flux, whole_pipeline
from torch._dynamo.utils import counters

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import compilation, large_models
from evenhand.bench.models import whole_pipeline as module
from evenhand.bench.models.loading import load_model, load_model_of, open_sampler
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.suites.suite import Protocol, load_suite
from evenhand.methods.base import Intervention

PROTOCOL = Protocol(version="t", solver="own", steps=2, guidance=3, width=SIDE, height=SIDE, batch=2)
PROMPTS, SEEDS = ["a photo of a nurse", "a CEO"], [3, 4]
KINDS = ("flux", "sd3", "qwen", "pixart sigma")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folders = {}
    for kind in KINDS:
        folders[kind] = str(tmp_path_factory.mktemp("models") / kind.replace(" ", "-"))
        whole_pipeline(kind).save_pretrained(folders[kind], safe_serialization=True)
    return folders


@pytest.fixture(scope="module")
def u_net(tmp_path_factory):
    return str(saved("sd1", tmp_path_factory))


@pytest.fixture(autouse=True)
def no_compiled_graphs_are_left():
    yield
    torch._dynamo.reset()


def images(model, **changes):
    return open_sampler(model, PROTOCOL.model_copy(update=changes))(PROMPTS, SEEDS).astype(int)


def one_line(call, *said):
    """The call raises an error of one line that says all of this."""
    with pytest.raises(EvenhandError) as fault:
        call()
    assert all(text in str(fault.value) for text in said), str(fault.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("quantization", "levels"), [("int8", 8), ("float8", 20)])
def test_a_quantized_model_draws_nearly_the_same_images(kind, quantization, levels, folders):
    pytest.importorskip("torchao")
    full = images(load_model(folders[kind], precision="bfloat16", device="cpu"))
    model = load_model(folders[kind], precision="bfloat16", quantization=quantization, device="cpu")
    drawn = images(model)
    assert 0 < np.abs(drawn - full).max() <= levels
    for name, part in model.pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            kinds = {type(weight.data).__name__ for weight in part.parameters()}
            assert (kinds == {"Tensor"}) == (name == "vae"), name


def test_a_quantization_that_is_not_possible_is_one_line(folders, u_net, monkeypatch):
    load = partial(load_model, folders["flux"], device="cpu")
    if importlib.util.find_spec("bitsandbytes"):
        one_line(partial(load, quantization="nf4"), 'quantization = "nf4" needs an accelerator with CUDA')
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    one_line(partial(load, quantization="int8"), "package torchao; run pip install 'evenhand[large]'")
    one_line(partial(load, quantization="nf4"), "package bitsandbytes; run pip install 'evenhand[large]'")
    one_line(
        partial(load_model, u_net, quantization="int8", device="cpu"),
        "has a U-Net",
        'set quantization = "none" in the protocol',
    )


def test_four_bits_are_asked_of_bitsandbytes_in_the_precision_of_the_protocol(folders):
    pytest.importorskip("bitsandbytes")
    from pathlib import Path

    options = large_models.quantized(Path(folders["sd3"]), "nf4", torch.bfloat16)
    mapping = options["quantization_config"].quant_mapping
    assert {*mapping} == {"text_encoder", "text_encoder_2", "text_encoder_3", "transformer"}
    for settings in mapping.values():
        assert settings.load_in_4bit and settings.bnb_4bit_quant_type == "nf4"
        assert settings.bnb_4bit_compute_dtype == torch.bfloat16
    assert "diffusers" in type(mapping["transformer"]).__module__
    assert "transformers" in type(mapping["text_encoder"]).__module__


@pytest.fixture
def accelerator(monkeypatch):
    """The pretended accelerator, in the thread that draws."""
    monkeypatch.setattr(BatchSampler, "_all", lambda self, tasks: (task() for task in tasks))
    with pretended_accelerator() as waits:
        yield waits


def networks(model):
    parts = model.pipeline.components.items()
    return {name: part for name, part in parts if isinstance(part, torch.nn.Module)}


def on_device(model):
    """Names of the networks whose weights are on the accelerator."""
    return {n for n, part in networks(model).items() if next(part.parameters()).device.type == "cuda"}


@pytest.mark.parametrize("kind", KINDS)
def test_networks_that_do_not_run_wait_in_the_main_memory(kind, folders, accelerator):
    expected = images(load_model(folders[kind], device="cpu"))
    model, seen = load_model(folders[kind], offload="model", device="cuda"), []
    parts = networks(model)
    watched = {name: getattr(parts[name], "decoder", parts[name]) for name in parts}
    for part in watched.values():
        part.register_forward_hook(lambda *_: seen.append(on_device(model)))
    drawn = images(model)
    assert np.abs(drawn - expected).max() <= 1
    assert {name for names in seen for name in names} == {*watched}
    # The last text encoder waits there when the first one reads the negative prompt, and nothing else does.
    assert all(len(names) == 1 for names in seen if names & {"transformer", "vae"})
    assert all(len(names) <= 2 for names in seen)
    assert not on_device(model) and model.device.type == "cuda"
    # Without offload, all networks stay on the accelerator.
    assert on_device(load_model(folders[kind], device="cuda")) == {*watched}


@pytest.mark.parametrize("offload", ["none", "model"])
def test_a_resting_model_is_off_the_device_and_draws_the_same_afterwards(offload, folders, accelerator):
    model = load_model(folders["flux"], offload=offload, device="cuda")
    before, kept = images(model), on_device(model)
    with model.resting():
        assert not on_device(model)
    assert on_device(model) == kept
    assert (images(model) == before).all()


def test_a_resting_u_net_model_is_off_the_device_with_everything_it_keeps(u_net, accelerator):
    model = load_model(u_net, device="cuda")
    edit = Intervention(weights={name: value * 1.5 for name, value in model.cross_attention().items()})
    sampler = open_sampler(model, U_NET_PROTOCOL)
    before = [sampler(PROMPTS, SEEDS, intervention=one) for one in (None, edit)]
    everywhere = on_device(model)
    assert {"unet", "vae", "text_encoder"} <= everywhere and model._spare
    with model.resting():
        assert not on_device(model) and not model._spare
        assert model._encoded.cache_info().currsize == 0
    assert on_device(model) == everywhere
    after = [sampler(PROMPTS, SEEDS, intervention=one) for one in (None, edit)]
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", ["flux", "sd3"])
def test_offloaded_layers_draw_the_same_images(kind, folders):
    expected = images(load_model(folders[kind], device="cpu"))
    model = load_model(folders[kind], device="cpu")
    # The pretended accelerator cannot exchange the values of a parameter, so layers wait on the same device.
    large_models.enable_offload(model.pipeline, "layers", device=torch.device("cpu"), name="tiny")
    hooked = [part for part in model.denoiser.modules() if hasattr(part, "_diffusers_hook")]
    assert len(hooked) > 10
    assert (images(model) == expected).all()


def test_an_offload_that_is_not_possible_is_one_line(folders, u_net, monkeypatch):
    one_line(
        partial(load_model, folders["flux"], offload="model", device="cpu"),
        "this machine has none",
        'set offload = "none"',
    )
    one_line(
        partial(load_model, u_net, offload="layers", device="cuda"), "has a U-Net", 'set offload = "none"'
    )
    pipe = whole_pipeline("flux")
    monkeypatch.setattr(type(pipe), "model_cpu_offload_seq", None)
    enable = partial(large_models.enable_offload, pipe, "model", device=torch.device("cuda"), name="tiny")
    one_line(enable, "does not state the order of its networks", 'set offload = "layers"')
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    one_line(partial(load_model, folders["flux"], offload="model", device="cuda"), "the package accelerate")


def test_attention_uses_the_chosen_kernels_in_this_model_only(folders, monkeypatch):
    asked = []
    for name in (AttentionBackendName.NATIVE, AttentionBackendName._NATIVE_MATH):
        kernels = _AttentionBackendRegistry._backends[name]
        watched = partial(
            lambda name, kernels, *a, **k: asked.append(name) or kernels(*a, **k), name, kernels
        )
        monkeypatch.setitem(_AttentionBackendRegistry._backends, name, watched)
    model, other = (load_model(folders["flux"], device="cpu") for _ in range(2))
    asked.clear()
    default = images(model)
    assert {*asked} == {AttentionBackendName.NATIVE}
    sampler = open_sampler(model, PROTOCOL.model_copy(update={"attention": "_native_math"}))
    asked.clear()
    chosen = sampler(PROMPTS, SEEDS).astype(int)
    assert {*asked} == {AttentionBackendName._NATIVE_MATH}
    assert np.abs(chosen - default).max() <= 1
    asked.clear()
    assert (images(other) == default).all() and (images(model) == default).all()
    assert {*asked} == {AttentionBackendName.NATIVE}


def test_attention_that_is_not_possible_is_one_line(folders, u_net):
    model = load_model(folders["flux"], device="cpu")
    one_line(partial(images, model, attention="flashh"), "unknown attention kernels 'flashh'", "'flash'?")
    one_line(partial(images, model, attention="sage"), "sageattention", 'set attention = "default"')
    own = load_model(folders["sd3"], device="cpu")
    one_line(partial(images, own, attention="native"), "SD3Transformer2DModel", 'set attention = "default"')
    stated = U_NET_PROTOCOL.model_copy(update={"attention": "native"})
    one_line(partial(open_sampler, load_model(u_net, device="cpu"), stated), "U-Net", 'attention = "default"')


@pytest.mark.slow
def test_a_repeated_block_is_compiled_once(tmp_path, monkeypatch):
    compiled = partial(large_models.compile_blocks, backend="eager")
    monkeypatch.setattr(module, "compile_blocks", compiled)
    torch.manual_seed(0)
    flux(layers=3).save_pretrained(tmp_path)
    expected = images(load_model(str(tmp_path), device="cpu"))
    sampler = open_sampler(
        load_model(str(tmp_path), device="cpu"), PROTOCOL.model_copy(update={"compilation": "blocks"})
    )
    counters.clear()
    drawn = sampler(PROMPTS, SEEDS).astype(int)
    assert np.abs(drawn - expected).max() <= 1
    # The first block without a separate text has another memory layout of its input.
    assert counters["stats"]["unique_graphs"] == 3, "for six blocks of two kinds"


def test_blocks_that_cannot_be_compiled_are_one_line(folders, u_net, monkeypatch):
    one_line(
        partial(images, load_model(folders["sd3"], device="cpu"), compilation="blocks"),
        "no repeated block",
        'set compilation = "none"',
    )
    stated = U_NET_PROTOCOL.model_copy(update={"compilation": "blocks"})
    one_line(
        partial(open_sampler, load_model(u_net, device="cpu"), stated), 'compilation = "whole" or "none"'
    )
    monkeypatch.setattr(compilation, "has_compiler", lambda: False)
    one_line(partial(images, load_model(folders["flux"], device="cpu"), compilation="blocks"), "C++ compiler")


def test_the_model_of_a_suite_is_loaded_as_its_protocol_says(monkeypatch):
    asked = {}
    monkeypatch.setattr("evenhand.bench.models.loading.load_model", lambda name, **more: asked.update(more))
    chosen = {"precision": "bfloat16", "quantization": "int8", "offload": "layers"}
    suite = load_suite("mini-quick")
    load_model_of(suite.model_copy(update={"protocol": suite.protocol.model_copy(update=chosen)}))
    assert asked == {**chosen, "device": None}
