"""Prefetching: splits missing fits, images and labels into blocks and gives them to a worker pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TypeVar

from evenhand.bench.engines.worker import Block, Done, DrawBlock, FitBlock, JudgeBlock
from evenhand.bench.engines.worker_pool import Scheduler, WorkerPool
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.stages.generate import Job, by_variant
from evenhand.bench.stages.label import CHUNK
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.storage.fits import fit_folder, fit_identity, is_fit_stored
from evenhand.bench.storage.run_folder import Phase
from evenhand.bench.suites.suite import Suite
from evenhand.metrics.table import PERSON_KINDS

T = TypeVar("T")

Spend = Callable[[Phase, str, float], None]
"""Called with a phase, a method and the seconds that a worker spent on it."""

BLOCKS_PER_WORKER = 4
"""Minimum number of blocks per worker, so that all workers finish at about the same time."""

Kinds = Mapping[str, str]
"""Keys of images to the kinds of their prompts."""


@dataclass(frozen=True)
class FitPrefetch:
    """Prefetches missing fits of a run, several methods at the same time.

    Attributes:
        suite: The suite.
        concepts: The concepts to balance.
        revision: Revision of the model.
        evaluation: The evaluation of the run.
        spend: Called for every finished fit.
    """

    suite: Suite
    concepts: tuple[str, ...]
    revision: str
    evaluation: Evaluation
    spend: Spend

    def missing(self, uses: Iterable[MethodUse]) -> list[MethodUse]:
        """The methods that have no stored fit, without those whose fit draws and trains nothing."""
        return [use for use in uses if self._costs(use) and not self._is_stored(use)]

    def make(self, pool: WorkerPool, uses: Iterable[MethodUse]) -> None:
        """Fit every method, each in one worker.

        Raises:
            EvenhandError: See :meth:`Scheduler.run`.
        """
        blocks = [FitBlock(use.label, use, self.concepts) for use in uses]
        progress = self.evaluation.progress

        def done(block: Block, result: Done) -> None:
            self.spend("fit_seconds", block.method, result.seconds)
            progress.advance(1)

        progress.start("all methods: fit", len(blocks))
        Scheduler(pool, following=lambda block: None, done=done).run(draw=blocks)
        progress.finish()

    def _costs(self, use: MethodUse) -> bool:
        budget = use.method.budget(concepts=len(self.concepts), cells=self.suite.cells())
        return bool(budget.images or budget.evaluations)

    def _is_stored(self, use: MethodUse) -> bool:
        identity = fit_identity(
            use,
            suite=self.suite,
            concepts=self.concepts,
            model=self.revision,
            protocol=self.suite.protocol.model_dump_json(),
        )
        folder = fit_folder(self.evaluation.run_folder.root, use.label)
        return is_fit_stored(folder, use, identity)


@dataclass
class JudgePrefetch:
    """Prefetches missing labels and embeddings of existing images.

    Attributes:
        evaluation: The evaluation of the run.
        spend: Called for every finished block.
    """

    evaluation: Evaluation
    spend: Spend

    def make(self, pool: WorkerPool, images: Mapping[str, Kinds]) -> None:
        """Judge all images of all methods; shared images count for the first method.

        Raises:
            EvenhandError: See :meth:`Scheduler.run`.
        """
        first = _first_methods(images)
        blocks = [block for method, kinds in _by_method(first, first) for block in self._split(method, kinds)]
        self._run(pool, title="all images: judge", judge=blocks)

    def _run(
        self, pool: WorkerPool, *, title: str, judge: Sequence[JudgeBlock], draw: Sequence[DrawBlock] = ()
    ) -> None:
        following = [following for block in draw if (following := self._following(block)) is not None]
        every: list[Block] = [*draw, *following, *judge]
        progress = self.evaluation.progress
        progress.start(title, sum(map(_units, every)))
        Scheduler(pool, following=self._following, done=self._done).run(draw=draw, judge=judge)
        progress.finish()

    def _split(self, method: str, kinds: Kinds) -> Iterator[JudgeBlock]:
        """Split images into judging blocks; images that lack nothing are skipped."""
        keys = list(kinds)
        for start in range(0, len(keys), CHUNK):
            part = {key: kinds[key] for key in keys[start : start + CHUNK]}
            if (block := self._judge_block(method, part)) is not None:
                yield block

    def _following(self, block: DrawBlock) -> JudgeBlock | None:
        return self._judge_block(block.method, _kinds(block.jobs))

    def _judge_block(self, method: str, kinds: Kinds) -> JudgeBlock | None:
        """The block of the missing labels and embeddings of these images, if any."""
        people = [key for key, kind in kinds.items() if kind in PERSON_KINDS]
        labels = {
            judge: tuple(key for key in people if key not in known) for judge, known in self._labelled.items()
        }
        vectors = tuple(key for key in kinds if key not in self._embedded)
        labels = {judge: keys for judge, keys in labels.items() if keys}
        if self.evaluation.scorer is None:
            vectors = ()
        return JudgeBlock(method, labels, vectors) if labels or vectors else None

    @cached_property
    def _labelled(self) -> dict[str, set[str]]:
        return self.evaluation.labelled()

    @cached_property
    def _embedded(self) -> set[str]:
        return self.evaluation.embedded()

    def _done(self, block: Block, done: Done) -> None:
        phase: Phase = "generate_seconds" if isinstance(block, DrawBlock) else "judge_seconds"
        self.spend(phase, block.method, done.seconds)
        self.evaluation.run_folder.images.remember(done.statuses)
        self.evaluation.progress.advance(_units(block))


@dataclass
class DrawPrefetch(JudgePrefetch):
    """Prefetches missing images of a run, and missing labels and embeddings.

    Attributes:
        batch: Batch size of the sampler.
    """

    batch: int

    def make_all(self, pool: WorkerPool, jobs: Mapping[str, Sequence[Job]]) -> None:
        """Generate and judge the images of all methods; shared images count for the first method.

        Raises:
            EvenhandError: See :meth:`Scheduler.run`.
        """
        first = _first_methods({method: {job.key: job for job in listed} for method, listed in jobs.items()})
        existing = self.evaluation.run_folder.images.statuses(first).keys()
        draw = list(self._draw_blocks(first, first.keys() - existing, workers=pool.size()))
        judge = [
            block
            for method, known in _by_method(first, existing)
            for block in self._split(method, _kinds(known.values()))
        ]
        self._run(pool, title="all methods: generate and judge", judge=judge, draw=draw)

    def _draw_blocks(
        self, first: Mapping[str, tuple[str, Job]], missing: Set[str], *, workers: int
    ) -> Iterator[DrawBlock]:
        batches = math.ceil(len(missing) / (workers * BLOCKS_PER_WORKER * self.batch))
        size = self.batch * max(1, min(batches, CHUNK // self.batch))
        for method, jobs in _by_method(first, missing):
            for variant, group in by_variant(jobs.values()):
                for start in range(0, len(group), size):
                    yield DrawBlock(method, variant, tuple(group[start : start + size]))


def _first_methods(images: Mapping[str, Mapping[str, T]]) -> dict[str, tuple[str, T]]:
    """Keys to the first method with this image, and the value of the image for this method."""
    found: dict[str, tuple[str, T]] = {}
    for method, values in images.items():
        for key, value in values.items():
            found.setdefault(key, (method, value))
    return found


def _by_method(
    first: Mapping[str, tuple[str, T]], chosen: Container[str]
) -> Iterator[tuple[str, dict[str, T]]]:
    """The chosen images, grouped by method."""
    rows = ((method, key, value) for key, (method, value) in first.items() if key in chosen)
    for method, group in groupby(rows, key=lambda row: row[0]):
        yield method, {key: value for _, key, value in group}


def _kinds(jobs: Iterable[Job]) -> Kinds:
    return {job.key: job.item.prompt.kind for job in jobs}


def _units(block: Block) -> int:
    """Number of images generated, labelled by a judge or embedded."""
    if isinstance(block, FitBlock):
        return 0
    if isinstance(block, DrawBlock):
        return len(block.jobs)
    return sum(map(len, block.labels.values())) + len(block.vectors)
