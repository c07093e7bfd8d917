"""The contract of every registered method, on the bundled model and on each model family it declares."""

import json
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler
from helpers.families import PROTOCOL, pipeline
from helpers.methods import GENDER, JOINT
from helpers.paths import DATA

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini.judges import clip_xs
from evenhand.bench.mini.law import occupations
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.stages.fit import CountedJudge, CountedSample, fit
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import Protocol, load_suite
from evenhand.methods.base import Intervention, Method, MethodInfo, Task
from evenhand.methods.saving import load, save

QUICK = tomllib.loads((DATA / "quick_parameters.toml").read_text())
METHODS = {
    entry.name: entry
    for entry in entry_points(group="evenhand.methods")
    if entry.value.startswith("evenhand.")
}
MINI_PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=32, height=32, batch=4)
CONCEPTS = ("nurse", "construction worker")
PROMPTS = ["a photo of a nurse", "a photo of a female nurse", "a photo of a cat", "a construction worker"]
SEEDS = [1, 2, 3, 4]
FAMILIES = ("sd1", "sd2", "sdxl")
ONE_STEP = PROTOCOL.model_copy(update={"steps": 1, "batch": 8})

HOOKS = ("prompt", "embedding", "sites", "steer")
"""What an intervention may do while an image is sampled."""

ONE_LEVEL: dict[str, str] = {}
"""Methods whose images at zero strength may differ from the baseline by one level of 255, and why."""


class TinyClip:
    """The bundled CLIP with a random text projection, because the text encoders are random."""

    features = staticmethod(load_scorer("mini").features)

    @staticmethod
    def text_projection(encoder):
        return torch.randn(128, encoder.config.hidden_size, generator=torch.Generator().manual_seed(0))


class Counted:
    """The sampler with a count of the images that a method requests."""

    def __init__(self, sampler):
        self.sampler, self.images = sampler, 0

    def __call__(self, prompts, seeds, *, intervention=None, negative_prompt=""):
        self.images += len(prompts)
        return self.sampler(prompts, seeds, intervention=intervention, negative_prompt=negative_prompt)


