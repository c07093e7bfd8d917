"""Methods against the base and against each other, and judges against each other: rows for the tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, groupby

import numpy as np

from evenhand.metrics.agreement import cohen_kappa, krippendorff_alpha
from evenhand.metrics.encode import Study
from evenhand.metrics.panel import PANEL
from evenhand.metrics.ranking import marginal_ranks
from evenhand.metrics.representation import mean_over
from evenhand.metrics.rows import Agreement, Difference, Rank
from evenhand.metrics.score import STILL, Series
from evenhand.metrics.uncertainty import holm, interval, rank_sets, recentred, sign_flip, stream


def headline(series: Iterable[Series]) -> list[list[Series]]:
    """What methods are compared on: aggregates of the panel, or without a judge, grouped over methods."""

    def key(one: Series) -> tuple[str, str, str, str, bool, str]:
        row = one.estimate
        return row.metric, row.attributes, row.kind, row.judge, row.corrected, row.group

    kept = [one for one in series if one.estimate.judge in (PANEL, "")]
    return [list(group) for _, group in groupby(sorted(kept, key=key), key=key)]


def differences(series: Iterable[Series], study: Study, *, base: str | None, seed: int) -> list[Difference]:
    """Every method minus the base, paired; p-values are Holm-adjusted over the methods of a comparison."""
    rows = []
    for group in headline(series):
        first = [one for one in group if one.method == base]
        others = [one for one in group if one.method != base]
        if not first or not others:
            continue
        p_values = np.array([_p_value(one, first[0], seed) for one in others])
        for one, p, p_holm in zip(others, p_values, holm(p_values), strict=True):
            rows.append(_difference(one, first[0], p=float(p), p_holm=float(p_holm), study=study))
    return rows


def _p_value(one: Series, base: Series, seed: int) -> float:
    if one.metric.reduce is not mean_over:
        return float("nan")
    return sign_flip(one.rows - base.rows, rng=stream(seed, "sign flips"))


def _difference(one: Series, base: Series, *, p: float, p_holm: float, study: Study) -> Difference:
    finish, row = one.metric.finish, one.estimate
    value = row.value - base.estimate.value
    drawn = recentred(finish(one.draws) - finish(base.draws), value)
    low, high = (float(end) for end in interval(drawn, clusters=one.clusters))
    if high - low < STILL and not _same_pictures(study, one.method, base.method, row.kind):
        low, high = _from_ends(one, base)
    return Difference(
        metric=row.metric,
        attributes=row.attributes,
        kind=row.kind,
        judge=row.judge,
        corrected=row.corrected,
        group=row.group,
        method=one.method,
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=int(np.isfinite(one.rows - base.rows).sum()),
        p=p,
        p_holm=p_holm,
        unit=row.unit,
    )


def _same_pictures(study: Study, first: str, second: str, kind: str) -> bool:
    slots = (study.slots["kind"] == kind).to_numpy()
    rows = [study.keys[study.methods.index(method)][slots] for method in (first, second)]
    return bool((rows[0] == rows[1]).all())


def _from_ends(one: Series, base: Series) -> tuple[float, float]:
    """Interval of a difference whose draws do not vary, from both sides' own intervals (Newcombe 1998)."""
    a, b = one.estimate, base.estimate
    below = np.hypot(a.value - a.low, b.high - b.value)
    above = np.hypot(a.high - a.value, b.value - b.low)
    return a.value - b.value - below, a.value - b.value + above


def ranks(series: Iterable[Series]) -> list[Rank]:
    """Where every method may stand, for every metric with a good end; without a value there is no rank."""
    rows = []
    for group in headline(series):
        metric = group[0].metric
        present = [one for one in group if np.isfinite(one.value)]
        if not metric.better or group[0].estimate.group or len(present) < 2:
            continue
        sign = 1.0 if metric.better == "lower" else -1.0
        theta = np.array([one.estimate.value for one in present])
        draws = np.column_stack([metric.finish(one.draws) for one in present])
        sets, alone = rank_sets(sign * theta, sign * draws), marginal_ranks(sign * draws)
        for number, one in enumerate(present):
            row = one.estimate
            rows.append(
                Rank(
                    metric=row.metric,
                    attributes=row.attributes,
                    kind=row.kind,
                    judge=row.judge,
                    corrected=row.corrected,
                    method=one.method,
                    value=row.value,
                    rank_low=int(sets.low[number]),
                    rank_high=int(sets.high[number]),
                    tie=sets.tie[number],
                    marginal_low=float(alone.low[number]),
                    marginal_high=float(alone.high[number]),
                    best=float(alone.best[number]),
                )
            )
    return rows


def agreement_of(study: Study, *, draws: int, seed: int) -> list[Agreement]:
    """Krippendorff's alpha of all judges and Cohen's kappa of every pair, by attribute.

    Pictures that several methods share count once; the panel is no judge of its own here.
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
) -> Agreement:
    return Agreement(statistic, attribute, tuple(judges), *found)
