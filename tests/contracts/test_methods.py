"""What holds for every registered method: on the bundled model, and on each family it declares."""

import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
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
from evenhand.methods.base import Intervention, Method, MethodInfo, Task, load, save

QUICK = tomllib.loads((DATA / "quick_parameters.toml").read_text())
METHODS = {
    entry.name: entry
    for entry in entry_points(group="evenhand.methods")
    if entry.value.startswith("evenhand.")
}
MINI_PROTOCOL = Protocol(version="t", solver="ddim", steps=3, guidance=2.5, width=64, height=64, batch=4)
CONCEPTS = ("nurse", "construction worker")
PROMPTS = ["a photo of a nurse", "a photo of a female nurse", "a photo of a cat", "a construction worker"]
SEEDS = [1, 2, 3, 4]
FAMILIES = ("sd1", "sd2", "sdxl")
ONE_STEP = PROTOCOL.model_copy(update={"steps": 1, "batch": 8})

ONE_LEVEL: dict[str, str] = {}
"""Methods whose images at zero strength may differ from the base's by one level of 255, and why."""


class TinyClip:
    """The bundled CLIP, with a random projection that stands for that of a random text encoder."""

    features = staticmethod(load_scorer("mini").features)

    @staticmethod
    def text_projection(encoder):
        return torch.randn(128, encoder.config.hidden_size, generator=torch.Generator().manual_seed(0))


class Counted:
    """The sampler with a count of the images that a method asks for."""

    def __init__(self, sampler):
        self.sampler, self.images = sampler, 0

    def __call__(self, prompts, seeds, *, intervention=None, negative_prompt=""):
        self.images += len(prompts)
        return self.sampler(prompts, seeds, intervention=intervention, negative_prompt=negative_prompt)


def task_on(model, *, protocol=PROTOCOL, concepts=CONCEPTS, cells=JOINT, seed=0):
    """A real task: real images, the real steering judge, both counted."""
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
    """The cells, or two where the method takes no more; skips what it refuses by its own conditions."""
    cells = GENDER if method.max_cells == 2 else cells
    try:
        method.check(family=model.family, cells=cells)
    except EvenhandError as refusal:
        pytest.skip(str(refusal))
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


@dataclass
class Fit:
    """A fit on the tiny model, with what it used and the model's state before it."""

    task: Task
    intervention: Intervention
    evaluations: int


@pytest.fixture(scope="module")
def fitted(method, tiny):
    """One concept's fit is shared by the tests that only look at what came out of it."""
    task = task_on(tiny, cells=supported(method, tiny, JOINT))
    before = tiny.evaluations
    intervention = method.fit(task)
    return Fit(task, intervention, tiny.evaluations - before)


def draw(model, intervention=None, *, protocol=PROTOCOL, prompts=PROMPTS, seeds=SEEDS):
    return Sampler(model, protocol)(prompts, seeds, intervention=intervention)


def of_each(images, intervention):
    """The images, of each concept's own model where there is one for each."""
    if not intervention.concept_weights:
        return [images(intervention)]
    return [images(Intervention(weights=weights)) for weights in intervention.concept_weights.values()]


def largest_difference(first, second):
    return int(np.abs(first.astype(int) - second).max())


def networks(model):
    return [model.unet, model.vae, *(encoder for _, encoder in model.text_encoders)]


def state(model):
    """Every parameter, and how many hooks hang on the networks."""
    values = [value.clone() for network in networks(model) for value in network.state_dict().values()]
    modules = chain.from_iterable(network.modules() for network in networks(model))
    return values, sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)


@contextmanager
def counted_rows(unet):
    """Counts the images that pass through the U-Net, every branch of guidance on its own."""
    seen = SimpleNamespace(rows=0)

    def hook(module, inputs, keywords):
        seen.rows += len(inputs[0] if inputs else keywords["sample"])

    handle = unet.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def test_stored_and_reloaded_it_draws_the_same_images_in_any_order(method, mini, tmp_path):
    fitted = fitted_on(method, mini, protocol=MINI_PROTOCOL)
    save(fitted, tmp_path)
    again = load(tmp_path, type(method))
    assert again.digest() == fitted.digest()
    first = draw(mini, fitted, protocol=MINI_PROTOCOL)
    turned = draw(mini, again, protocol=MINI_PROTOCOL, prompts=PROMPTS[::-1], seeds=SEEDS[::-1])[::-1]
    assert largest_difference(first, turned) <= 1
    assert again.digest() == fitted.digest()