def task_on(model, *, protocol=PROTOCOL, concepts=CONCEPTS, cells=JOINT, seed=0):
    """A task with real images and a real steering judge, both counted."""
    return Task(
        model=model,
        concepts=tuple(concepts),
        cells=tuple(cells),
        target=np.full((len(concepts), len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(seed),
        sample=Counted(Sampler(model, protocol)),
        judge=CountedJudge("clip-xs", clip_xs()),
        image_features=load_scorer("mini").embed,
        clip=TinyClip() if model.name != "mini" else load_scorer("mini"),
    )


def supported(method, model, cells):
    """The cells, or two if the method supports no more; skips tasks that the method rejects."""
    cells = GENDER if method.max_cells == 2 else cells
    try:
        method.check(family=model.family, cells=cells)
    except EvenhandError as error:
        pytest.skip(str(error))
    return cells


def fitted_on(method, model, *, cells=JOINT, **task):
    return method.fit(task_on(model, cells=supported(method, model, cells), **task))


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    models = {}
    for family in FAMILIES:
        folder = tmp_path_factory.mktemp(family)
        pipeline(family).save_pretrained(folder)
        models[family] = load_model(str(folder), device="cpu")
    return models


@pytest.fixture(scope="module")
def tiny(families):
    return families["sd1"]


@pytest.fixture(scope="module", params=sorted(METHODS))
def method(request):
    return METHODS[request.param].load()(**QUICK.get(request.param, {}))


@pytest.fixture(scope="module")
def untouched(tiny):
    """The state and the images of the model before any fit."""
    values, hooks = state(tiny)
    return SimpleNamespace(values=values, hooks=hooks, images=draw(tiny))


@dataclass
class Fit:
    """A fit on the tiny model, and what it used."""

    task: Task
    intervention: Intervention
    evaluations: int


@pytest.fixture(scope="module")
def fitted(method, tiny, untouched):
    """A fit shared by the tests that only read its result."""
    task = task_on(tiny, cells=supported(method, tiny, JOINT))
    before = tiny.evaluations
    intervention = method.fit(task)
    return Fit(task, intervention, tiny.evaluations - before)


@pytest.fixture(scope="module")
def refitted(method, fitted, tiny):
    """Images of the fit, a second fit after them, and its images."""
    first = draw(tiny, fitted.intervention)
    again = method.fit(task_on(tiny, cells=fitted.task.cells))
    return SimpleNamespace(first_images=first, intervention=again, images=draw(tiny, again))


def draw(model, intervention=None, *, protocol=PROTOCOL, prompts=PROMPTS, seeds=SEEDS):
    return Sampler(model, protocol)(prompts, seeds, intervention=intervention)


def of_each(images, intervention):
    """The images, for each concept's model if there is one per concept."""
    if not intervention.concept_weights:
        return [images(intervention)]
    return [images(Intervention(weights=weights)) for weights in intervention.concept_weights.values()]


def largest_difference(first, second):
    return int(np.abs(first.astype(int) - second).max())


def networks(model):
    return [model.unet, model.vae, *(encoder for _, encoder in model.text_encoders)]


def state(model):
    """Every parameter, and the number of hooks on the networks."""
    values = [value.clone() for network in networks(model) for value in network.state_dict().values()]
    modules = chain.from_iterable(network.modules() for network in networks(model))
    return values, sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)


@contextmanager
def counted_rows(unet):
    """Counts the rows that pass through the U-Net, including every branch of guidance."""
    seen = SimpleNamespace(rows=0)

    def hook(module, inputs, keywords):
        seen.rows += len(inputs[0] if inputs else keywords["sample"])

    handle = unet.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.slow
def test_a_stored_intervention_gives_the_same_images_in_any_order(method, mini, tmp_path):
    fitted = fitted_on(method, mini, protocol=MINI_PROTOCOL)
    save(fitted, tmp_path)
    again = load(tmp_path, type(method))
    assert again.digest() == fitted.digest()
    first = draw(mini, fitted, protocol=MINI_PROTOCOL)
    reversed_order = draw(mini, again, protocol=MINI_PROTOCOL, prompts=PROMPTS[::-1], seeds=SEEDS[::-1])[::-1]
    assert largest_difference(first, reversed_order) <= 1
    assert again.digest() == fitted.digest()


@pytest.mark.slow
def test_fitting_and_sampling_do_not_change_the_model_bit_for_bit(refitted, tiny, untouched):
    assert (draw(tiny) == untouched.images).all()
    values, hooks = state(tiny)
    assert hooks == untouched.hooks
    assert all(torch.equal(a, b) for a, b in zip(untouched.values, values, strict=True))


@pytest.mark.slow
def test_fitting_twice_gives_the_same_intervention_and_images(fitted, refitted):
    assert refitted.intervention.digest() == fitted.intervention.digest()
    assert (refitted.images == refitted.first_images).all()


@pytest.mark.slow
def test_the_cost_of_a_fit_is_within_the_declared_budget(method, fitted):
    declared = method.budget(concepts=len(CONCEPTS), cells=fitted.task.cells)
    used = {
        "images": fitted.task.sample.images,
        "judgements": fitted.task.judge.judgements,
        "evaluations": fitted.evaluations,
    }
    for name, count in used.items():
        if declared.exact:
            assert count == getattr(declared, name), name
        assert count <= getattr(declared, name), name


@pytest.mark.slow
def test_sampling_uses_the_declared_number_of_branches(method, fitted, tiny):
    declared = method.budget(concepts=len(CONCEPTS), cells=fitted.task.cells)
    prompts = ["a photo of a nurse", "a photo of a construction worker"]
    with counted_rows(tiny.unet) as seen:
        draw(tiny, fitted.intervention, prompts=prompts, seeds=SEEDS[:2])
    branches = seen.rows / (len(prompts) * PROTOCOL.steps) - 2
    assert 0 <= branches <= declared.branches
    if declared.exact:
        assert branches == declared.branches


def given(intervention):
    """What a user gets of a fitted method."""
    kind, plain = type(intervention), Intervention
    if intervention.concept_weights:
        return "a model per concept"
    acts = any(getattr(kind, hook) is not getattr(plain, hook) for hook in HOOKS)
    return "at sampling time" if acts else "one model"


@pytest.mark.slow
def test_the_track_is_what_a_user_of_the_fitted_method_gets(method, fitted):
    assert method.track == given(fitted.intervention)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mist", "uce", "time"])
def test_the_scope_of_a_method_decides_its_track(name, tiny):
    each = METHODS[name].load()(**QUICK.get(name, {}) | {"scope": "per-concept"})
    assert each.track == given(fitted_on(each, tiny)) == "a model per concept"


def test_the_published_training_is_a_whole_one_and_a_shorter_one_a_share():
    for name, entry in sorted(METHODS.items()):
        method = entry.load()
        lengths = method.training_length
        if not lengths:
            assert method().share_trained is None, name
            continue
        assert method().share_trained == 1, name
        for parameter in lengths:
            default = method.model_fields[parameter].default
            assert method(**{parameter: default // 2}).share_trained == pytest.approx(
                (default // 2) / default
            ), f"{name}:{parameter}"
            assert method(**{parameter: 2 * default}).share_trained == 1, f"{name}:{parameter}"


def test_a_method_whose_training_can_be_cut_says_how_long_it_is():
    trains = {"steps", "iterations", "epochs"}
    for name, entry in sorted(METHODS.items()):
        method = entry.load()
        if {"learning_rate"} <= set(method.model_fields) and trains & set(method.model_fields):
            assert method.training_length, name


@pytest.mark.slow
def test_zero_strength_gives_the_baseline(method, tiny, untouched):
    if method.strength is None:
        pytest.skip(f"{method.info.name} has no strength")
    zero = type(method)(**(method.model_dump() | {method.strength: 0}))
    allowed = 1 if method.info.name in ONE_LEVEL else 0
    for images in of_each(lambda it: draw(tiny, it), fitted_on(zero, tiny)):
        assert largest_difference(images, untouched.images) <= allowed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "cells"),
    # On SD 1.x, joint cells are those of `fitted`, and one attribute that of one concept and of forty.
    [("sd2", JOINT), ("sdxl", JOINT)],
    ids=["sd2, joint cells", "sdxl, joint cells"],
)
def test_a_method_works_on_every_model_family_it_declares(method, family, cells, families):
    intervention = fitted_on(method, families[family], concepts=("nurse",), cells=cells)
    for images in of_each(lambda it: draw(families[family], it), intervention):
        assert images.shape == (4, 32, 32, 3)


@pytest.mark.slow
def test_a_method_draws_with_the_scheduler_of_stable_diffusion_1_4(method, tiny, monkeypatch):
    # PNDM evaluates the network once more than the protocol has steps.
    config = json.loads((DATA / "sd14_scheduler.json").read_text())
    monkeypatch.setattr(tiny, "scheduler", PNDMScheduler.from_config(config))
    protocol = PROTOCOL.model_copy(update={"solver": "pndm"})
    intervention = fitted_on(method, tiny, protocol=protocol)
    for images in of_each(lambda it: draw(tiny, it, protocol=protocol), intervention):
        assert images.shape == (len(PROMPTS), protocol.height, protocol.width, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "concepts", [("construction worker",), occupations()], ids=["one of two words", "forty"]
)
def test_a_method_accepts_one_concept_and_forty(method, concepts, tiny):
    intervention = fitted_on(method, tiny, protocol=ONE_STEP, concepts=concepts, cells=GENDER)
    prompts = [f"a photo of a {concepts[0]}", f"a {concepts[-1]}"]

    def drawn(it):
        return draw(tiny, it, protocol=ONE_STEP, prompts=prompts, seeds=SEEDS[:2])

    for images in of_each(drawn, intervention):
        assert len({image.tobytes() for image in images}) == 2


def rejection(method, **task):
    """The message of the error that ``check`` raises; empty if it accepts the task."""
    try:
        method.check(**task)
    except EvenhandError as error:
        return str(error)
    return ""


def test_methods_reject_model_families_that_they_do_not_declare():
    for name, entry in sorted(METHODS.items()):
        method = entry.load()(**QUICK.get(name, {}))
        declared = method.info.architectures
        for family in () if "any" in declared else {"transformer", *FAMILIES} - {*declared}:
            message = rejection(method, family=family, cells=GENDER)
            assert name in message and f"not on {family!r}" in message, f"{name} on {family}: {message!r}"


def test_methods_reject_more_cells_than_they_support():
    for name, entry in sorted(METHODS.items()):
        method = entry.load()(**QUICK.get(name, {}))
        if method.max_cells is not None:
            family = method.info.architectures[0]
            message = rejection(method, family=family, cells=load_suite("mini").cells())
            assert f"at most {method.max_cells} cells" in message, f"{name}: {message!r}"


class Restricted(Method):
    """Supports two cells on SD 2.x only."""

    info = MethodInfo(
        name="restricted",
        version="1",
        title="",
        summary="",
        licence="",
        origin="",
        family="none",
        architectures=("sd2",),
        attributes="",
    )
    max_cells = 2

    def fit(self, task):
        raise AssertionError("fit was called")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("sd1", "method 'restricted' works on sd2, not on 'sd1'; choose another model"),
        (
            "sd2",
            "method 'restricted' balances at most 2 cells, not the 12 of gender x tone x age; balance fewer",
        ),
    ],
)
def test_a_method_is_not_fitted_to_a_rejected_task(family, message, families, tmp_path):
    sampler = Sampler(families[family], PROTOCOL)
    with pytest.raises(EvenhandError, match=message):
        fit(
            MethodUse("restricted", Restricted()),
            suite=load_suite("mini"),
            concepts=CONCEPTS,
            sample=CountedSample(sampler, ImageStore(tmp_path / "images"), "t", Progress(quiet=True)),
            judge=CountedJudge(None, None),
            folder=tmp_path / "restricted",
        )
    assert not (tmp_path / "restricted").exists()
