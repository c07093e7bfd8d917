"""Limits of estimates: intervals from bootstrap draws, and exact bounds where no draw varies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.base import Metric, lowest
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import interval, transformed_interval, upper_end

Bounds = Callable[[], FloatArray]
"""Function to values that are possible although no draw shows them."""

RowBounds = Callable[[int], FloatArray]
"""Function to the same values, given how many bounds shall hold together."""

STILL = 1e-12
"""Draws with a smaller range count as constant."""


class Limits(NamedTuple):
    """Ends of intervals, and whether no draw of the uncorrected value varies; all of one shape."""

    low: FloatArray
    high: FloatArray
    still: NDArray[np.bool_]


def limits_of(
    metric: Metric,
    value: FloatArray,
    draws: FloatArray,
    bounds: Bounds,
    clusters: float,
    *,
    still: NDArray[np.bool_] | None,
    skew: float = 0.0,
    transformed: bool = False,
    together: int = 1,
) -> Limits:
    """Intervals after :attr:`Metric.finish`; if the labels do not vary, at least the exact bounds.

    Args:
        metric: The metric.
        value: ``(...)`` values before :attr:`Metric.finish`.
        draws: ``(B, ...)`` draws, recentred; none for a metric without an interval.
        bounds: Function to values ``(L, ...)`` that are possible although no draw shows them.
        clusters: Number of resampled rows; infinite if the rows are fixed.
        still: ``(...)`` whether the labels vary in no draw; ``None`` to see it from these draws.
        skew: Skewness of the resampled rows.
        transformed: Whether the interval is :func:`transformed_interval`, for draws ``(B,)``.
        together: Number of intervals that shall cover together in 95 %.
    """
    if not metric.interval:
        none = np.full(np.shape(value), np.nan)
        return Limits(none, none, np.zeros(np.shape(value), bool))
    low, high = (
        np.asarray(transformed_interval(draws, float(value), clusters=clusters, skew=skew))
        if transformed
        else interval(draws, clusters=clusters, skew=skew, together=together)
    )
    still = high - low < STILL if still is None else still
    low, high = np.minimum(low, value), np.maximum(high, value)
    if still.any():
        ends = bounds()
        low = np.where(still, np.minimum(low, ends.min(axis=0, initial=np.inf)), low)
        high = np.where(still, np.maximum(high, ends.max(axis=0, initial=-np.inf)), high)
    high = upper_end(high, value, minimum=metric.minimum)
    low, high = (np.clip(metric.finish(end), metric.low, metric.high) for end in (low, high))
    return Limits(low, high, still)


def limits_of_extremes(
    metric: Metric,
    rows: FloatArray,
    draws: FloatArray | None,
    bounds: RowBounds,
    *,
    still: NDArray[np.bool_] | None,
) -> tuple[Limits, NDArray[np.bool_] | None]:
    """The interval of the lowest row, or of the range of the rows, and which rows do not vary.

    If the intervals of all rows cover, as they do together in 95 %, the lowest row lies between the lowest
    lower and the lowest upper end, and the range between the ends that the rows' intervals leave it. Draws of
    the extremes themselves would not do: noise lowers the lowest value once in the sample and again in every
    draw.

    Args:
        metric: A metric of extremes.
        rows: ``(R,)`` values of the rows, which are fixed.
        draws: ``(B, R)`` draws of the rows, recentred; ``None`` without an interval.
        bounds: Function to values ``(L, R)`` that are possible although no draw shows them, given how many
            bounds shall hold together.
        still: ``(R,)`` whether the labels vary in no draw; ``None`` to see it from these draws.
    """
    together = int(np.isfinite(rows).sum())
    if draws is None or not together:
        return Limits(np.asarray(np.nan), np.asarray(np.nan), np.asarray(False)), None
    ends = limits_of(metric, rows, draws, partial(bounds, together), np.inf, still=still, together=together)
    low, high = lowest(ends.low), lowest(ends.high)
    if metric.reduce is not lowest:
        low, high = np.maximum(-lowest(-ends.low) - high, 0), -lowest(-ends.high) - low
    return Limits(low, high, np.asarray(ends.still.all())), ends.still
