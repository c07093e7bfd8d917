"""Label the images of a run or an audit, embed them, and measure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.policy.correction import correction_notes
from evenhand.bench.registry.entry_points import METRICS
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.stages.correction import checks_of
from evenhand.bench.stages.label import alignment, check_judge, embed_images, judge_images
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.resources import load_confusion, load_scorer
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.tables import stacked
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.metrics import catalog
from evenhand.metrics.base import Metric
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.estimation.panel import PANEL, vote
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.judges.clip_scorer import ClipScorer
from evenhand.metrics.rows import Measurement
from evenhand.metrics.table import ANSWER_COLUMNS, PERSON_KINDS, matrix_of

Vectors = dict[str, NDArray[np.float32]]

Timed = Callable[[str], AbstractContextManager[None]]
"""Method label to a context manager that times the judging of its images."""


@dataclass
class Evaluation:
    """The second half of a run, and all of an audit; every step resumes an interrupted one.

    Attributes:
        evaluation_config: The evaluation settings.
        run_folder: The folder of the run.
        progress: Reports every image.
        steering: Method to the judge in its loop, or ``None``.
        turns: Whether judges and scorer free the memory of the device whenever they are done, because the
            generator needs it.
    """

    evaluation_config: EvaluationConfig
    run_folder: RunFolder
    progress: Progress
    steering: Mapping[str, str | None] = field(default_factory=dict)
    turns: bool = False

    def load(self) -> None:
        """Load everything that the evaluation config names, so that errors in it are reported first.

        Every judge labels a blank image and the scorer embeds one, so that damaged weights are found before
        any image is drawn.
        """
        _ = self.judges, self.metrics, self.confusion, self.scorer
        for judge in self.judges.values():
            judge.try_out()
            self._done_with([judge])
        if self.scorer is not None:
            self.scorer.try_out()
            self._done_with([self.scorer])

    def _done_with(self, networks: Iterable[Judge | ClipScorer]) -> None:
        for network in networks if self.turns else ():
            network.release()

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """See :func:`metrics_of`."""
        return metrics_of(self.evaluation_config)

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """Confusion counts of the judges; empty for no correction."""
        return load_confusion(self.evaluation_config.calibration)

    @cached_property
    def scorer(self) -> ClipScorer | None:
        """The encoder of alignment and same-seed distance, if there is one."""
        return load_scorer(self.evaluation_config.scorer) if self.evaluation_config.scorer else None

    @cached_property
    def judges(self) -> dict[str, Judge]:
        """The panel, the non-voting judges and the methods' steering judges, by name."""
        steering = filter(None, self.steering.values())
        names = dict.fromkeys(
            [*self.evaluation_config.panel, *self.evaluation_config.non_voting_judges, *steering]
        )
        judges = {name: load_judge(name) for name in names}
        for judge in judges.values():
            check_judge(judge, self.evaluation_config.attributes)
        return {name: judge.asked(self.evaluation_config.attributes) for name, judge in judges.items()}

    def judge(self, images: pd.DataFrame, *, timed: Timed) -> pd.DataFrame:
        """Labels of all stored images of people, by every judge and the panel.

        Returns:
            Rows of the columns :data:`evenhand.metrics.table.ANSWER_COLUMNS`.
        """
        rows = self.run_folder.labels.read(compact=True)
        done, new = self._done(rows), 0
        people = images[images["kind"].isin(PERSON_KINDS) & (images["path"] != "")]
        for method, group in people.groupby("method", sort=False):
            keys = list(dict.fromkeys(group["key"]))
            self.progress.start(f"{method}: judge", len(keys) * len(self.judges))
            wanted = {name: [key for key in keys if key not in known] for name, known in done.items()}
            self.progress.advance(sum(len(keys) - len(lacking) for lacking in wanted.values()))
            with timed(str(method)):
                new += judge_images(
                    self.judges,
                    wanted,
                    attributes=self.evaluation_config.attributes,
                    store=self.run_folder.images,
                    table=self.run_folder.labels,
                    progress=self.progress,
                )
            for known in done.values():
                known.update(keys)
            self.progress.finish()
        self._done_with(self.judges.values())
        # Reading a million rows again takes a second.
        return self._voted(self.run_folder.labels.read(compact=True) if new else rows, set(people["key"]))

    def labelled(self) -> dict[str, set[str]]:
        """Judge to the keys that its installed version has labelled."""
        return self._done(self.run_folder.labels.read(keys_only=True, compact=True))

    def _done(self, rows: pd.DataFrame) -> dict[str, set[str]]:
        if not len(rows):
            return {name: set() for name in self.judges}
        keys = _texts(rows["key"])
        return {name: set(keys[_of(judge, rows)]) for name, judge in self.judges.items()}

    def embedded(self) -> set[str]:
        """The keys that the installed version of the scorer has embedded."""
        return set(self._vector_places(self.run_folder.vectors.read(keys_only=True, compact=True)))

    def _vector_places(self, rows: pd.DataFrame) -> dict[str, int]:
        """Key to the row of its vector by the scorer's installed version."""
        if self.scorer is None or not len(rows):
            return {}
        place = np.flatnonzero(rows["scorer"] == self.scorer.version)
        return dict(zip(_texts(rows["key"])[place], place.tolist(), strict=True))

    def labels(self, keys: Collection[str]) -> pd.DataFrame:
        """Labels of some images by the installed versions of the judges, without the vote."""
        rows = self.run_folder.labels.read()
        return rows[self._asked(rows, keys)]

    def _asked(self, rows: pd.DataFrame, keys: Collection[str]) -> pd.Series[bool]:
        here = np.any([_of(judge, rows) for judge in self.judges.values()], axis=0)
        asked: pd.Series[bool] = rows["key"].isin(keys) & here
        return asked

    def _voted(self, rows: pd.DataFrame, keys: Collection[str]) -> pd.DataFrame:
        given, asked = rows["judge"] != PANEL, self._asked(rows, keys)
        own = rows[asked]
        votes = vote(own, members=self.evaluation_config.panel, taxonomy=self.evaluation_config.attributes)
        self.run_folder.labels.finish(stacked([rows[given], votes]))
        columns = list(ANSWER_COLUMNS)
        return stacked([own[columns], votes[columns]])

    def embed(self, images: pd.DataFrame) -> Vectors:
        """Unit vectors by key; the image table gets its alignment column from them.

        Without a scorer, or an image that was made, there are none, and alignment is not known.
        """
        images["alignment"] = np.nan
        # A diverged edit gives black images; their alignment would be meaningless.
        there = images["status"] == "ok"
        keys = list(dict.fromkeys(images.loc[there, "key"]))
        if self.scorer is None or not keys:
            return {}
        scorer, table = self.scorer, self.run_folder.vectors
        self.progress.start("embed", len(keys))
        rows = table.read(compact=True)
        done = self._vector_places(rows).keys()
        store = self.run_folder.images
        if embed_images(scorer, keys=keys, store=store, table=table, progress=self.progress, done=done):
            rows = table.read(compact=True)
        self.progress.finish()
        table.finish(rows)
        matrix = matrix_of(rows["vector"])
        vectors = {key: matrix[place] for key, place in self._vector_places(rows).items()}
        images.loc[there, "alignment"] = alignment(images[there], vectors, scorer.embed_texts)
        self._done_with([scorer])
        return vectors

    def measure(
        self,
        images: pd.DataFrame,
        labels: pd.DataFrame,
        vectors: Vectors,
        *,
        concepts: Sequence[str],
        base: str | None,
        ranked: Sequence[str] | None = None,
        paired_noise: bool = True,
        confusion: pd.DataFrame | None = None,
        anchors: pd.DataFrame | None = None,
        look: int = 0,
    ) -> Measurement:
        """Every number of every method.

        Args:
            images: The image table.
            labels: The labels of :meth:`judge`.
            vectors: The vectors of :meth:`embed`.
            concepts: Concepts of the neutral prompts, in order.
            base: The method that others are compared with, if any.
            ranked: The methods that are ranked; ``None`` for all.
            paired_noise: Whether methods drew from the same noise, so that same-seed distance has a meaning.
            confusion: Confusion counts; those of the evaluation config if ``None``.
            anchors: Labels of people for some of the images; those imported into the run folder if ``None``.
                They test the correction.
            look: Look of a run until decided, from 1; 0 where the number of images was fixed beforehand.
        """
        unrelated = images[(images["kind"] == "unrelated") & (images["status"] == "ok")]
        pairs = {key: vectors[key] for key in sorted(set(unrelated["key"]))} if vectors else {}
        plan = measure_plan(
            self.evaluation_config,
            concepts,
            confusion=self.confusion if confusion is None else confusion,
            metrics=self.metrics,
            steering=self.steering,
            base=base,
            ranked=ranked,
            look=look,
        )
        self.progress.start("measure", 0)
        measured = measure(
            images,
            labels,
            plan=plan,
            embeddings=pairs if vectors and paired_noise else None,
            voted=True,
        )
        checks = checks_of(
            images,
            labels,
            self.run_folder.imported_anchors() if anchors is None else anchors,
            plan=plan,
            other_images=confusion is None,
        )
        self.progress.finish()
        notes = [*measured.notes, *correction_notes(measured.estimates, checks)]
        return replace(measured, correction_checks=checks, notes=notes)


