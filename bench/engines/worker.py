"""What a worker does: it draws blocks of planned images, or judges them, into the run's folder."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model, open_sampler, quiet_loaders
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.models.unet import Model
from evenhand.bench.stages.generate import Drawing, Job
from evenhand.bench.stages.label import embed_images, judge_images
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.write import PACKAGES
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.files import folder_name
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.audit_config import Audit
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite
from evenhand.methods.base import Method, load


@dataclass(frozen=True)
class Assignment:
    """The run that workers work for; all else they read in its folder.

    Attributes:
        run: The run's folder, absolute; every worker must see it there.
        place: The working folder that relative paths of the suite start from.
        revision: Revision of the model, which every worker must find too.
        methods: Label of each method to its class.
        steering: Label of each method to the judge in its loop, or ``None``.
        packages: Versions that can change an image or a label.
    """

    run: Path
    place: Path = field(default_factory=Path.cwd)
    revision: str = ""
    methods: Mapping[str, type[Method]] = field(default_factory=dict)
    steering: Mapping[str, str | None] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=lambda: {name: version(name) for name in PACKAGES})


@dataclass(frozen=True, eq=False)
class DrawBlock:
    """Planned images of one method and variant that are missing."""

    method: str
    variant: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, eq=False)
class JudgeBlock:
    """Images that are there, and what they lack.

    Attributes:
        method: The method whose images they are.
        labels: Judge to the keys that it has not labelled.
        vectors: Keys without a vector.
    """

    method: str
    labels: Mapping[str, tuple[str, ...]]
    vectors: tuple[str, ...] = ()


Block = DrawBlock | JudgeBlock


@dataclass(frozen=True)
class Done:
    """What came of a block.

    Attributes:
        seconds: What it took.
        statuses: Status of every image drawn, by key.
    """

    seconds: float
    statuses: Mapping[str, str] = field(default_factory=dict)


class WorkerFaultError(RuntimeError):
    """A fault of the code in a worker; its message is the worker's traceback."""


class Worker:
    """Does blocks, one after the other; model and judges are loaded when first needed.

    Args:
        assignment: The run.
        cores: Cores that this worker may use.
    """

    def __init__(self, assignment: Assignment, *, cores: int) -> None:
        self._assignment = assignment
        self._cores = cores
        self._drawing = cache(self._load_drawing)

    def answer(self, block: Block) -> Done | Exception:
        """Draw or judge a block; a fault is returned, since not every exception survives the way."""
        try:
            return self._do(block)
        except EvenhandError as fault:
            return fault
        except Exception:
            return WorkerFaultError(traceback.format_exc())

    def _do(self, block: Block) -> Done:
        """Done twice, as after a loss, a block leaves the same bytes."""
        begun = time.monotonic()
        self._settle()
        # As in the run's own process: the number of threads changes the last bits of linear algebra.
        with quiet_loaders(), threadpool_limits(1, user_api="blas"):
            statuses = self._draw(block) if isinstance(block, DrawBlock) else self._judge(block)
        return Done(time.monotonic() - begun, statuses)

    def _settle(self) -> None:
        """See that this machine can do the work, and stand where the run does."""
        _check_machine(self._assignment)
        os.chdir(self._assignment.place)
        torch.set_num_threads(self._cores)

    def _draw(self, block: DrawBlock) -> dict[str, str]:
        statuses: dict[str, str] = {}
        self._drawing(block.method).draw_all(
            block.jobs, variant=block.variant, store=self._store, done=statuses.update
        )
        return statuses

    def _judge(self, block: JudgeBlock) -> dict[str, str]:
        evaluation = self._evaluation
        for name, keys in block.labels.items():
            judge_images(
                evaluation.judges[name],
                keys=keys,
                attributes=evaluation.evaluation_config.attributes,
                store=self._store,
                table=self._work.labels,
                progress=Progress(quiet=True),
            )
        if block.vectors and evaluation.scorer is not None:
            embed_images(evaluation.scorer, keys=block.vectors, store=self._store, table=self._work.vectors)
        return {}

    @cached_property
    def _work(self) -> RunFolder:
        return RunFolder(self._assignment.run)

    @cached_property
    def _store(self) -> ImageStore:
        return self._work.images

    @cached_property
    def _suite(self) -> Suite:
        owner = self._work.spec()
        if not isinstance(owner, Suite):
            raise EvenhandError(f"{self._assignment.run} is an audit, whose images were made elsewhere")
        return owner

    @cached_property
    def _model(self) -> Model:
        model = load_model(self._suite.model, precision=self._suite.protocol.precision)
        if model.revision != self._assignment.revision:
            raise EvenhandError(
                f"model {model.name!r} is another one on a worker's machine ({model.revision[:8]}, not "
                f"{self._assignment.revision[:8]}); give all machines the same files"
            )
        return model

    @cached_property
    def _sampler(self) -> BatchSampler:
        return open_sampler(self._model, self._suite.protocol, cores=self._cores)

    def _load_drawing(self, label: str) -> Drawing:
        sampler = self._sampler
        folder = self._work.root / "interventions" / folder_name(label)
        fitted = load(folder, self._assignment.methods[label])
        return Drawing(fitted, sampler=sampler, protocol=self._suite.protocol.model_dump_json())

    @cached_property
    def _evaluation(self) -> Evaluation:
        owner = self._work.spec()
        return Evaluation(
            owner if isinstance(owner, Audit) else EvaluationConfig.of(owner),
            self._work,
            Progress(quiet=True),
            steering=self._assignment.steering,
        )


def _check_machine(assignment: Assignment) -> None:
    for folder in (assignment.run, assignment.place):
        if not folder.is_dir():
            raise EvenhandError(
                f"a worker's machine has no folder {folder}; run where all machines share the same folders"
            )
    for name, wanted in assignment.packages.items():
        if (found := version(name)) != wanted:
            raise EvenhandError(
                f"a worker's machine has {name} {found}, this one {wanted}, which may change images; "
                "install the same packages everywhere"
            )
