"""Estimates of one metric of one method: value, bootstrap draws, interval and floor, overall and by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from evenhand.metrics.base import LabelMetric, Metric, Tally
from evenhand.metrics.estimation.tallies import Reading
from evenhand.metrics.fairness.intersectional import unseen_bound
from evenhand.metrics.representation import FloatArray, mean_over, ratio, shares_of
from evenhand.metrics.rows import EstimateRow
from evenhand.metrics.statistics.resampling import Layout, Resamples
from evenhand.metrics.statistics.uncertainty import interval, recentred

STEPS = 8
"""Number of points at which a metric is evaluated between the observed counts and the bound."""

STILL = 1e-12
"""Draws with a smaller range count as constant."""

BLOCK = 2**17
"""Numbers per block of resampled counts, chosen to fit into a processor's cache."""


@dataclass(frozen=True)
class Counted:
    """Images of one method by row and label, the last label undetermined.

    Attributes:
        point: ``(R, K + 1)`` counts.
        within: ``(B, R, K + 1)`` counts resampled within rows.
        across: ``(B, R, K + 1)`` counts with rows resampled as well.
    """

    point: FloatArray
    within: FloatArray
    across: FloatArray


@dataclass(frozen=True)
class Sample:
    """One metric of one method before summarising; values precede :attr:`Metric.finish`.

    Attributes:
        rows: ``(R,)`` values.
        across: ``(B, R)`` bootstrap draws for the aggregate.
        within: ``(B, R)`` draws for the rows; ``None`` if rows are not reported.
        n: ``(R,)`` images.
        bounds: ``(L, R)`` values that are possible although no draw shows them, given all images together.
        row_bounds: ``(L, R)`` the same bounds, given each row's own images.
        floor: ``(F, R)`` values of simulated fair models; ``None`` if the metric has no floor.
    """

    rows: FloatArray
    across: FloatArray
    within: FloatArray | None
    n: FloatArray
    bounds: FloatArray
    row_bounds: FloatArray
    floor: FloatArray | None = None

    def of_group(self, group: int) -> Sample:
        """The sample of one group, if every array has a last axis of groups."""
        return Sample(
            self.rows[..., group],
            self.across[..., group],
            None if self.within is None else self.within[..., group],
            self.n,
            self.bounds[..., group],
            self.row_bounds[..., group],
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
        draws: ``(B,)`` bootstrap draws of the aggregate, recentred on the value.
        rows: ``(R,)`` values of the rows.
        clusters: Number of resampled rows; infinite if the rows are fixed.
        estimate: Estimate of the aggregate.
        by_row: Estimates of the rows; empty if rows are not reported.
    """

    metric: Metric
    method: str
    value: float
    draws: FloatArray
    rows: FloatArray
    clusters: float
    estimate: EstimateRow
    by_row: tuple[EstimateRow, ...]

    def without_draws(self) -> Series:
        """The series without its draws, which take nearly all of its memory."""
        return replace(self, draws=np.empty(0))


def score_labels(
    metrics: list[LabelMetric], *, reading: Reading, counted: Counted, method: str, by_row: bool
) -> Iterator[Series]:
    """The series of label metrics under one reading; ``by_row`` adds estimates of the rows."""
    view = reading.view
    point, across = reading.point(counted.point), _over_draws(metrics, reading, counted.across)
    within: Sequence[FloatArray | None] = [None] * len(metrics)
    if by_row:
        same = counted.within is counted.across
        within = across if same else _over_draws(metrics, reading, counted.within)
    n_of = {"decided": counted.point[:, :-1].sum(axis=-1), "all": counted.point.sum(axis=-1)}
    row_bounds = {over: _extremes(reading, counted.point, n) for over, n in n_of.items()}
    bounds = {over: _extremes(reading, counted.point, np.full(len(n), n.sum())) for over, n in n_of.items()}
    for metric, drawn, drawn_within in zip(metrics, across, within, strict=True):
        n = n_of[metric.over]
        sample = Sample(
            rows=metric.of(point),
            across=drawn,
            within=drawn_within,
            n=n,
            bounds=metric.of(bounds[metric.over]),
            row_bounds=metric.of(row_bounds[metric.over]),
            floor=reading.floor(metric, n) if metric.floor else None,
        )
        key = _key(metric, view.kind, view.name, reading.judge, corrected=reading.calibration is not None)
        for number, group in enumerate(view.cells if metric.by_group else ("",)):
            yield summarise(
                metric,
                sample.of_group(number) if metric.by_group else sample,
                method=method,
                key=key.model_copy(update={"group": group}),
                names=view.layout.names,
                resamples=view.resamples,
            )


def _over_draws(metrics: Sequence[LabelMetric], reading: Reading, counts: FloatArray) -> list[FloatArray]:
    """Values ``(B, R)`` or ``(B, R, K)`` of each metric, for resampled counts ``(B, R, K + 1)``."""
    blocks = -(-counts.size // BLOCK)
    ends = [len(counts) * block // blocks for block in range(blocks + 1)]
    scored = []
    for start, stop in pairwise(ends):
        draws = slice(start, stop)
        tally = reading.resampled(counts[draws], draws=draws)
        scored.append([metric.of(tally) for metric in metrics])
    return [np.concatenate(parts) for parts in zip(*scored, strict=True)]


def score_images(
    metric: Metric, values: FloatArray, *, method: str, kind: str, layout: Layout, resamples: Resamples
) -> Series:
    """The series of the mean of an image column ``(n,)``; images without a value are left out."""
    present = np.isfinite(values)
    table = layout.sums(np.column_stack([np.where(present, values, 0), present]))
    point = table.sum(axis=1)
    within, across = resamples.of_both(table)
    none = np.empty((0, len(layout.names)))

    def mean(sums: FloatArray) -> FloatArray:
        return ratio(sums[..., 0], sums[..., 1])

    sample = Sample(
        rows=mean(point),
        across=mean(across),
        within=mean(within),
        n=point[:, 1],
        bounds=none,
        row_bounds=none,
    )
    key = _key(metric, kind, "", "", corrected=False)
    return summarise(metric, sample, method=method, key=key, names=layout.names, resamples=resamples)


def summarise(
    metric: Metric,
    sample: Sample,
    *,
    method: str,
    key: EstimateRow,
    names: tuple[str, ...],
    resamples: Resamples,
) -> Series:
    """The series of a sample: value, interval and floor of the aggregate and, if reported, of every row."""
    clusters = resamples.clusters if metric.reduce is mean_over else np.inf
    value = metric.reduce(sample.rows)
    draws = recentred(metric.reduce(sample.across), value)
    low, high = _limits(metric, value, draws, metric.reduce(sample.bounds), clusters)
    floor = np.nan if sample.floor is None else metric.finish(metric.reduce(sample.floor)).mean()
    estimate = key.model_copy(
        update={
            "value": float(metric.finish(value)),
            "low": float(low),
            "high": float(high),
            "n": int(sample.n.sum()),
            "floor": float(floor),
        }
    )
    shown = () if sample.within is None else _row_estimates(metric, sample, sample.within, key, names)
    return Series(metric, method, float(value), draws, sample.rows, clusters, estimate, shown)


def _row_estimates(
    metric: Metric, sample: Sample, within: FloatArray, key: EstimateRow, names: tuple[str, ...]
) -> tuple[EstimateRow, ...]:
    low, high = _limits(metric, sample.rows, recentred(within, sample.rows), sample.row_bounds, np.inf)
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
                "low": float(low[row]),
                "high": float(high[row]),
                "n": int(sample.n[row]),
                "floor": float(floor[row]),
            }
        )
        for row, name in enumerate(names)
    )


def _limits(
    metric: Metric, value: FloatArray, draws: FloatArray, bounds: FloatArray, clusters: float
) -> tuple[FloatArray, FloatArray]:
    """Interval after :attr:`Metric.finish`; if no draw varies, from the exact bounds on unseen groups."""
    low, high = interval(draws, clusters=clusters)
    still = high - low < STILL
    with_bounds = np.concatenate([np.broadcast_to(value, (1, *np.shape(value))), bounds])
    low = np.where(still, with_bounds.min(axis=0), np.minimum(low, value))
    high = np.where(still, with_bounds.max(axis=0), np.maximum(high, value))
    low, high = (np.clip(metric.finish(end), metric.low, metric.high) for end in (low, high))
    return low, high


def _extremes(reading: Reading, counts: FloatArray, n: FloatArray) -> Tally:
    """Tallies ``(2 STEPS, R, ...)`` in which outcomes unseen in ``n (R,)`` images reach their 95 % bound.

    The first ``STEPS`` tallies raise groups without an image, in proportion to their targets. The others
    raise undetermined images, or decided ones if all are undetermined. Resampling images that are all alike
    shows neither. A metric need not be monotone on the way to the bound, hence several steps.
    """
    decided, undetermined = counts[:, :-1], counts[:, -1:]
    some = unseen_bound(n)[:, None] * np.linspace(1, 0, STEPS, endpoint=False)[:, None, None]
    missing = np.where(decided == 0, reading.view.target, 0.0)
    filled = (1 - some) * decided + some * decided.sum(axis=-1, keepdims=True) * shares_of(missing)
    filled = np.where(missing.any(axis=-1, keepdims=True), filled, decided)
    total = counts.sum(axis=-1, keepdims=True)
    aimed = np.pad(reading.view.target, [(0, 0), (0, 1)])
    fewer, more = (1 - some) * counts, some * total * aimed
    lost = fewer + some * total * np.eye(counts.shape[1])[-1]
    either = np.where(undetermined == 0, lost, np.where(undetermined == total, fewer + more, counts))
    kept = np.broadcast_to(undetermined, (STEPS, *undetermined.shape))
    return reading.supposed(np.concatenate([np.concatenate([filled, kept], axis=-1), either]))


def _key(metric: Metric, kind: str, attributes: str, judge: str, *, corrected: bool) -> EstimateRow:
    """An estimate with its names and without numbers."""
    return EstimateRow(
        metric=metric.name,
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
        unit=metric.unit,
    )
