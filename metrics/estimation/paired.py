"""Paired comparison of methods: differences of aggregates, of single concepts, and changed labels.

Both sides have images of the same prompts and seed numbers. If a seed number also stands for the same initial
noise, pairing removes most of the sampling variation; otherwise the intervals are as wide as for two
independent samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.metrics import catalog
from evenhand.metrics.estimation.comparison import HEADLINE, Pair, differences, match_of, paired_interval
from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.estimation.measure import (
    Embeddings,
    MeasurePlan,
    counts,
    every_series,
    measurement_of,
    study_of,
)
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.estimation.score import Series
from evenhand.metrics.estimation.tallies import Reading, row_reach
from evenhand.metrics.estimation.views import View, make_views
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.rows import DifferenceRow, EstimateRow, FlipRow, Measurement
from evenhand.metrics.statistics.significance import benjamini_hochberg, label_flips
from evenhand.metrics.statistics.uncertainty import holm

BY_CONCEPT = (catalog.excess_agreement, catalog.share)
"""Metrics compared by concept: the squared distance, and for single attributes the share of every group."""


@dataclass(frozen=True)
class PairedMeasurement:
    """The result of :func:`measure_pairs`.

    Attributes:
        measured: Estimates of each method, and differences of the aggregates of every judge for all pairs;
            without ranks.
        concepts: Differences by concept.
        flips: Changes of the perceived group.
    """

    measured: Measurement
    concepts: list[DifferenceRow]
    flips: list[FlipRow]


def measure_pairs(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    plan: MeasurePlan,
    pairs: Sequence[Pair],
    embeddings: Embeddings | None = None,
) -> PairedMeasurement:
    """The paired measurement of methods; for the pairs of a run, the differences equal those of the run.

    Args:
        images: As in :func:`evenhand.metrics.estimation.measure.measure`; all methods have the same slots.
        labels: As in :func:`evenhand.metrics.estimation.measure.measure`.
        plan: The settings; ``base`` is ignored.
        pairs: The methods to compare, the first minus the second.
        embeddings: Key to unit vector of unrelated images, for the change from the second to the first
            method.

    Raises:
        EvenhandError: The tables are incomplete.
    """
    plan = replace(plan, base=None)
    study = study_of(images, labels, plan=plan)
    series, notes = every_series(study, plan, None)
    judges = [*study.judges(()), *HEADLINE]
    found = differences(series, study, pairs=pairs, seed=plan.seed, judges=judges)
    return PairedMeasurement(
        measured=measurement_of(
            study,
            series,
            plan,
            between=[*found, *_preservation(study, plan, pairs, embeddings)],
            order={},
            notes=notes,
        ),
        concepts=list(_by_concept(study, plan, pairs, series)),
        flips=flip_tests(study, pairs),
    )


def _preservation(
    study: Study, plan: MeasurePlan, pairs: Sequence[Pair], embeddings: Embeddings | None
) -> Iterator[DifferenceRow]:
    """The change of unrelated images, relative to the second method of each pair."""
    for against in dict.fromkeys(other for _, other in pairs) if embeddings else ():
        alone = replace(plan, base=against, metrics=(catalog.preservation,))
        series, _ = every_series(study, alone, embeddings)
        mine = [pair for pair in pairs if pair[1] == against]
        yield from differences(series, study, pairs=mine, seed=plan.seed)


def _by_concept(
    study: Study, plan: MeasurePlan, pairs: Sequence[Pair], series: Sequence[Series]
) -> Iterator[DifferenceRow]:
    names = {metric.name for metric in BY_CONCEPT}
    known = {
        (one.method, one.metric.name, one.estimate.attributes, one.estimate.group): one
        for one in series
        if one.metric.name in names and one.estimate.judge == PANEL and not one.estimate.corrected
        if one.estimate.kind == "neutral"
    }
    views = make_views(
        study, attribute_sets=plan.attribute_sets(), target=plan.target, sampling=plan.sampling()
    )
    for view in (view for view in views if view.kind == "neutral"):
        draws = {method: _within(view, study, method, plan.seed) for method in study.methods}
        for pair in pairs:
            for metric, group in draws[pair[0]]:
                difference = draws[pair[0]][metric, group] - draws[pair[1]][metric, group]
                one, other = (known[name, metric, view.name, group] for name in pair)
                yield from _concept_differences((one, other), study, difference)


def _concept_differences(
    sides: tuple[Series, Series], study: Study, draws: FloatArray
) -> Iterator[DifferenceRow]:
    """The differences of all concepts; intervals are not adjusted for the number of concepts."""
    one, other = sides
    for row, estimates in enumerate(zip(one.by_row, other.by_row, strict=True)):
        match = match_of(one, study, other.method, row=row)
        away = 0.0
        if one.seen is not None and match == "same labels":
            away = float(row_reach(one.seen, one.seen.n)[row])
        low, high = paired_interval(
            one.metric,
            estimates,
            draws[:, row],
            clusters=np.inf,
            match=match,
            still=all(bool(side.rows_still[row]) for side in sides if side.rows_still is not None),
            reach=away,
        )
        yield _concept_difference((one.method, other.method), estimates, low=low, high=high)


def _concept_difference(
    pair: Pair, sides: tuple[EstimateRow, EstimateRow], *, low: float, high: float
) -> DifferenceRow:
    (label, against), (one, other) = pair, sides
    return DifferenceRow(
        label=label,
        against=against,
        metric=one.metric,
        attributes=one.attributes,
        kind=one.kind,
        judge=one.judge,
        corrected=one.corrected,
        concept=one.concept,
        group=one.group,
        value=one.value - other.value,
        low=low,
        high=high,
        n=min(one.n, other.n),
        unit=one.unit,
    )


def _within(view: View, study: Study, method: str, seed: int) -> dict[tuple[str, str], FloatArray]:
    """Metric and group to the draws ``(B, R)`` of every concept, resampled within the concept."""
    place = study.methods.index(method)
    (counted,) = counts(view, study.joint_codes(PANEL, view.attributes)[[place]])
    assert counted.within is not None
    tally = Reading(view, PANEL, None, seed).resampled(counted.within)
    found: dict[tuple[str, str], FloatArray] = {}
    for metric in BY_CONCEPT:
        drawn = metric.of(tally)
        if not metric.by_group:
            found[metric.name, ""] = drawn
        elif len(view.attributes) == 1:
            found |= {(metric.name, name): drawn[..., place] for place, name in enumerate(view.cells)}
    return found


def flip_tests(study: Study, pairs: Sequence[Pair]) -> list[FlipRow]:
    """Changes of the panel's labels on neutral prompts by attribute, over all concepts and by concept."""
    neutral = (study.slots["kind"] == "neutral").to_numpy()
    concepts = sorted(set(study.slots.loc[neutral, "concept"]))
    names = [name for name in study.taxonomy if (PANEL, name) in study.codes]
    whole = [_flip(study, pair, name, "", neutral) for pair in pairs for name in names]
    rows = _adjusted(whole, holm(np.array([row.p for row in whole])))
    for pair in pairs:
        single = [
            _flip(study, pair, name, concept, neutral & (study.slots["concept"] == concept).to_numpy())
            for name in names
            for concept in concepts
        ]
        rows += _adjusted(single, benjamini_hochberg(np.array([row.p for row in single])))
    return rows


def _flip(study: Study, pair: Pair, attribute: str, concept: str, slots: NDArray[np.bool_]) -> FlipRow:
    after, before = (study.codes[PANEL, attribute][study.methods.index(name)][slots] for name in pair)
    groups = study.taxonomy[attribute]
    flips = label_flips(before, after, len(groups))
    label, against = pair
    return FlipRow(
        label=label,
        against=against,
        attribute=attribute,
        concept=concept,
        groups=list(groups),
        table=flips.table.tolist(),
        changed=flips.changed,
        low=flips.low,
        high=flips.high,
        n=flips.n,
        p=flips.p,
        p_adjusted=float("nan"),
    )


def _adjusted(rows: Sequence[FlipRow], p_values: FloatArray) -> list[FlipRow]:
    return [row.model_copy(update={"p_adjusted": float(p)}) for row, p in zip(rows, p_values, strict=True)]
