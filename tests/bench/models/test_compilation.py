"""Compilation: the same images up to rounding, compiled once for all methods, and part of the image key."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers.families import PROTOCOL, pipeline
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
def test_compiled_images_differ_by_rounding_only(model, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain = Sampler(model, PROTOCOL)(PROMPTS, SEEDS)
    compiled = Sampler(model, COMPILED)(PROMPTS, SEEDS)
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
