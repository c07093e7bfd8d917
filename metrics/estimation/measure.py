"""The entry point from tables to estimates: ``measure(images, labels, plan=plan)``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from evenhand.bench.errors import EvenhandError, some_of, unknown
from evenhand.metrics import catalog
from evenhand.metrics.base import ImageMetric, LabelMetric, Metric
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS, Calibration, Refusal, calibrate
from evenhand.metrics.correction.judge_errors import judge_errors
from evenhand.metrics.estimation.alignment_by_group import with_groups
from evenhand.metrics.estimation.comparison import HEADLINE, against_base, agreement_of, differences, ranks
from evenhand.metrics.estimation.encode import Study, check_tables, coverage, encode
from evenhand.metrics.estimation.judge_spread import judge_spreads, steering_gaps
from evenhand.metrics.estimation.losses import losses_of
from evenhand.metrics.estimation.panel import PANEL, vote
from evenhand.metrics.estimation.preservation import preservation_distance
from evenhand.metrics.estimation.score import Series, score_images, score_labels
from evenhand.metrics.estimation.tallies import Counted, Reading
from evenhand.metrics.estimation.views import (
    AUTO,
    PLAIN,
    Intervals,
    Sampling,
    Scheme,
    Target,
    View,
    make_views,
    plain_layout,
    plain_resamples,
)
from evenhand.metrics.rows import DifferenceRow, Measurement, RankRow
from evenhand.metrics.statistics.resampling import Layout, Resamples
from evenhand.metrics.statistics.threads import in_threads
from evenhand.metrics.table import ANSWER_COLUMNS, DECISION_THRESHOLD, LABEL_COLUMNS

Embeddings = Mapping[str, NDArray[np.floating]]
"""Image key to unit vector."""

Drawn = tuple[Layout, Resamples]
"""The images of a kind of prompts, and their resamples."""

Remarks = dict[str, dict[str, None]]
"""Remark on a correction to the judges that it applies to, in order."""


@dataclass(frozen=True)
class MeasurePlan:
    """The settings of a measurement.

    Attributes:
        attributes: Attribute to its groups, in order; every attribute is measured.
        panel: Judges that vote.
        joints: Joint attributes to measure as well.
        target: Attribute or joint attribute to the target shares of its cells, or to those of every concept;
            uniform if not listed.
        non_voting_judges: Judges that are measured and shown but do not vote.
        steering: Method to the judge in its loop, or ``None``; such a judge must not be in the panel.
        confusion: Confusion table of the judges and of the panel; empty for no correction.
        base: The baseline; ``None`` for no comparison.
        ranked: The methods to rank; ``None`` for all.
        metrics: The metrics.
        threshold: Probability from which a family of the panel decides.
        draws: Bootstrap resamples.
        seed: Seed of all random streams.
        resample_concepts: True for claims about concepts like these, False for claims about this list.
        scheme: The levels at which the bootstrap resamples images.
        resample_templates: True for claims about sentences like these, False for claims about these.
        look: Look of a run until decided, from 1; 0 where the number of images was fixed beforehand.
        intervals: How intervals of means over whole resampled concepts are computed.
    """

    attributes: Mapping[str, tuple[str, ...]]
    panel: tuple[str, ...]
    joints: tuple[tuple[str, ...], ...] = ()
    target: Target = field(default_factory=dict)
    non_voting_judges: tuple[str, ...] = ()
    steering: Mapping[str, str | None] = field(default_factory=dict)
    confusion: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CONFUSION_COLUMNS)))
    base: str | None = None
    ranked: Collection[str] | None = None
    metrics: tuple[Metric, ...] = catalog.DEFAULT
    threshold: float = DECISION_THRESHOLD
    draws: int = 2000
    seed: int = 0
    resample_concepts: bool = True
    scheme: Scheme = AUTO
    resample_templates: bool = False
    look: int = 0
    intervals: Intervals = "percentile"

    def attribute_sets(self) -> list[tuple[str, ...]]:
        """Every attribute by itself, then the joint ones."""
        return list(dict.fromkeys([*((name,) for name in self.attributes), *self.joints]))

    def sampling(self) -> Sampling:
        """The settings of the bootstrap."""
        claim = self.resample_concepts, self.scheme, self.resample_templates
        return Sampling(self.draws, self.seed, *claim, self.intervals)


def measure(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    plan: MeasurePlan,
    embeddings: Embeddings | None = None,
    voted: bool = False,
) -> Measurement:
    """The estimates of every method, with differences, ranks, judge errors and coverage.

    The function computes the panel's vote unless ``voted`` is set. The order of rows does not change any
    number.

    Args:
        images: Columns :data:`evenhand.metrics.table.IMAGE_COLUMNS`, and the numeric column of every
            :class:`ImageMetric`.
        labels: Columns :data:`evenhand.metrics.table.LABEL_COLUMNS`, or if ``voted``
            :data:`evenhand.metrics.table.ANSWER_COLUMNS`.
        plan: The settings.
        embeddings: Key to unit vector of the images of unrelated prompts; without them, or without a
            baseline, there is no preservation distance.
        voted: Whether the rows of the judge ``panel`` are the vote on these labels; otherwise they are
            ignored.

    Raises:
        EvenhandError: A steering judge is in the panel, a judge is missing or not in the plan, or the tables
            are incomplete (see :func:`evenhand.metrics.estimation.encode.encode`).
    """
    study = study_of(images, labels, plan=plan, voted=voted)
    series, notes = every_series(study, plan, embeddings, compared={*HEADLINE, *plan.steering.values()})
    pairs = against_base(study.methods, plan.base)
    return measurement_of(
        study,
        series,
        plan,
        between=differences(series, study, pairs=pairs, seed=plan.seed),
        order=ranks(one for one in series if plan.ranked is None or one.method in plan.ranked),
        notes=notes,
    )


def measurement_of(
    study: Study,
    series: Sequence[Series],
    plan: MeasurePlan,
    *,
    between: list[DifferenceRow],
    order: Mapping[str, list[RankRow]],
    notes: list[str],
) -> Measurement:
    """The measurement of a study, assembled from its series, differences and ranks.

    Args:
        study: The tables.
        series: Every metric of every method under every judge.
        plan: The settings.
        between: Differences between methods.
        order: Method to its rank sets.
        notes: Remarks on the numbers.
    """
    return Measurement(
        estimates={
            method: [row for one in series if one.method == method for row in (one.estimate, *one.by_row)]
            for method in study.methods
        },
        differences=between,
        ranks=order,
        agreement=agreement_of(study, draws=plan.draws, seed=plan.seed),
        judge_errors=judge_errors(
            plan.confusion, judges={PANEL, *plan.panel, *plan.non_voting_judges}, taxonomy=plan.attributes
        ),
        steering=steering_gaps(series, plan.steering),
        spreads=judge_spreads(series, base=plan.base, steering=plan.steering),
        losses=losses_of(study, base=plan.base, resample_concepts=plan.resample_concepts, look=plan.look),
        coverage={method: coverage(study, method) for method in study.methods},
        notes=notes,
    )


def study_of(images: pd.DataFrame, labels: pd.DataFrame, *, plan: MeasurePlan, voted: bool = False) -> Study:
    """The tables as arrays, with the panel's vote.

    Raises:
        EvenhandError: As in :func:`measure`.
    """
    columns = ANSWER_COLUMNS if voted else LABEL_COLUMNS
    check_tables(images, labels, taxonomy=plan.attributes, columns=columns)
    _check(plan, labels)
    if not voted:
        labels = labels[labels["judge"] != PANEL]
        votes = vote(labels, members=plan.panel, taxonomy=plan.attributes, threshold=plan.threshold)
        labels = pd.concat([labels, votes], ignore_index=True)
    study = encode(images, labels, taxonomy=plan.attributes)
    if plan.base is not None and plan.base not in study.methods:
        raise unknown("base method", plan.base, study.methods)
    return study


def every_series(
    study: Study,
    plan: MeasurePlan,
    embeddings: Embeddings | None,
    *,
    compared: Collection[str | None] | None = None,
) -> tuple[list[Series], list[str]]:
    """The series of every metric, method and judge, and the remarks on them.

    Args:
        study: The tables.
        plan: The settings.
        embeddings: As in :func:`measure`.
        compared: Judges whose bootstrap draws are kept for comparisons; ``None`` for all.
    """
    remarks: Remarks = {}
    # BLAS would divide these small products among threads that wait for each other.
    with threadpool_limits(1, user_api="blas"):
        views = make_views(
            study, attribute_sets=plan.attribute_sets(), target=plan.target, sampling=plan.sampling()
        )
        known = {view.kind: (view.layout, view.resamples) for view in views if view.kind in PLAIN}
        labelled = (
            one if compared is None or one.estimate.judge in compared else one.without_draws()
            for one in _label_series(study, plan, views, remarks)
        )
        series = [*labelled, *with_groups(_image_series(study, plan, embeddings, known), study, known)]
    notes = [f"{remark} ({', '.join(judges)})" for remark, judges in remarks.items()]
    return series, [*notes, *_missing(series)]


def _check(plan: MeasurePlan, labels: pd.DataFrame) -> None:
    for method, judge in sorted(plan.steering.items()):
        if judge in plan.panel:
            raise EvenhandError(
                f"judge {judge!r} steers method {method!r} and is in the panel; make it a non-voting judge"
            )
    for names in plan.joints:
        for name in names:
            if name not in plan.attributes:
                raise unknown("attribute", name, plan.attributes)
    found = set(labels["judge"].unique()) - {PANEL}
    planned = {*plan.panel, *plan.non_voting_judges}
    for judge in sorted(planned - found):
        raise EvenhandError(
            f"judge {judge!r} has no row in the label table; run it or remove it from the suite"
        )
    for judge in sorted(found - planned - set(plan.steering.values())):
        raise unknown("judge in the label table", judge, planned)


def _label_series(
    study: Study, plan: MeasurePlan, views: Sequence[View], remarks: Remarks
) -> Iterator[Series]:
    """The series of every view and judge, uncorrected and corrected; the panel first, and also by row."""
    metrics = [metric for metric in plan.metrics if isinstance(metric, LabelMetric)]

    @cache
    def calibration(judge: str, attributes: tuple[str, ...]) -> Calibration | Refusal:
        return calibrate(
            plan.confusion,
            judge=judge,
            attributes=attributes,
            taxonomy=plan.attributes,
            draws=plan.draws,
            seed=plan.seed,
        )

    # One task per view and judge, because its methods share simulated fair models.
    tasks: list[Callable[[], list[Series]]] = []
    for view in views:
        for judge in sorted(study.judges(view.attributes), key=lambda name: (name != PANEL, name)):
            known = calibration(judge, view.attributes)
            if remark := _correction_remark(view, known):
                remarks.setdefault(remark, {})[judge] = None
            tasks.append(partial(_seen_by, judge, view, known, study=study, metrics=metrics, seed=plan.seed))
    for found in in_threads(tasks):
        yield from found


def _seen_by(
    judge: str,
    view: View,
    known: Calibration | Refusal,
    *,
    study: Study,
    metrics: Sequence[LabelMetric],
    seed: int,
) -> list[Series]:
    """The series of every method in one view under one judge, uncorrected and corrected."""
    corrections = [None, known] if isinstance(known, Calibration) else [None]
    readings = [Reading(view, judge, correction, seed) for correction in corrections]
    found: list[Series] = []
    codes = study.joint_codes(judge, view.attributes)
    within = judge == PANEL or any(metric.of_extremes and view.kind in metric.kinds for metric in metrics)
    for method, counted in zip(study.methods, counts(view, codes, by_row=within), strict=True):
        uncorrected: dict[tuple[str, str], Series] | None = None
        for reading in readings:
            scored = list(
                score_labels(
                    [metric for metric in metrics if reading.reads(metric)],
                    reading=reading,
                    counted=counted,
                    method=method,
                    by_row=judge == PANEL,
                    uncorrected=uncorrected,
                )
            )
            uncorrected = {(one.metric.name, one.estimate.group): one for one in scored}
            found += scored
    return found


def counts(view: View, codes: NDArray[np.int64], *, by_row: bool = True) -> Iterator[Counted]:
    """Images of each method by row and label, from the codes ``(M, S)``; ``by_row``: for rows as well."""
    tables = [view.layout.counts(row[view.layout.slots], len(view.cells)) for row in codes]
    for table, both in zip(tables, view.resamples.of_each(tables, by_row=by_row), strict=True):
        yield Counted(table.sum(axis=1), *both)


def _correction_remark(view: View, known: Calibration | Refusal) -> str:
    if isinstance(known, Refusal):
        return f"{view.name} is not corrected: {known.reason}"
    return f"{view.name} is corrected {known.remark}" if known.remark else ""


def _image_series(
    study: Study, plan: MeasurePlan, embeddings: Embeddings | None, known: Mapping[str, Drawn]
) -> Iterator[Series]:
    columns = dict(study.columns)
    if embeddings is not None and plan.base is not None:
        columns[catalog.preservation.column] = preservation_distance(study, embeddings, base=plan.base)
    metrics = []
    for metric in (metric for metric in plan.metrics if isinstance(metric, ImageMetric)):
        if metric.column in columns:
            metrics.append(metric)
        elif metric is not catalog.preservation:
            raise unknown(f"image column of metric {metric.name}", metric.column, columns)
    kinds = dict.fromkeys(kind for metric in metrics for kind in metric.kinds)
    # One task per kind of prompts, because its metrics share the resamples.
    tasks: list[Callable[[], list[list[Series]]]] = [
        partial(
            _seen_in,
            kind,
            [(metric, columns[metric.column]) for metric in metrics if kind in metric.kinds],
            study,
            plan,
            known.get(kind),
        )
        for kind in kinds
    ]
    found = {kind: iter(each) for kind, each in zip(kinds, in_threads(tasks), strict=True)}
    for metric in metrics:
        for kind in metric.kinds:
            yield from next(found[kind])


def _seen_in(
    kind: str,
    metrics: Sequence[tuple[ImageMetric, NDArray[np.float64]]],
    study: Study,
    plan: MeasurePlan,
    known: Drawn | None,
) -> list[list[Series]]:
    """For each metric the series of every method on one kind of prompts, from values ``(M, S)``."""
    slots = study.slots[study.slots["kind"] == kind]
    if slots.empty:
        return [[] for _ in metrics]
    layout = known[0] if known else plain_layout(slots)
    resamples = known[1] if known else plain_resamples(layout, kind, plan.sampling())
    score = partial(score_images, kind=kind, layout=layout, resamples=resamples)
    return [
        [score(metric, values[row, layout.slots], method=method) for row, method in enumerate(study.methods)]
        for metric, values in metrics
    ]


def _missing(series: Iterable[Series]) -> list[str]:
    """Remarks on what could not be measured: too few images, and concepts without decided images."""
    notes = []
    for one in series:
        row, metric = one.estimate, one.metric
        if isinstance(metric, ImageMetric) and np.isnan(row.value):
            notes.append(f"{one.method}: {row.metric} on {row.kind} prompts has too few images; missing")
        if isinstance(metric, LabelMetric) and metric.over == "decided" and not row.corrected:
            empty = [each.concept or each.group for each in one.by_row if each.n == 0]
            if empty:
                which = f"{row.attributes} on no image of {some_of(empty)}"
                notes.append(f"{one.method}: the panel decides {which}; left out")
    return list(dict.fromkeys(notes))