def _of(judge: Judge, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Mask of the rows of the installed version of a judge."""
    same = (rows["judge"] == judge.info.name) & (rows["judge_version"] == judge.info.version)
    return same.to_numpy(bool)


def _texts(column: pd.Series[str]) -> NDArray[np.object_]:
    """The texts of a categorical column, one object per category."""
    texts: NDArray[np.object_] = column.cat.categories.to_numpy(object)
    return texts[column.cat.codes.to_numpy()]


def metrics_of(evaluation_config: EvaluationConfig) -> tuple[Metric, ...]:
    """The metrics of every suite and those named, without alignment if there is no scorer.

    Raises:
        EvenhandError: A metric is unknown, or its package fails to load.
    """
    names = dict.fromkeys([*(metric.name for metric in catalog.DEFAULT), *evaluation_config.metrics])
    if not evaluation_config.scorer:
        del names[catalog.alignment.name]
    return tuple(METRICS.get(name) for name in names)


def measure_plan(
    evaluation_config: EvaluationConfig,
    concepts: Sequence[str],
    *,
    confusion: pd.DataFrame,
    metrics: tuple[Metric, ...],
    steering: Mapping[str, str | None] | None = None,
    base: str | None = None,
    ranked: Sequence[str] | None = None,
    look: int = 0,
) -> MeasurePlan:
    """The measurement plan of the evaluation settings.

    Args:
        evaluation_config: The evaluation settings.
        concepts: Concepts of the neutral prompts, in order.
        confusion: Confusion counts of the judges; empty for no correction.
        metrics: The metrics.
        steering: Method to the judge in its loop, or ``None``.
        base: The method that others are compared with, if any.
        ranked: The methods that are ranked; ``None`` for all.
        look: Look of a run until decided, from 1; 0 where the number of images was fixed beforehand.
    """
    boot, steering = evaluation_config.bootstrap, steering or {}
    return MeasurePlan(
        attributes=evaluation_config.attributes,
        panel=evaluation_config.panel,
        joints=tuple(names for names in evaluation_config.report if len(names) > 1),
        target=evaluation_config.targets(concepts),
        non_voting_judges=tuple(
            sorted({*evaluation_config.non_voting_judges, *filter(None, steering.values())})
        ),
        steering=steering,
        confusion=confusion,
        base=base,
        ranked=ranked,
        metrics=metrics,
        draws=boot.draws,
        seed=boot.seed,
        resample_concepts=boot.resample_concepts,
        scheme=boot.scheme,
        resample_templates=boot.resample_templates,
        intervals=boot.intervals,
        look=look,
    )
