"""Compilation: the same images up to rounding, compiled once for all methods, and part of the image key."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from helpers.families import PROTOCOL, WIDTH, pipeline
from torch._dynamo.utils import counters

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import compilation
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.models.unet import UNetModel
from evenhand.bench.prompts.plan import image_key
from evenhand.bench.suites.suite import Protocol, load_suite
from evenhand.methods.base import Intervention
from evenhand.methods.hooks import Steering

COMPILED = PROTOCOL.model_copy(update={"compilation": "whole"})
PROMPTS, SEEDS = ["a photo of a nurse", "a CEO", "a cat"], [1, 2, 3]


@pytest.fixture
def model():
    return UNetModel(pipeline("sd1"), name="tiny", revision="0", device="cpu")


@pytest.fixture
def sampler(model):
    """Graphs are traced but run operation by operation, which avoids minutes of compilation."""
    return Sampler(model, COMPILED, networks=compilation.compiled(model, backend="eager"))


@pytest.fixture(autouse=True)
def no_compiled_graphs_are_left():
    yield
    torch._dynamo.reset()


def smallest_pipeline():
    """One level of the U-Net and of the autoencoder: every kind of layer but the changes of resolution.

    The compiler takes as long as there are different kernels, and a second level nearly doubles them.
    """
    pipe = pipeline("sd1")
    unet = UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(32,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=WIDTH["sd1"],
        attention_head_dim=8,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(16,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        norm_num_groups=8,
        sample_size=16,
    )
    pipe.register_modules(unet=unet, vae=vae)
    return pipe


class Darker(Steering):
    def feature(self, step, site, output):
        return 0.5 * output


@dataclass(frozen=True)
class Inside(Intervention):
    """Acts on a module inside the U-Net."""

    def sites(self):
        return ["mid_block"]

    def steer(self, batch):
        return Darker()


@pytest.mark.slow
@pytest.mark.skipif(not compilation.has_compiler(), reason="there is no C++ compiler")
def test_compiled_images_differ_by_rounding_only(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    model = UNetModel(smallest_pipeline(), name="tiny", revision="0", device="cpu")
    size = {"width": 16, "height": 16}
    plain = Sampler(model, PROTOCOL.model_copy(update=size))(PROMPTS, SEEDS)
    compiled = Sampler(model, COMPILED.model_copy(update=size))(PROMPTS, SEEDS)
    assert plain.std() > 10, "the images show something"
    assert np.abs(plain.astype(int) - compiled).max() <= 1


@pytest.mark.slow
def test_switching_the_weights_of_methods_does_not_recompile(model, sampler):
    before = sampler(PROMPTS, SEEDS)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs
    weights = {name: value * 1.5 for name, value in model.cross_attention().items()}
    edited = sampler(PROMPTS, SEEDS, intervention=Intervention(weights=weights))
    again = sampler(PROMPTS[:1], SEEDS[:1])
    assert counters["stats"]["unique_graphs"] == graphs
    assert (edited != before).any()
    assert (again == before[:1]).all()


@pytest.mark.slow
def test_a_method_that_acts_inside_the_compiled_network_takes_effect(model, sampler):
    unchanged = sampler(PROMPTS, SEEDS)
    compiled = sampler(PROMPTS, SEEDS, intervention=Inside())
    plain = Sampler(model, PROTOCOL)(PROMPTS, SEEDS, intervention=Inside())
    assert np.abs(plain.astype(int) - compiled).max() <= 1
    assert (compiled != unchanged).any()


def test_compilation_is_part_of_the_image_key_and_its_default_leaves_keys_unchanged():
    def key(protocol):
        stated = protocol.model_dump_json()
        return image_key(model="m", protocol=stated, intervention="", prompt="a CEO", seed=1)

    assert key(COMPILED) != key(PROTOCOL)
    assert "kernels" not in json.loads(PROTOCOL.model_dump_json())
    assert Protocol.model_validate_json(COMPILED.model_dump_json()) == COMPILED
    suite = load_suite("mini")
    other = suite.model_copy(update={"protocol": suite.protocol.model_copy(update={"compilation": "whole"})})
    assert other.digest() != suite.digest()


def test_a_missing_compiler_is_a_one_line_error(model, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(EvenhandError, match=r'no C\+\+ compiler; install g\+\+ or set compilation = "none"'):
        Sampler(model, COMPILED)
