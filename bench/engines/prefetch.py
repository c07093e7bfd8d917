"""Working ahead: what is still to be drawn and judged, cut into blocks and given to a pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TypeVar

from evenhand.bench.engines.worker import Block, Done, DrawBlock, JudgeBlock
from evenhand.bench.engines.worker_pool import Flow, WorkerPool
from evenhand.bench.stages.generate import Job, by_variant
from evenhand.bench.stages.label import CHUNK
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.storage.run_folder import Phase
from evenhand.metrics.table import PERSON_KINDS

T = TypeVar("T")

ROUNDS = 4
"""Blocks for each worker at least, so that all of them end at about the same time."""

Kinds = Mapping[str, str]
"""Key of an image to the kind of its prompt."""


@dataclass
class JudgePrefetch:
    """Images that are there, and what they lack of labels and vectors.

    Attributes:
        evaluation: How they are judged.
        spend: Told of a phase, a method and the seconds that a worker spent on it.
    """

    evaluation: Evaluation
    spend: Callable[[Phase, str, float], None]

    def make(self, pool: WorkerPool, images: Mapping[str, Kinds]) -> None:
        """Judge all of the images of every method; one of several methods is judged for the first.

        Raises:
            EvenhandError: As :meth:`Flow.run`.
        """
        wanted = _wanted(images)
        blocks = [block for method, kinds in _by_method(wanted, wanted) for block in self._cut(method, kinds)]
        self._flow(pool, title="all images: judge", judge=blocks)

    def _flow(
        self, pool: WorkerPool, *, title: str, judge: Sequence[JudgeBlock], draw: Sequence[DrawBlock] = ()
    ) -> None:
        rest = [follow for block in draw if (follow := self._then(block)) is not None]
        every: list[Block] = [*draw, *rest, *judge]
        progress = self.evaluation.progress
        progress.start(title, sum(map(_units, every)))
        Flow(pool, then=self._then, done=self._done).run(draw=draw, judge=judge)
        progress.finish()

    def _cut(self, method: str, kinds: Kinds) -> Iterator[JudgeBlock]:
        """Blocks of these images, without those that lack nothing."""
        keys = list(kinds)
        for start in range(0, len(keys), CHUNK):
            part = {key: kinds[key] for key in keys[start : start + CHUNK]}
            if (block := self._judging(method, part)) is not None:
                yield block

    def _then(self, block: DrawBlock) -> JudgeBlock | None:
        return self._judging(block.method, _kinds(block.jobs))

    def _judging(self, method: str, kinds: Kinds) -> JudgeBlock | None:
        """What these images lack, if anything."""
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
        self.evaluation.work.images.remember(done.statuses)
        self.evaluation.progress.advance(_units(block))


@dataclass
class DrawPrefetch(JudgePrefetch):
    """The missing part of a run: images, and what those that are there lack.

    Attributes:
        batch: Images of one batch of the sampler.
    """

    batch: int

    def make_all(self, pool: WorkerPool, jobs: Mapping[str, Sequence[Job]]) -> None:
        """Draw and judge all jobs of every method; an image of several methods is made for the first.

        Raises:
            EvenhandError: As :meth:`Flow.run`.
        """
        wanted = _wanted({method: {job.key: job for job in listed} for method, listed in jobs.items()})
        there = self.evaluation.work.images.statuses(wanted).keys()
        draw = list(self._draw_blocks(wanted, wanted.keys() - there, workers=pool.size("draw")))
        judge = [
            block
            for method, known in _by_method(wanted, there)
            for block in self._cut(method, _kinds(known.values()))
        ]
        self._flow(pool, title="all methods: generate and judge", judge=judge, draw=draw)

    def _draw_blocks(
        self, wanted: Mapping[str, tuple[str, Job]], missing: Set[str], *, workers: int
    ) -> Iterator[DrawBlock]:
        batches = math.ceil(len(missing) / (workers * ROUNDS * self.batch))
        size = self.batch * max(1, min(batches, CHUNK // self.batch))
        for method, jobs in _by_method(wanted, missing):
            for variant, group in by_variant(jobs.values()):
                for start in range(0, len(group), size):
                    yield DrawBlock(method, variant, tuple(group[start : start + size]))


def _wanted(images: Mapping[str, Mapping[str, T]]) -> dict[str, tuple[str, T]]:
    """Key to the first method that needs the image, and what is known of it there."""
    found: dict[str, tuple[str, T]] = {}
    for method, known in images.items():
        for key, one in known.items():
            found.setdefault(key, (method, one))
    return found


def _by_method(
    wanted: Mapping[str, tuple[str, T]], chosen: Container[str]
) -> Iterator[tuple[str, dict[str, T]]]:
    """The images of each method whose key is chosen."""
    rows = ((method, key, one) for key, (method, one) in wanted.items() if key in chosen)
    for method, group in groupby(rows, key=lambda row: row[0]):
        yield method, {key: one for _, key, one in group}


def _kinds(jobs: Iterable[Job]) -> Kinds:
    return {job.key: job.item.prompt.kind for job in jobs}


def _units(block: Block) -> int:
    """Images drawn, labelled by a judge or embedded."""
    if isinstance(block, DrawBlock):
        return len(block.jobs)
    return sum(map(len, block.labels.values())) + len(block.vectors)
