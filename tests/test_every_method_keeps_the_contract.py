"""What holds for every registered method, on the bundled model and on each family it declares."""

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch
from families_kit import PROTOCOL, pipeline
from methods_kit import JOINT

from evenhand.bench.fitting import CountedJudge
from evenhand.bench.mini.judges import clip_xs
from evenhand.bench.models import load_model
from evenhand.bench.resources import load_scorer
from evenhand.bench.sampler import Sampler
from evenhand.bench.suite import Protocol
from evenhand.methods.base import Task, load, save

QUICK = tomllib.loads(Path(__file__).with_name("quick_parameters.toml").read_text())
METHODS = {
    entry.name: entry
    for entry in entry_points(group="evenhand.methods")
    if entry.value.startswith("evenhand.")
}
MINI_PROTOCOL = Protocol(version="t", solver="ddim", steps=4, guidance=2.5, width=64, height=64, batch=4)
CONCEPTS = ("nurse", "construction worker")
PROMPTS = ["a photo of a nurse", "a photo of a female nurse", "a photo of a cat", "a construction worker"]
SEEDS = [1, 2, 3, 4]
FAMILIES = ("sd1", "sd2", "sdxl")


class TinyClip:
    """The bundled CLIP, with a random projection that stands for that of a random text encoder."""

    features = staticmethod(load_scorer("mini").features)

    @staticmethod
    def text_projection(encoder):
        return torch.randn(128, encoder.config.hidden_size, generator=torch.Generator().manual_seed(0))


def task_on(model, *, protocol, concepts=CONCEPTS, cells=JOINT, seed=0):
    """A real task: real pictures, the real steering judge."""
    sampler = Sampler(model, protocol)
    return Task(
        model=model,
        concepts=tuple(concepts),
        cells=tuple(cells),
        target=np.full((len(concepts), len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(seed),
        sample=sampler,
        judge=CountedJudge("clip-xs", clip_xs()),
        image_features=load_scorer("mini").embed,
        clip=TinyClip() if model.name != "mini" else load_scorer("mini"),
    )


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.fixture(scope="module", params=sorted(METHODS))
def method(request):
    return METHODS[request.param].load()(**QUICK.get(request.param, {}))


@pytest.fixture(scope="module")
def fitted(method, mini):
    return method.fit(task_on(mini, protocol=MINI_PROTOCOL))


def test_an_intervention_is_the_same_after_storage(method, fitted, mini, tmp_path):
    save(fitted, tmp_path)
    again = load(tmp_path, type(method))
    assert again.digest() == fitted.digest()
    sampler = Sampler(mini, MINI_PROTOCOL)
    first = sampler(PROMPTS, SEEDS, intervention=fitted)
    assert (sampler(PROMPTS, SEEDS, intervention=again) == first).all()


def test_pictures_do_not_depend_on_order_and_nothing_stays_behind(fitted, mini):
    sampler = Sampler(mini, MINI_PROTOCOL)
    plain = sampler(PROMPTS, SEEDS)
    weights = {name: value.clone() for name, value in mini.unet.state_dict().items()}
    first = sampler(PROMPTS, SEEDS, intervention=fitted)
    turned = sampler(PROMPTS[::-1], SEEDS[::-1], intervention=fitted)[::-1]
    assert np.abs(first.astype(int) - turned).max() <= 1
    assert (sampler(PROMPTS, SEEDS) == plain).all()
    assert all(torch.equal(value, weights[name]) for name, value in mini.unet.state_dict().items())


def test_fitting_twice_gives_the_same_intervention(method, fitted, mini):
    assert method.fit(task_on(mini, protocol=MINI_PROTOCOL)).digest() == fitted.digest()


@pytest.mark.parametrize("cells", [JOINT[:2], JOINT], ids=["one attribute", "joint cells"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_works_on_every_family_it_declares(method, family, cells, families):
    architectures = method.info.architectures
    if "any" not in architectures and family not in architectures:
        pytest.skip(f"{method.info.name} does not declare {family}")
    model = families[family]
    intervention = method.fit(task_on(model, protocol=PROTOCOL, concepts=("nurse",), cells=cells))
    images = Sampler(model, PROTOCOL)(PROMPTS[:2], SEEDS[:2], intervention=intervention)
    assert images.shape == (2, 32, 32, 3)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    models = {}
    for family in FAMILIES:
        folder = tmp_path_factory.mktemp(family)
        pipeline(family).save_pretrained(folder)
        models[family] = load_model(str(folder), device="cpu")
    return models
