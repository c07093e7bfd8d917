"""Estimates of one metric of one method: value, bootstrap draws, interval and floor, overall and by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.base import LabelMetric, Metric, Tally
from evenhand.metrics.estimation.limits import Bounds, Limits, RowBounds, limits_of, limits_of_extremes
from evenhand.metrics.estimation.tallies import Counted, FairModels, Reading, Seen, draws_of, extremes
from evenhand.metrics.representation import FloatArray, mean_over, ratio
from evenhand.metrics.rows import EstimateRow
from evenhand.metrics.statistics.resampling import Layout, Resamples
from evenhand.metrics.statistics.uncertainty import recentred, skewness


@dataclass(frozen=True)
class Sample:
    """One metric of one method before summarising; values precede :attr:`Metric.finish`.

    Attributes:
        rows: ``(R,)`` values.
        n: ``(R,)`` images.
        by_row: Whether rows are reported.
        across: ``(B,)`` bootstrap draws of the aggregate; ``None`` if the metric has no interval.
        within: ``(B, R)`` draws of the rows; ``None`` as well if rows are not reported, except for a metric
            of extremes.
        bounds: Function to values ``(L, R)`` that are possible although no draw shows them, for the
            aggregate; few samples need them.
        row_bounds: Function to the same bounds, given each row's own images and the number of bounds that
            shall hold together.
        floor: ``(F, R)`` values of simulated fair models; ``None`` if the metric has no floor.
    """

    rows: FloatArray
    n: FloatArray
    by_row: bool
    across: FloatArray | None
    within: FloatArray | None
    bounds: Bounds
    row_bounds: RowBounds
    floor: FloatArray | None = None

    def of_group(self, group: int) -> Sample:
        """The sample of one group, if draws have a first axis of groups, and all else a last one."""
        return replace(
            self,
            rows=self.rows[..., group],
            across=None if self.across is None else self.across[group],
            within=None if self.within is None else self.within[group],
            bounds=lambda: self.bounds()[..., group],
            row_bounds=lambda together: self.row_bounds(together)[..., group],
        )


@dataclass(frozen=True)
class Series:
    """One metric of one method under one judge, from which estimates, differences and ranks are computed.

    ``value``, ``draws`` and ``rows`` precede :attr:`Metric.finish`; they are on the scale that is averaged
    over rows.

    Attributes:
        metric: The metric.
        method: The method.
        value: The aggregate.
        draws: ``(B,)`` bootstrap draws of the aggregate, recentred on the value; empty without an interval.
        rows: ``(R,)`` values of the rows.
        clusters: Number of resampled rows; infinite if the rows are fixed.
        estimate: Estimate of the aggregate.
        by_row: Estimates of the rows; empty if rows are not reported.
        still: Whether no draw of the uncorrected aggregate varies.
        rows_still: ``(R,)`` the same for every row that is reported or one of the extremes.
        seen: The labels; ``None`` for a metric of images.
    """

    metric: Metric
    method: str
    value: float
    draws: FloatArray
    rows: FloatArray
    clusters: float
    estimate: EstimateRow
    by_row: tuple[EstimateRow, ...]
    still: bool = False
    rows_still: NDArray[np.bool_] | None = None
    seen: Seen | None = None

    def without_draws(self) -> Series:
        """The series without its draws, which take nearly all of its memory."""
        return replace(self, draws=np.empty(0))


def score_labels(
    metrics: list[LabelMetric],
    *,
    reading: Reading,
    counted: Counted,
    method: str,
    by_row: bool,
    uncorrected: Mapping[tuple[str, str], Series] | None = None,
) -> Iterator[Series]:
    """The series of label metrics under one reading.

    Args:
        metrics: The metrics.
        reading: The judge, the view and the correction.
        counted: The images of the method.
        method: Name of the method.
        by_row: Whether to add estimates of the rows.
        uncorrected: Metric and group to the series of uncorrected labels; ``None`` if this reading is it.
    """
    view = reading.view
    key = _key(view.kind, view.name, reading.judge, corrected=reading.calibration is not None)
    # A copy, because the reading keeps its simulated fair models, and a series outlives them.
    copy = replace(reading)
    for metric, sample in _samples(metrics, reading, counted, by_row=by_row):
        for number, group in enumerate(view.cells if metric.by_group else ("",)):
            yield summarise(
                metric,
                sample.of_group(number) if metric.by_group else sample,
                method=method,
                key=key.model_copy(update={"metric": metric.name, "unit": metric.unit, "group": group}),
                names=view.layout.names,
                resamples=view.resamples,
                seen=Seen(metric, copy, counted.point, sample.n, number if metric.by_group else None),
                uncorrected=None if uncorrected is None else uncorrected[metric.name, group],
            )


def _samples(
    metrics: Sequence[LabelMetric], reading: Reading, counted: Counted, *, by_row: bool
) -> Iterator[tuple[LabelMetric, Sample]]:
    """Every metric with its values, draws and bounds."""
    across, within = draws_of(metrics, reading, counted, by_row=by_row)
    point = reading.point(counted.point)
    n_of = {"decided": counted.point[:, :-1].sum(axis=-1), "all": counted.point.sum(axis=-1)}

    @cache
    def fair(over: str) -> FairModels:
        return reading.fair_models(n_of[over])

    @cache
    def possible(over: str, pooled: bool, together: int) -> Tally:
        n = n_of[over]
        shown = np.full(len(n), n.sum()) if pooled else n
        return extremes(reading, counted.point, shown, together=together)

    def bounds(metric: LabelMetric, pooled: bool) -> FloatArray:
        return metric.of(possible(metric.over, pooled, 1))

    def row_bounds(metric: LabelMetric, together: int) -> FloatArray:
        return metric.of(possible(metric.over, False, together))

    for metric in metrics:
        n = n_of[metric.over]
        yield (
            metric,
            Sample(
                rows=metric.of(point),
                n=n,
                by_row=by_row,
                across=across.get(metric.name),
                within=within.get(metric.name),
                bounds=partial(bounds, metric, metric.reduce is mean_over),
                row_bounds=partial(row_bounds, metric),
                floor=fair(metric.over).values(metric) if metric.floor else None,
            ),
        )


def score_images(
    metric: Metric,
    values: FloatArray,
    *,
    method: str,
    kind: str,
    layout: Layout,
    resamples: Resamples,
    by_row: bool = True,
) -> Series:
    """The series of the mean of an image column ``(n,)``; images without a value are left out.

    Without ``by_row`` there are no estimates by row, whose resamples take most of the time.
    """
    present = np.isfinite(values)
    table = layout.sums(np.column_stack([np.where(present, values, 0), present]))
    point = table.sum(axis=1)
    within, across = next(resamples.of_each([table], by_row=by_row))
    none = np.empty((0, len(layout.names)))

    def mean(sums: FloatArray) -> FloatArray:
        return ratio(sums[..., 0], sums[..., 1])

    sample = Sample(
        rows=mean(point),
        n=point[:, 1],
        by_row=by_row,
        across=metric.reduce(resamples.chosen(mean(point)[None]) if across is None else mean(across)),
        within=None if within is None else mean(within),
        bounds=lambda: none,
        row_bounds=lambda together: none,
    )
    key = _key(kind, "", "", corrected=False).model_copy(update={"metric": metric.name, "unit": metric.unit})
    return summarise(metric, sample, method=method, key=key, names=layout.names, resamples=resamples)


def summarise(
    metric: Metric,
    sample: Sample,
    *,
    method: str,
    key: EstimateRow,
    names: tuple[str, ...],
    resamples: Resamples,
    seen: Seen | None = None,
    uncorrected: Series | None = None,
) -> Series:
    """The series of a sample: value, interval and floor of the aggregate and, if reported, of every row.

    Args:
        metric: The metric.
        sample: Its values.
        method: Name of the method.
        key: The estimate without numbers.
        names: Names of the rows.
        resamples: The resamples of the draws.
        seen: The labels; ``None`` for a metric of images.
        uncorrected: The series of the uncorrected labels; ``None`` if this is it. Draws of corrected labels
            vary with the anchors even where the labels do not.
    """
    clusters = resamples.clusters if metric.reduce is mean_over else np.inf
    value = metric.reduce(sample.rows)
    draws = np.empty(0) if sample.across is None else recentred(sample.across, value)
    drawn = None if sample.within is None else recentred(sample.within, sample.rows)
    rows_still = None if uncorrected is None else uncorrected.rows_still
    by_row = None
    if sample.by_row:
        each = np.empty((0, len(names))) if drawn is None else drawn
        bounds = partial(sample.row_bounds, 1)
        by_row = limits_of(metric, sample.rows, each, bounds, resamples.clusters_within, still=rows_still)
    if metric.of_extremes:
        limits, rows_still = limits_of_extremes(
            metric, sample.rows, drawn, sample.row_bounds, still=rows_still
        )
    else:
        limits = limits_of(
            metric,
            value,
            draws,
            lambda: metric.reduce(sample.bounds()),
            clusters,
            still=None if uncorrected is None else np.asarray(uncorrected.still),
            skew=skewness(sample.rows) if np.isfinite(clusters) else 0.0,
            transformed=resamples.transformed and np.isfinite(clusters),
        )
    floor = np.nan if sample.floor is None else metric.finish(metric.reduce(sample.floor)).mean()
    estimate = key.model_copy(
        update={
            "value": float(metric.finish(value)),
            "low": float(limits.low),
            "high": float(limits.high),
            "n": int(sample.n.sum()),
            "floor": float(floor),
        }
    )
    return Series(
        metric=metric,
        method=method,
        value=float(value),
        draws=draws,
        rows=sample.rows,
        clusters=clusters,
        estimate=estimate,
        by_row=() if by_row is None else _row_estimates(metric, sample, by_row, key, names),
        still=bool(limits.still),
        rows_still=rows_still if by_row is None else by_row.still,
        seen=seen,
    )


def _row_estimates(
    metric: Metric, sample: Sample, limits: Limits, key: EstimateRow, names: tuple[str, ...]
) -> tuple[EstimateRow, ...]:
    floor = np.full(len(names), np.nan)
    if sample.floor is not None:
        floor = metric.finish(sample.floor).mean(axis=0)
    values = metric.finish(sample.rows)
    asked = key.kind == "explicit" and bool(key.attributes)
    return tuple(
        key.model_copy(
            update={
                "concept": "" if asked else name,
                "group": name if asked else key.group,
                "value": float(values[row]),
                "low": float(limits.low[row]),
                "high": float(limits.high[row]),
                "n": int(sample.n[row]),
                "floor": float(floor[row]),
            }
        )
        for row, name in enumerate(names)
    )


def _key(kind: str, attributes: str, judge: str, *, corrected: bool) -> EstimateRow:
    """An estimate with its names, except those of its metric and group, and without numbers."""
    return EstimateRow(
        metric="",
        attributes=attributes,
        concept="",
        kind=kind,
        judge=judge,
        corrected=corrected,
        value=np.nan,
        low=np.nan,
        high=np.nan,
        n=0,
        floor=np.nan,
        unit="",
    )
