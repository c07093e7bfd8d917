"""The method that is checked, its small task on the bundled model, and its fits."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.models.loading import load_model, open_sampler
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.models.unet import UNetModel, as_unet_model
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.registry.method_spec import MethodUse, parse_method
from evenhand.bench.stages.fit import CountedJudge, CountedSample
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import Protocol, Suite, load_suite
from evenhand.methods.base import Cell, Intervention, Method, Task
from evenhand.methods.shared.training import one_thread
from evenhand.metrics.vision.encoder import load_encoder
from evenhand.metrics.vision.segmentation import load_segmenter

SUITE = "mini-dev"
"""The suite whose parameters a method gets by name."""

CONCEPTS = ("auditor", "construction worker")
"""Concepts of the task: one word, and two."""

PROTOCOL = Protocol(version="check", solver="ddim", steps=3, guidance=2.5, width=64, height=64, batch=4)
"""Few steps, because images are compared with each other, not judged."""


@dataclass(frozen=True)
class Fit:
    """A fit of the subject, and what it used.

    Attributes:
        intervention: What ``fit`` returned.
        used: Images drawn, images judged, and images passed through the U-Net in training.
    """

    intervention: Intervention
    used: dict[str, int]


@dataclass(frozen=True)
class Subject:
    """A method and its task.

    Attributes:
        use: The method with its parameters.
        origin: Where its class comes from.
    """

    use: MethodUse
    origin: str

    @property
    def method(self) -> Method:
        """The method."""
        return self.use.method

    @cached_property
    def model(self) -> UNetModel:
        """The bundled model."""
        return as_unet_model(load_model("mini"))

    @cached_property
    def sampler(self) -> BatchSampler:
        """Draws with the bundled model."""
        return open_sampler(self.model, PROTOCOL)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of two attributes, or of one if the method balances no more."""
        several = cells_of("gender", "age")
        most = self.method.max_cells
        return several if most is None or most >= len(several) else cells_of("gender")

    @cached_property
    def fitted(self) -> Fit:
        """A fit that the checks share."""
        return self.fit(self.method)

    def fit(
        self, method: Method, *, concepts: Sequence[str] = CONCEPTS, cells: Sequence[Cell] | None = None
    ) -> Fit:
        """A fit from scratch, with the same random stream each time.

        Raises:
            EvenhandError: The method refuses the task.
        """
        chosen = tuple(self.cells if cells is None else cells)
        self.model.check_method(method, cells=chosen)
        judge = method.steering_judge
        before = self.model.evaluations
        with tempfile.TemporaryDirectory() as folder:
            store = ImageStore(Path(folder))
            protocol = PROTOCOL.model_dump_json()
            sample = CountedSample(self.sampler, store, protocol, Progress(quiet=True))
            sample = sample.with_steps(method.fit_steps)
            counted = CountedJudge(judge, load_judge(judge) if judge else None)
            task = Task(
                model=self.model,
                concepts=tuple(concepts),
                cells=chosen,
                target=np.full((len(concepts), len(chosen)), 1 / len(chosen)),
                rng=np.random.default_rng(0),
                sample=sample,
                judge=counted,
                image_features=load_scorer("mini").embed,
                clip=load_scorer("mini"),
                encoder=load_encoder,
                person_masks=load_segmenter,
            )
            with one_thread():
                intervention = method.fit(task)
        used = {"images": sample.images, "judgements": counted.judgements}
        return Fit(intervention, used | {"evaluations": self.model.evaluations - before})

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], intervention: Intervention | None = None
    ) -> list[NDArray[np.int64]]:
        """Images of the prompts, one per seed, as integers: from the model, or from that of every concept."""
        variants: list[Intervention | None] = [intervention]
        if intervention is not None and intervention.concept_weights:
            variants = [Intervention(weights=weights) for weights in intervention.concept_weights.values()]
        drawn = [self.sampler(prompts, seeds, intervention=variant) for variant in variants]
        return [images.astype(np.int64) for images in drawn]

    def state(self) -> tuple[list[torch.Tensor], int]:
        """Every parameter of the model, and the number of hooks on it."""
        networks = [self.model.unet, self.model.vae, *(encoder for _, encoder in self.model.text_encoders)]
        values = [value.clone() for network in networks for value in network.state_dict().values()]
        modules = [module for network in networks for module in network.modules()]
        return values, sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)

    @contextmanager
    def counted_rows(self) -> Iterator[list[int]]:
        """Collects the number of rows of each pass through the U-Net, including every branch of guidance."""
        seen: list[int] = []

        def note(module: object, inputs: tuple[torch.Tensor, ...], keywords: dict[str, torch.Tensor]) -> None:
            seen.append(len(inputs[0] if inputs else keywords["sample"]))

        handle = self.model.unet.register_forward_pre_hook(note, with_kwargs=True)
        try:
            yield seen
        finally:
            handle.remove()


def cells_of(*attributes: str) -> tuple[Cell, ...]:
    """The joint cells of attributes of the suite."""
    return _suite().model_copy(update={"balance": attributes}).cells()


def subject_of(text: str) -> Subject:
    """The installed method that ``text`` names, with its parameters for the suite ``mini-dev``.

    Raises:
        EvenhandError: The method or a parameter is unknown, or its package fails to load.
    """
    use = parse_method(text, suite=_suite())
    entry = METHODS.entries()[use.name]
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return Subject(use, f"{entry.value} of {package}")


def subject_at(place: str) -> Subject:
    """The method class in a Python file, with its default parameters.

    Args:
        place: ``file.py:Class``, or ``file.py`` if the file defines one method class. The file is executed.

    Raises:
        EvenhandError: The file fails to load, or has no such class.
    """
    file, _, name = place.partition(".py:")
    path = Path(file if name else place).with_suffix(".py")
    found = _classes(path)
    if name and name not in found:
        raise unknown(f"method class of {path}:", name, found)
    if not name and len(found) != 1:
        raise EvenhandError(
            f"{path} defines {len(found)} method classes ({', '.join(found) or 'none'}); write {path}:CLASS"
        )
    cls = found[name] if name else next(iter(found.values()))
    return Subject(parse_method(cls, suite=_suite()), str(path))


def _classes(path: Path) -> dict[str, type[Method]]:
    """The method classes that a file defines, by name."""
    if not path.is_file():
        raise EvenhandError(f"{path}: no such file; give a Python file with a method class")
    if path.stem in sys.stdlib_module_names or path.stem in packages_distributions():
        raise EvenhandError(
            f"{path}: {path.stem} is the name of a module that this environment has; rename the file"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise EvenhandError(f"{path}: not a Python file; give one with a method class")
    module = importlib.util.module_from_spec(spec)
    # The digest of its code and its neighbours' imports look it up by name.
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as fault:  # the code of the author may fail in any way
        raise EvenhandError(f"{path} fails to load: {type(fault).__name__}: {fault}") from fault
    finally:
        sys.path.pop(0)
    members = inspect.getmembers(module, inspect.isclass)
    return {name: cls for name, cls in members if issubclass(cls, Method) and cls.__module__ == path.stem}


def _suite() -> Suite:
    return load_suite(SUITE)
