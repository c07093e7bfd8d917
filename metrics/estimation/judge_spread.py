"""Dependence of a result on the judge: the gap to a method's steering judge, and the spread over judges.

A method with a classifier in its loop is tuned to that classifier. Evaluating it with the same classifier
would measure the training objective, so the steering judge has no vote. The gap between its estimate and the
panel's is reported instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np

from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.estimation.score import Series
from evenhand.metrics.rows import SpreadRow, SteeringRow
from evenhand.metrics.statistics.uncertainty import interval, recentred


def steering_gaps(
    series: Iterable[Series], steering: Mapping[str, str | None]
) -> dict[str, list[SteeringRow]]:
    """Method to the panel's estimates minus those of its steering judge, paired by image.

    Both use uncorrected labels, because the method is tuned to these. Not every gap is due to the method: the
    two judges differ on the baseline as well, as :func:`judge_spreads` shows. Methods without a steering
    judge and metrics that are not :attr:`~evenhand.metrics.base.Metric.ranked` are left out.

    Args:
        series: All scored series.
        steering: Method to its steering judge, or ``None``.
    """
    rows: dict[str, list[SteeringRow]] = {}
    for group in _over_judges(series):
        by_judge = {one.estimate.judge: one for one in group}
        judge = steering.get(group[0].method)
        known = judge is not None and {judge, PANEL} <= set(by_judge)
        if judge is None or not known or group[0].estimate.corrected or not group[0].metric.ranked:
            continue
        panel, steered = by_judge[PANEL], by_judge[judge]
        value, low, high = _difference(panel, steered)
        row = panel.estimate
        rows.setdefault(panel.method, []).append(
            SteeringRow(
                metric=row.metric,
                attributes=row.attributes,
                kind=row.kind,
                group=row.group,
                judge=judge,
                panel=row.value,
                steering=steered.estimate.value,
                value=value,
                low=low,
                high=high,
                n=row.n,
                unit=row.unit,
            )
        )
    return rows


def judge_spreads(
    series: Iterable[Series], *, base: str | None, steering: Mapping[str, str | None]
) -> dict[str, list[SpreadRow]]:
    """Method to the largest minus smallest estimate over the single judges, by metric and attribute.

    A method is ``judge_dependent`` on a metric if one judge puts it above the baseline and another below. The
    method's steering judge and the panel's vote are left out.

    Args:
        series: All scored series.
        base: The baseline, or ``None``.
        steering: Method to its steering judge, or ``None``.
    """
    groups = _over_judges(series)
    of_base = {_key(one, judge=True): one for group in groups for one in group if one.method == base}
    rows: dict[str, list[SpreadRow]] = {}
    for group in groups:
        own = {PANEL, steering.get(group[0].method)}
        asked = [one for one in group if one.estimate.judge not in own and np.isfinite(one.estimate.value)]
        if len(asked) < 2:
            continue
        asked.sort(key=lambda one: (one.estimate.value, one.estimate.judge))
        known = [one for one in asked if one.method != base and _key(one, judge=True) in of_base]
        changes = [one.estimate.value - of_base[_key(one, judge=True)].estimate.value for one in known]
        row = asked[0].estimate
        rows.setdefault(asked[0].method, []).append(
            SpreadRow(
                metric=row.metric,
                attributes=row.attributes,
                kind=row.kind,
                corrected=row.corrected,
                group=row.group,
                value=asked[-1].estimate.value - row.value,
                lowest=row.judge,
                highest=asked[-1].estimate.judge,
                judges=len(asked),
                judge_dependent=min(changes, default=0) < 0 < max(changes, default=0),
                unit=row.unit,
            )
        )
    return rows


def _key(one: Series, *, judge: bool) -> tuple[str | bool, ...]:
    row = one.estimate
    key = (row.metric, row.attributes, row.kind, row.corrected, row.group)
    return (*key, row.judge) if judge else key


def _over_judges(series: Iterable[Series]) -> list[list[Series]]:
    """Aggregates of one method, grouped so that each group differs by judge only."""

    def key(one: Series) -> tuple[str, tuple[str | bool, ...]]:
        return one.method, _key(one, judge=False)

    judged = [one for one in series if one.estimate.judge]
    return [list(group) for _, group in groupby(sorted(judged, key=key), key=key)]


def _difference(one: Series, other: Series) -> tuple[float, float, float]:
    finish = one.metric.finish
    value = one.estimate.value - other.estimate.value
    drawn = recentred(finish(one.draws) - finish(other.draws), value)
    low, high = (float(end) for end in interval(drawn, clusters=one.clusters))
    return value, min(low, value), max(high, value)
