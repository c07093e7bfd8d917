"""Differences between methods, ranks of methods, and agreement of judges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from itertools import combinations, groupby
from typing import Literal

import numpy as np

from evenhand.metrics.base import Metric
from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.estimation.limits import STILL
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.estimation.score import Series
from evenhand.metrics.estimation.tallies import reach
from evenhand.metrics.judge_quality.agreement import cohen_kappa, krippendorff_alpha
from evenhand.metrics.representation import FloatArray, mean_over
from evenhand.metrics.rows import AgreementRow, DifferenceRow, EstimateRow, RankRow
from evenhand.metrics.statistics.ranking import rank_sets
from evenhand.metrics.statistics.uncertainty import (
    ALPHA,
    holm,
    interval,
    random_signs,
    recentred,
    sign_flip,
    smallest_sign_flip,
    stream,
)

Pair = tuple[str, str]
"""Two methods; a difference is the first minus the second."""

HEADLINE = (PANEL, "")
"""Judges on whose numbers methods are compared: the panel, or none for metrics without a judge."""


def grouped(series: Iterable[Series], *, judges: Collection[str] = HEADLINE) -> list[list[Series]]:
    """The aggregates of the given judges, grouped so that each group differs by method only."""

    def key(one: Series) -> tuple[str, str, str, str, bool, str]:
        row = one.estimate
        return row.metric, row.attributes, row.kind, row.judge, row.corrected, row.group

    kept = [one for one in series if one.estimate.judge in judges]
    return [list(group) for _, group in groupby(sorted(kept, key=key), key=key)]


def against_base(methods: Sequence[str], base: str | None) -> list[Pair]:
    """Pairs of every other method with the baseline; no pairs without a baseline."""
    return [] if base is None else [(method, base) for method in methods if method != base]


Match = Literal["same images", "same labels", "different"]
"""What two methods have in common on the images that a metric counts."""


def differences(
    series: Iterable[Series],
    study: Study,
    *,
    pairs: Sequence[Pair],
    seed: int,
    judges: Collection[str] = HEADLINE,
) -> list[DifferenceRow]:
    """Differences of each pair of methods, first minus second, paired by prompt and seed.

    Only of metrics that :attr:`~evenhand.metrics.base.Metric.compared` allows. p-values are Holm-adjusted
    over the pairs, separately for each metric, attribute, kind, judge and group; they are ``nan`` where there
    are too few concepts for an adjusted value of at most 5 %.
    """

    @cache
    def signs(pairs: int) -> FloatArray:
        return random_signs(pairs, rng=stream(seed, "sign flips"))

    rows = []
    matches: dict[tuple[str, str, object, str], Match] = {}
    for group in grouped((one for one in series if one.metric.compared), judges=judges):
        found = {one.method: one for one in group}
        sides = [(found[one], found[other]) for one, other in pairs]
        p_values = np.array([_p_value(one, other, signs, tests=len(pairs)) for one, other in sides])
        for (one, other), p, p_holm in zip(sides, p_values, holm(p_values), strict=True):
            place = (one.method, other.method, *_place(one))
            if place not in matches:
                matches[place] = match_of(one, study, other.method)
            rows.append(_difference(one, other, matches[place], p=float(p), p_holm=float(p_holm)))
    return rows


def _place(one: Series) -> tuple[object, str]:
    """The images and labels of a series, which most of its metrics share."""
    return (one.estimate.kind, "") if one.seen is None else (id(one.seen.reading.view), one.estimate.judge)


def _p_value(one: Series, other: Series, signs: Callable[[int], FloatArray], *, tests: int) -> float:
    if one.metric.reduce is not mean_over:
        return float("nan")
    found = one.rows - other.rows
    if tests * smallest_sign_flip(int(np.isfinite(found).sum())) > ALPHA:
        return float("nan")
    return sign_flip(found, signs=signs)


def _difference(one: Series, other: Series, match: Match, *, p: float, p_holm: float) -> DifferenceRow:
    row = one.estimate
    low, high = paired_interval(
        one.metric,
        (row, other.estimate),
        one.draws - other.draws,
        clusters=one.clusters,
        match=match,
        still=one.still and other.still,
        reach=reach(one.seen) if one.seen is not None and match == "same labels" else 0.0,
    )
    return DifferenceRow(
        label=one.method,
        against=other.method,
        metric=row.metric,
        attributes=row.attributes,
        kind=row.kind,
        judge=row.judge,
        corrected=row.corrected,
        group=row.group,
        value=row.value - other.estimate.value,
        low=low,
        high=high,
        n=int(np.isfinite(one.rows - other.rows).sum()),
        p=p,
        p_holm=p_holm,
        unit=row.unit,
    )


def match_of(one: Series, study: Study, other: str, *, row: int | None = None) -> Match:
    """What a method has in common with ``other`` on the images of a series, or of one of its rows.

    A pair of undetermined images counts as labelled alike.
    """
    first, second = (study.methods.index(name) for name in (one.method, other))
    if one.seen is None:
        slots = np.flatnonzero(study.slots["kind"] == one.estimate.kind)
    else:
        layout = one.seen.reading.view.layout
        slots = layout.slots if row is None else layout.slots[layout.row == row]
    if (study.keys[first, slots] == study.keys[second, slots]).all():
        return "same images"
    if one.seen is None:
        return "different"
    codes = study.joint_codes(one.seen.reading.judge, one.seen.reading.view.attributes)[:, slots]
    return "same labels" if (codes[first] == codes[second]).all() else "different"


def paired_interval(
    metric: Metric,
    sides: tuple[EstimateRow, EstimateRow],
    draws: FloatArray,
    *,
    clusters: float,
    match: Match,
    still: bool,
    reach: float,
) -> tuple[float, float]:
    """95 % interval of a paired difference, within the possible range of differences.

    If no pair of images is labelled differently, resampling shows no variation, and the ends are those of the
    exact bound on changes that no pair shows. If neither side varies but the labels differ, the intervals of
    both sides are combined, as always for the lowest row or the range of the rows.

    Args:
        metric: The metric.
        sides: The two estimates; the difference is the first minus the second.
        draws: ``(B,)`` bootstrap draws of the difference.
        clusters: Number of resampled rows; infinite if the rows are fixed.
        match: What both sides have in common; the same images have a difference of exactly 0.
        still: Whether the uncorrected draws of neither side vary.
        reach: How far unseen changes can move a side, see :func:`evenhand.metrics.estimation.tallies.reach`.
    """
    one, other = sides
    value = one.value - other.value
    if match == "same images":
        return value, value
    if match == "same labels":
        low, high = value - reach, value + reach
    else:
        low, high = (float(end) for end in interval(recentred(draws, value), clusters=clusters))
        if metric.of_extremes or still or high - low < STILL:
            low, high = _from_ends(one, other)
    widest = metric.high - metric.low
    return max(min(low, value), -widest), min(max(high, value), widest)


def _from_ends(a: EstimateRow, b: EstimateRow) -> tuple[float, float]:
    """Interval of a difference from the two estimates' intervals, as if they were independent.

    ``nan`` if neither interval has a width: then nothing was resampled. Source: Newcombe 1998; Zou and Donner
    2008.
    """
    if a.low == a.high and b.low == b.high:
        return float("nan"), float("nan")
    below = float(np.hypot(a.value - a.low, b.high - b.value))
    above = float(np.hypot(a.high - a.value, b.value - b.low))
    return a.value - b.value - below, a.value - b.value + above


def ranks(series: Iterable[Series]) -> dict[str, list[RankRow]]:
    """Method to its rank sets, for every metric that has a direction and is ``ranked``.

    Values and draws precede :attr:`~evenhand.metrics.base.Metric.finish`, which keeps their order. Methods
    without a value have no rank.
    """
    found: dict[str, list[RankRow]] = {}
    for group in grouped(one for one in series if one.metric.ranked):
        metric = group[0].metric
        present = [one for one in group if np.isfinite(one.value)]
        if not metric.better or group[0].estimate.group or len(present) < 2:
            continue
        sign = 1.0 if metric.better == "lower" else -1.0
        theta = np.array([one.value for one in present])
        draws = np.column_stack([one.draws for one in present])
        sets = rank_sets(sign * theta, sign * draws, clusters=group[0].clusters)
        for number, one in enumerate(present):
            row = one.estimate
            place = RankRow(
                metric=row.metric,
                attributes=row.attributes,
                kind=row.kind,
                judge=row.judge,
                corrected=row.corrected,
                low=int(sets.low[number]),
                high=int(sets.high[number]),
                of=len(present),
                tie_group=sets.tie[number],
                beaten_by=[present[other].method for other in np.flatnonzero(sets.worse[number])],
            )
            found.setdefault(one.method, []).append(place)
    # ``of`` counts the methods with any rank, and they are only known now.
    return {
        method: [row.model_copy(update={"of": len(found)}) for row in rows] for method, rows in found.items()
    }


def agreement_of(study: Study, *, draws: int, seed: int) -> list[AgreementRow]:
    """Krippendorff's alpha of all judges and Cohen's kappa of every pair of judges, by attribute.

    Images that several methods share count once. The panel does not count as a judge.
    """
    wanted = (study.status == "ok") & study.people
    _, first = np.unique(study.keys[wanted].astype(str), return_index=True)
    rows = []
    for attribute, groups in study.taxonomy.items():
        judges = [judge for judge in study.judges([attribute]) if judge != PANEL]
        if len(judges) < 2:
            continue
        codes = np.stack([study.codes[judge, attribute][wanted][first] for judge in judges])
        rng = stream(seed, "agreement", attribute)
        alpha = krippendorff_alpha(codes, len(groups), draws=draws, rng=rng)
        rows.append(_agreement("krippendorff_alpha", attribute, judges, alpha))
        for i, j in combinations(range(len(judges)), 2):
            kappa = cohen_kappa(codes[i], codes[j], len(groups))
            rows.append(_agreement("cohen_kappa", attribute, [judges[i], judges[j]], kappa))
    return rows


def _agreement(
    statistic: str, attribute: str, judges: Sequence[str], found: tuple[float, float, float, int]
) -> AgreementRow:
    value, low, high, n = found
    return AgreementRow(
        judges="*".join(judges),
        attribute=attribute,
        statistic=statistic,
        value=value,
        low=low,
        high=high,
        n=n,
    )
