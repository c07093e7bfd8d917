"""Workers: fit methods, and generate or judge blocks of images, into the run folder."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model_of, open_sampler, quiet_loaders
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.models.unet import Model
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.stages.fit import fit_in_run
from evenhand.bench.stages.generate import Drawing, Job
from evenhand.bench.stages.label import embed_images, judge_images
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.write import PACKAGES
from evenhand.bench.storage.fits import fit_folder
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.audit_config import Audit
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite
from evenhand.methods.base import Method
from evenhand.methods.saving import load


@dataclass(frozen=True)
class Assignment:
    """The run of a worker; workers read everything else from the run folder.

    Attributes:
        run: Absolute path of the run folder; must be the same on all machines.
        working_folder: The folder that relative paths in the suite refer to.
        revision: Revision of the model; must be the same on all machines.
        methods: Labels of methods to their classes.
        steering: Labels of methods to their steering judges, or ``None``.
        packages: Versions of packages that can change images or labels.
    """

    run: Path
    working_folder: Path = field(default_factory=Path.cwd)
    revision: str = ""
    methods: Mapping[str, type[Method]] = field(default_factory=dict)
    steering: Mapping[str, str | None] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=lambda: {name: version(name) for name in PACKAGES})


@dataclass(frozen=True, eq=False)
class DrawBlock:
    """Missing images of one method and variant."""

    method: str
    variant: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, eq=False)
class JudgeBlock:
    """Existing images with missing labels or embeddings.

    Attributes:
        method: The method of the images.
        labels: Judges to the keys of images that they have not labelled.
        vectors: Keys of images without an embedding.
    """

    method: str
    labels: Mapping[str, tuple[str, ...]]
    vectors: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FitBlock:
    """A method without a stored fit.

    Attributes:
        method: The label of the method.
        use: The method.
        concepts: The concepts to balance.
    """

    method: str
    use: MethodUse
    concepts: tuple[str, ...]


Block = DrawBlock | JudgeBlock | FitBlock


@dataclass(frozen=True)
class Done:
    """The result of a block.

    Attributes:
        seconds: Duration.
        statuses: Statuses of the generated images by key.
    """

    seconds: float = 0.0
    statuses: Mapping[str, str] = field(default_factory=dict)


class WorkerFaultError(RuntimeError):
    """An unexpected exception in a worker; the message is its traceback."""


class Worker:
    """Processes blocks, one after the other; loads model and judges when first needed.

    Args:
        assignment: The run.
        cores: Number of cores that the worker may use.
    """

    def __init__(self, assignment: Assignment, *, cores: int) -> None:
        self._assignment = assignment
        self._cores = cores
        self._drawing = cache(self._load_drawing)

    def answer(self, block: Block) -> Done | Exception:
        """Process a block. Exceptions are returned, not raised, since not all of them can be pickled."""
        try:
            return self._process(block)
        except EvenhandError as fault:
            return fault
        except Exception:
            return WorkerFaultError(traceback.format_exc())

    def _process(self, block: Block) -> Done:
        """Process a block; repeating it, as after a loss, gives the same bytes."""
        started = time.monotonic()
        self._prepare()
        # As in the run process: the number of threads changes the last bits of linear algebra.
        with quiet_loaders(), threadpool_limits(1, user_api="blas"):
            done = self._done(block)
        return replace(done, seconds=time.monotonic() - started)

    def _done(self, block: Block) -> Done:
        if isinstance(block, FitBlock):
            return self._fit(block)
        return Done(statuses=self._draw(block) if isinstance(block, DrawBlock) else self._judge(block))

    def _prepare(self) -> None:
        """Check this machine, and change to the working folder of the run."""
        _check_machine(self._assignment)
        os.chdir(self._assignment.working_folder)
        torch.set_num_threads(self._cores)

    def _fit(self, block: FitBlock) -> Done:
        fit_in_run(
            block.use,
            suite=self._suite,
            concepts=block.concepts,
            sampler=self._sampler,
            evaluation=self._evaluation,
            progress=Progress(quiet=True),
        )
        return Done()

    def _draw(self, block: DrawBlock) -> dict[str, str]:
        statuses: dict[str, str] = {}
        self._drawing(block.method).draw_all(
            block.jobs, variant=block.variant, store=self._store, done=statuses.update
        )
        return statuses

    def _judge(self, block: JudgeBlock) -> dict[str, str]:
        evaluation = self._evaluation
        judge_images(
            evaluation.judges,
            block.labels,
            attributes=evaluation.evaluation_config.attributes,
            store=self._store,
            table=self._run_folder.labels,
            progress=Progress(quiet=True),
        )
        if block.vectors and evaluation.scorer is not None:
            embed_images(
                evaluation.scorer,
                keys=block.vectors,
                store=self._store,
                table=self._run_folder.vectors,
                progress=Progress(quiet=True),
            )
        return {}

    @cached_property
    def _run_folder(self) -> RunFolder:
        return RunFolder(self._assignment.run)

    @cached_property
    def _store(self) -> ImageStore:
        return self._run_folder.images

    @cached_property
    def _suite(self) -> Suite:
        spec = self._run_folder.spec()
        if not isinstance(spec, Suite):
            raise EvenhandError(
                f"{self._assignment.run} is an audit of external images; nothing can be generated"
            )
        return spec

    @cached_property
    def _model(self) -> Model:
        model = load_model_of(self._suite)
        if model.revision != self._assignment.revision:
            raise EvenhandError(
                f"model {model.name!r} has revision {model.revision[:8]} on the machine of a worker, not "
                f"{self._assignment.revision[:8]}; use the same files on all machines"
            )
        return model

    @cached_property
    def _sampler(self) -> BatchSampler:
        return open_sampler(self._model, self._suite.protocol, cores=self._cores)

    def _load_drawing(self, label: str) -> Drawing:
        sampler = self._sampler
        folder = fit_folder(self._run_folder.root, label)
        fitted = load(folder, self._assignment.methods[label])
        return Drawing(fitted, sampler=sampler, protocol=self._suite.protocol.model_dump_json())

    @cached_property
    def _evaluation(self) -> Evaluation:
        spec = self._run_folder.spec()
        return Evaluation(
            spec if isinstance(spec, Audit) else EvaluationConfig.of(spec),
            self._run_folder,
            Progress(quiet=True),
            steering=self._assignment.steering,
        )


def _check_machine(assignment: Assignment) -> None:
    for folder in (assignment.run, assignment.working_folder):
        if not folder.is_dir():
            raise EvenhandError(
                f"the machine of a worker has no folder {folder}; use folders that all machines share"
            )
    for name, expected in assignment.packages.items():
        if (found := version(name)) != expected:
            raise EvenhandError(
                f"the machine of a worker has {name} {found}, this one {expected}; versions may "
                "change images, "
                "so install the same packages on all machines"
            )
