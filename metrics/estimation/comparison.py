"""Differences between methods, ranks of methods, and agreement of judges."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import combinations, groupby

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.estimation.score import STILL, Series
from evenhand.metrics.judge_quality.agreement import cohen_kappa, krippendorff_alpha
from evenhand.metrics.representation import FloatArray, mean_over
from evenhand.metrics.rows import AgreementRow, DifferenceRow, EstimateRow, RankRow
from evenhand.metrics.statistics.uncertainty import holm, interval, rank_sets, recentred, sign_flip, stream

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


def differences(
    series: Iterable[Series],
    study: Study,
    *,
    pairs: Sequence[Pair],
    seed: int,
    judges: Collection[str] = HEADLINE,
) -> list[DifferenceRow]:
    """Differences of each pair of methods, first minus second, paired by prompt and seed.

    p-values are Holm-adjusted over the pairs, separately for each metric, attribute, kind, judge and group.
    """

    @cache
    def same(kind: str, one: str, other: str) -> bool:
        slots = (study.slots["kind"] == kind).to_numpy()
        return same_images(study, one, other, slots=slots)

    rows = []
    for group in grouped(series, judges=judges):
        found = {one.method: one for one in group}
        sides = [(found[one], found[other]) for one, other in pairs]
        p_values = np.array([_p_value(one, other, seed) for one, other in sides])
        for (one, other), p, p_holm in zip(sides, p_values, holm(p_values), strict=True):
            alike = same(one.estimate.kind, one.method, other.method)
            rows.append(_difference(one, other, p=float(p), p_holm=float(p_holm), same=alike))
    return rows


def _p_value(one: Series, other: Series, seed: int) -> float:
    if one.metric.reduce is not mean_over:
        return float("nan")
    return sign_flip(one.rows - other.rows, rng=stream(seed, "sign flips"))


def _difference(one: Series, other: Series, *, p: float, p_holm: float, same: bool) -> DifferenceRow:
    finish, row = one.metric.finish, one.estimate
    value = row.value - other.estimate.value
    low, high = paired_interval(
        (row, other.estimate),
        finish(one.draws) - finish(other.draws),
        clusters=one.clusters,
        same=same,
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
        value=value,
        low=low,
        high=high,
        n=int(np.isfinite(one.rows - other.rows).sum()),
        p=p,
        p_holm=p_holm,
        unit=row.unit,
    )


def paired_interval(
    sides: tuple[EstimateRow, EstimateRow], draws: FloatArray, *, clusters: float, same: bool
) -> tuple[float, float]:
    """95 % interval of a paired difference.

    Args:
        sides: The two estimates; the difference is the first minus the second.
        draws: ``(B,)`` bootstrap draws of the difference.
        clusters: Number of resampled rows; infinite if the rows are fixed.
        same: Whether both sides consist of the same images, so that draws without variation are exact.
    """
    one, other = sides
    value = one.value - other.value
    low, high = (float(end) for end in interval(recentred(draws, value), clusters=clusters))
    if high - low < STILL and not same:
        low, high = _from_ends(one, other)
    return min(low, value), max(high, value)


def same_images(study: Study, first: str, second: str, *, slots: NDArray[np.bool_]) -> bool:
    """Whether two methods have the same images in the slots ``(S,)``."""
    rows = [study.keys[study.methods.index(method)][slots] for method in (first, second)]
    return bool((rows[0] == rows[1]).all())


def _from_ends(a: EstimateRow, b: EstimateRow) -> tuple[float, float]:
    """Interval of a difference whose draws do not vary, from the two estimates' intervals (Newcombe 1998)."""
    below = np.hypot(a.value - a.low, b.high - b.value)
    above = np.hypot(a.high - a.value, b.value - b.low)
    return a.value - b.value - below, a.value - b.value + above


def ranks(series: Iterable[Series]) -> dict[str, list[RankRow]]:
    """Method to its rank sets, for every metric with a direction; methods without a value have no rank."""
    found: dict[str, list[RankRow]] = {}
    for group in grouped(series):
        metric = group[0].metric
        present = [one for one in group if np.isfinite(one.value)]
        if not metric.better or group[0].estimate.group or len(present) < 2:
            continue
        sign = 1.0 if metric.better == "lower" else -1.0
        theta = np.array([one.estimate.value for one in present])
        draws = np.column_stack([metric.finish(one.draws) for one in present])
        sets = rank_sets(sign * theta, sign * draws)
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