def test_fitting_and_drawing_leave_the_model_as_it_was_bit_for_bit(method, fitted, tiny):
    values, hooks = state(tiny)
    plain = draw(tiny)
    draw(tiny, fitted.intervention)
    method.fit(task_on(tiny, cells=fitted.task.cells))
    assert (draw(tiny) == plain).all()
    after, hooks_after = state(tiny)
    assert hooks_after == hooks
    assert all(torch.equal(a, b) for a, b in zip(values, after, strict=True))


def test_fitting_twice_gives_the_same_intervention_and_images(method, fitted, tiny):
    again = method.fit(task_on(tiny, cells=fitted.task.cells))
    assert again.digest() == fitted.intervention.digest()
    assert (draw(tiny, again) == draw(tiny, fitted.intervention)).all()


def test_a_fit_costs_what_the_method_declares(method, fitted):
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


def test_a_image_costs_the_branches_that_the_method_declares(method, fitted, tiny):
    declared = method.budget(concepts=len(CONCEPTS), cells=fitted.task.cells)
    prompts = ["a photo of a nurse", "a photo of a construction worker"]
    with counted_rows(tiny.unet) as seen:
        draw(tiny, fitted.intervention, prompts=prompts, seeds=SEEDS[:2])
    branches = seen.rows / (len(prompts) * PROTOCOL.steps) - 2
    assert 0 <= branches <= declared.branches
    if declared.exact:
        assert branches == declared.branches


def test_zero_strength_is_the_base_model(method, tiny):
    if method.strength is None:
        pytest.skip(f"{method.info.name} has no strength")
    zero = type(method)(**(method.model_dump() | {method.strength: 0}))
    allowed = 1 if method.info.name in ONE_LEVEL else 0
    for images in of_each(lambda it: draw(tiny, it), fitted_on(zero, tiny)):
        assert largest_difference(images, draw(tiny)) <= allowed


@pytest.mark.parametrize(
    ("family", "cells"),
    [("sd1", GENDER), ("sd2", JOINT), ("sdxl", JOINT)],
    ids=["sd1, one attribute", "sd2, joint cells", "sdxl, joint cells"],
)
def test_a_method_works_on_every_family_it_declares(method, family, cells, families):
    intervention = fitted_on(method, families[family], concepts=("nurse",), cells=cells)
    for images in of_each(lambda it: draw(families[family], it), intervention):
        assert images.shape == (4, 32, 32, 3)


@pytest.mark.parametrize(
    "concepts", [("construction worker",), occupations()], ids=["one of two words", "forty"]
)
def test_a_method_takes_one_concept_and_forty(method, concepts, tiny):
    intervention = fitted_on(method, tiny, protocol=ONE_STEP, concepts=concepts, cells=GENDER)
    prompts = [f"a photo of a {concepts[0]}", f"a {concepts[-1]}"]

    def drawn(it):
        return draw(tiny, it, protocol=ONE_STEP, prompts=prompts, seeds=SEEDS[:2])

    for images in of_each(drawn, intervention):
        assert len({image.tobytes() for image in images}) == 2


def test_what_is_beyond_a_method_is_refused_in_one_sentence(method):
    if "any" not in method.info.architectures:
        with pytest.raises(EvenhandError, match=f"{method.info.name}.*not on 'transformer'"):
            method.check(family="transformer", cells=GENDER)
        for family in set(FAMILIES) - {*method.info.architectures}:
            with pytest.raises(EvenhandError, match=f"{method.info.name}.*not on {family!r}"):
                method.check(family=family, cells=GENDER)
    if method.max_cells is not None:
        with pytest.raises(EvenhandError, match=f"{method.info.name}.*at most {method.max_cells} cells"):
            method.check(family=method.info.architectures[0], cells=load_suite("mini").cells())


class Choosy(Method):
    """Two cells on SD 2.x, and nothing else."""

    info = MethodInfo(
        name="choosy",
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
        raise AssertionError("it was fitted all the same")


@pytest.mark.parametrize(
    ("family", "fault"),
    [
        ("sd1", "method 'choosy' works on sd2, not on 'sd1'; choose another model"),
        ("sd2", "method 'choosy' balances at most 2 cells, not the 12 of gender x tone x age; balance fewer"),
    ],
)
def test_a_refused_method_is_not_fitted(family, fault, families, tmp_path):
    sampler = Sampler(families[family], PROTOCOL)
    with pytest.raises(EvenhandError, match=fault):
        fit(
            MethodUse("choosy", Choosy()),
            suite=load_suite("mini"),
            concepts=CONCEPTS,
            sample=CountedSample(sampler, ImageStore(tmp_path / "images"), "t", Progress(quiet=True)),
            judge=CountedJudge(None, None),
            folder=tmp_path / "choosy",
        )
    assert not (tmp_path / "choosy").exists()
