"""Working ahead: what a run's plan still lacks, cut into blocks and given to a crew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from evenhand.bench.engines.crew import Crew, Flow
from evenhand.bench.engines.worker import Block, Done, DrawBlock, JudgeBlock
from evenhand.bench.evaluation import Evaluation
from evenhand.bench.generate import Job, by_variant
from evenhand.bench.judging import CHUNK
from evenhand.bench.workspace import Phase
from evenhand.metrics.table import PERSON_KINDS

ROUNDS = 4
"""Blocks for each worker at least, so that all of them end at about the same time."""


@dataclass
class Ahead:
    """The missing part of a run.

    Attributes:
        jobs: Method to its planned pictures.
        evaluation: How they are judged.
        batch: Pictures of one batch of the sampler.
        spend: Told of a phase, a method and the seconds that a worker spent on it.
    """

    jobs: Mapping[str, Sequence[Job]]
    evaluation: Evaluation
    batch: int
    spend: Callable[[Phase, str, float], None]

    def make(self, crew: Crew) -> None:
        """Draw and judge all of it; a picture that several methods have in common is made for the first.

        Raises:
            EvenhandError: As :meth:`Flow.run`.
        """
        there = self.evaluation.work.pictures.statuses(self._wanted)
        draw = list(self._draw_blocks(there.keys(), workers=crew.size("draw")))
        judge = list(self._judge_blocks(there.keys()))
        rest = [follow for block in draw if (follow := self._then(block)) is not None]
        every: list[Block] = [*draw, *rest, *judge]
        progress = self.evaluation.progress
        progress.start("all methods: generate and judge", sum(map(_units, every)))
        Flow(crew, then=self._then, done=self._done).run(draw=draw, judge=judge)
        progress.finish()

    @cached_property
    def _wanted(self) -> dict[str, tuple[str, Job]]:
        """Key to the first method that needs the picture, and its job."""
        found: dict[str, tuple[str, Job]] = {}
        for method, jobs in self.jobs.items():
            for job in jobs:
                found.setdefault(job.key, (method, job))
        return found

    def _parts(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, list[Job]]]:
        """The jobs of each method whose key is wanted."""
        chosen = (pair for key, pair in self._wanted.items() if wanted(key))
        for method, pairs in groupby(chosen, key=lambda pair: pair[0]):
            yield method, [job for _, job in pairs]

    def _draw_blocks(self, there: Set[str], *, workers: int) -> Iterator[DrawBlock]:
        missing = len(self._wanted) - len(there)
        batches = math.ceil(missing / (workers * ROUNDS * self.batch))
        size = self.batch * max(1, min(batches, CHUNK // self.batch))
        for method, jobs in self._parts(lambda key: key not in there):
            for variant, group in by_variant(jobs):
                for start in range(0, len(group), size):
                    yield DrawBlock(method, variant, tuple(group[start : start + size]))

    def _judge_blocks(self, there: Set[str]) -> Iterator[JudgeBlock]:
        for method, jobs in self._parts(lambda key: key in there):
            for start in range(0, len(jobs), CHUNK):
                if (block := self._judging(method, jobs[start : start + CHUNK])) is not None:
                    yield block

    def _then(self, block: DrawBlock) -> JudgeBlock | None:
        return self._judging(block.method, block.jobs)

    def _judging(self, method: str, jobs: Sequence[Job]) -> JudgeBlock | None:
        """What these pictures lack, if anything."""
        people = [job.key for job in jobs if job.item.prompt.kind in PERSON_KINDS]
        labels = {
            judge: tuple(key for key in people if key not in known) for judge, known in self._labelled.items()
        }
        vectors = tuple(job.key for job in jobs if job.key not in self._embedded)
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
        self.evaluation.work.pictures.remember(done.statuses)
        self.evaluation.progress.advance(_units(block))


def _units(block: Block) -> int:
    """Pictures drawn, labelled by a judge or embedded."""
    if isinstance(block, DrawBlock):
        return len(block.jobs)
    return sum(map(len, block.labels.values())) + len(block.vectors)
