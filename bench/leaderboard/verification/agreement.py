"""Tests of a submission against fresh noise: its primary number, and whether the judge families agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evenhand.bench.results.fresh import CONFIDENCE, Agreement, FamilyGap
from evenhand.bench.results.lookup import COMPARED_METRIC, Key, Reading
from evenhand.bench.results.result import Result
from evenhand.metrics.representation import (
    largest_squared_distance,
    multinomial_noise,
    shares_of,
    squared_deviation,
)

Floats = NDArray[np.float64]

MIN_CONCEPTS = 5
"""With fewer concepts there is no interval."""

MIN_DEVIATION = 0.02
"""Where the baseline deviates less, there is no improvement to share out among the judges."""

UNKNOWN = float("nan")


def agreement(submitted: Result, fresh: Result, *, key: Key) -> Agreement:
    """The primary number of a submission against that on fresh noise.

    The difference is taken concept by concept, so that only the noise of both counts, and not which
    occupations are uneven. Its interval is that of a one-sample t-test over the concepts.

    Args:
        submitted: The result of the entry.
        fresh: The result on fresh noise.
        key: The number that ranks.
    """
    pairs = np.array([_by_concept(result, key) for result in (submitted, fresh)])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < MIN_CONCEPTS:
        nothing = dict.fromkeys(("submitted", "fresh", "difference", "low", "high"), UNKNOWN)
        return Agreement(attributes=key.attributes, concepts=pairs.shape[1], **nothing)
    moved = pairs[1] - pairs[0]
    if np.ptp(moved) == 0:
        low = high = float(moved[0])
    else:
        low, high = map(float, stats.ttest_1samp(moved, 0.0).confidence_interval(CONFIDENCE))
    return Agreement(
        attributes=key.attributes,
        submitted=float(pairs[0].mean()),
        fresh=float(pairs[1].mean()),
        difference=float(moved.mean()),
        low=low,
        high=high,
        concepts=pairs.shape[1],
    )


def _by_concept(result: Result, key: Key) -> list[float]:
    """The squared distance of every concept; ``nan`` where it was not measured."""
    reading = Reading.of(result)
    where = key._replace(metric=COMPARED_METRIC)
    rows = [reading.at(where._replace(concept=concept)) for concept in result.spec.concepts]
    return [UNKNOWN if row is None else row.value for row in rows]


def deviations(
    images: pd.DataFrame, labels: pd.DataFrame, *, groups: Sequence[str], targets: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Judge to the squared deviation of every concept, from 0 to 1; ``nan`` below two decided images.

    Args:
        images: Rows of the image table; only neutral prompts count.
        labels: Rows of the label table of one attribute.
        groups: The groups of the attribute.
        targets: Concept to the target shares of its groups.
    """
    places = images.loc[images["kind"] == "neutral", ["key", "concept"]]
    given = labels[labels["status"] == "ok"].merge(places, on="key")
    target = np.array(list(targets.values()))
    found = {}
    for judge, rows in given.groupby("judge"):
        counts = pd.crosstab(rows["concept"], rows["label"])
        table = counts.reindex(index=list(targets), columns=list(groups), fill_value=0).to_numpy(float)
        shares = shares_of(table)
        noise = multinomial_noise(shares, table.sum(axis=1))
        found[str(judge)] = squared_deviation(shares, target, noise) / largest_squared_distance(target)
    return found


def family_gaps(
    own: Mapping[str, Floats],
    base: Mapping[str, Floats],
    *,
    attribute: str,
    families: Mapping[str, str],
    voters: Collection[str],
    steering: str | None,
    held_back: Collection[str],
) -> list[FamilyGap]:
    """How much more of the improvement each judge family sees than the family that is closest to it.

    A judge sees the share ``kept`` of the baseline's squared deviation that is left. Errors of a judge shrink
    the deviations of method and baseline alike, so the share hardly depends on them; for most published
    methods, the families agree within a few points. A method that satisfies one judge and not the eye is
    seen by that judge's family alone.

    Args:
        own: Judge to the deviations of the method, see :func:`deviations`.
        base: The same of the baseline.
        attribute: The attribute.
        families: Judge to its family.
        voters: The judges that vote.
        steering: The steering judge that the method declares.
        held_back: The judges that were held back.

    Returns:
        One row per family, sorted by name; none with fewer than two families or without deviations. The
        bounds are one-sided and hold for all families of the attribute together.
    """
    members = _members(own, base, families)
    if len(members) < 2:
        return []
    parts = {name: _kept(*_mean(own, base, judges)) for name, judges in members.items()}
    return [
        _gap(
            name,
            parts,
            judges=members[name],
            attribute=attribute,
            declared=families.get(steering or "") == name,
            held_back=set(members[name]) <= set(held_back),
            votes=bool(set(members[name]) & set(voters)),
        )
        for name in sorted(members)
    ]


def _members(
    own: Mapping[str, Floats], base: Mapping[str, Floats], families: Mapping[str, str]
) -> dict[str, list[str]]:
    """Family to its judges that see the baseline deviate."""
    found: dict[str, list[str]] = defaultdict(list)
    for judge in sorted(set(own) & set(base)):
        there = np.isfinite(own[judge]) & np.isfinite(base[judge])
        if there.sum() >= MIN_CONCEPTS and base[judge][there].mean() >= MIN_DEVIATION:
            found[families[judge]].append(judge)
    return dict(found)


def _mean(
    own: Mapping[str, Floats], base: Mapping[str, Floats], judges: Sequence[str]
) -> tuple[Floats, Floats]:
    """The mean deviations of method and baseline over some judges; ``nan`` where one side lacks a number."""
    one, other = (np.mean([side[judge] for judge in judges], axis=0) for side in (own, base))
    there = np.isfinite(one) & np.isfinite(other)
    return np.where(there, one, np.nan), np.where(there, other, np.nan)


def _kept(own: Floats, base: Floats) -> tuple[float, Floats]:
    """The share of the deviation that is left, and the influence of every concept on it.

    The share is a ratio of means; its influence is that of the delta method.
    """
    whole = float(np.nanmean(base))
    share = float(np.nanmean(own)) / whole
    return share, (own - share * base) / whole


def _gap(
    name: str,
    parts: Mapping[str, tuple[float, Floats]],
    *,
    judges: list[str],
    attribute: str,
    declared: bool,
    held_back: bool,
    votes: bool,
) -> FamilyGap:
    kept, influence = parts[name]
    others = {other: part for other, part in parts.items() if other != name}
    nearest = min(share for share, _ in others.values())
    # Bonferroni over the families. A family must be ahead of every other one, so none for the others.
    level = 1 - (1 - CONFIDENCE) / len(parts)
    lows = [share - kept - _reach(other - influence, level) for share, other in others.values()]
    return FamilyGap(
        family=name,
        judges=judges,
        attribute=attribute,
        declared=declared,
        held_back=held_back,
        votes=votes,
        kept=kept,
        others=nearest,
        gap=nearest - kept,
        low=min(lows),
    )


def _reach(influence: Floats, level: float) -> float:
    """How far the one-sided bound of a mean lies from it, by Student's t over the concepts."""
    known = influence[np.isfinite(influence)]
    return float(stats.t.ppf(level, len(known) - 1) * stats.sem(known))
