"""What a run allows to say first: which methods, if any, its headline may name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.results.entry import Band
from evenhand.bench.results.lookup import Key, Reading, base_of, difference, distances
from evenhand.bench.results.result import EstimateRow, RankRow

Finding = Literal[
    "best",
    "tied",
    "not distinguishable",
    "none better",
    "closer but not proven",
    "closer but harmful",
    "none passes",
    "no ranking",
]
"""The kind of a conclusion.

``best`` and ``tied`` name methods that pass every gate and are closer to the target than the baseline.
``not distinguishable``: the methods that may be the best are not shown to be closer than the baseline.
``none better``: the baseline alone may be the best. ``closer but not proven`` and ``closer but harmful``: no
method passes every gate, but some are closer to the target. ``none passes``: nor is any closer.
"""


@dataclass(frozen=True)
class Conclusion:
    """The conclusion of a run, and the methods that it is about."""

    finding: Finding
    methods: list[Reading]


def improves(reading: Reading, base: Reading | None, key: Key) -> bool:
    """Whether the method is closer to the target than the baseline beyond the paired 95% interval."""
    paired = difference(reading, base.label, key) if base else None
    return paired is not None and paired.high < 0


def closer_than_base(readings: Sequence[Reading], key: Key | None) -> set[str]:
    """Labels of the methods that are closer to the target than the baseline beyond the paired interval.

    Reports praise no other: a method that changes nothing has no side effects and is on every Pareto front.
    """
    base = base_of(readings)
    return {reading.label for reading in readings if key is not None and improves(reading, base, key)}


def farther_than_base(readings: Sequence[Reading], key: Key | None) -> set[str]:
    """Labels of the methods that are farther from the target than the baseline beyond the paired interval."""
    base = base_of(readings)
    if base is None or key is None:
        return set()
    gaps = ((reading.label, difference(reading, base.label, key)) for reading in readings)
    return {label for label, gap in gaps if gap is not None and gap.low > 0}


def conclude(readings: Sequence[Reading], key: Key, bands: Mapping[str, Band]) -> Conclusion:
    """The conclusion of a run with several methods or models.

    A method that is not distinguishable from the baseline is never among the best.

    Args:
        readings: The methods, the baseline first if there is one.
        key: The primary number.
        bands: Label of a method to its band; a method without one counts as ranked.
    """
    base = base_of(readings)
    methods = [reading for reading in readings if not reading.is_base]
    if methods and all(bands.get(reading.label, "ranked") != "ranked" for reading in methods):
        return _without_ranked(methods, base, key, bands)
    passing = [reading for reading in readings if bands.get(reading.label, "ranked") == "ranked"]
    ranks = {reading.label: rank for reading in passing if (rank := reading.rank(key)) is not None}
    if not ranks:
        return Conclusion("no ranking", [])
    first = leaders(ranks)
    best = [reading for reading in passing if reading.label in first and not reading.is_base]
    if not best:
        return Conclusion("none better", [])
    clear = [reading for reading in best if base is None or improves(reading, base, key)]
    if not clear or (base is not None and base.label in first):
        return Conclusion("not distinguishable", best[:1])
    return Conclusion("best" if len(clear) == 1 else "tied", clear)


def _without_ranked(
    methods: Sequence[Reading], base: Reading | None, key: Key, bands: Mapping[str, Band]
) -> Conclusion:
    """The conclusion where no method passes every gate."""
    closer = [reading for reading in methods if improves(reading, base, key)]
    kept = [reading for reading in closer if bands[reading.label] != "harm proven"]
    if kept:
        return Conclusion("closer but not proven", kept)
    return Conclusion("closer but harmful" if closer else "none passes", closer)


def leaders(ranks: Mapping[str, RankRow]) -> set[str]:
    """Labels of the methods that may be the best of these: none of the others is shown to be better."""
    return {label for label, rank in ranks.items() if ranks.keys().isdisjoint(rank.beaten_by)}


def worst_attributes(readings: Sequence[Reading], key: Key) -> list[EstimateRow | None]:
    """For each method the single attribute with the largest distance from its target shares.

    A joint distance hides it: a model that draws no women and is otherwise even scores 1 over gender, but
    0.30 over gender, three skin tones and two ages. ``None`` where no single attribute was measured.
    """
    single = {name: rows for name, rows in distances(readings, key).items() if "*" not in name}
    found = []
    for rows in zip(*single.values(), strict=True):
        known = [row for row in rows if row is not None and math.isfinite(row.value)]
        found.append(max(known, key=lambda row: row.value, default=None))
    return found or [None] * len(readings)


def contrary_judges(reading: Reading, base: Reading | None, key: Key) -> list[str]:
    """The judges that see the distance change in the opposite direction from ``key``.

    The method's steering judge is not asked.
    """
    steering, overall = reading.result.spec.method.steering_judge, _change(reading, base, key)
    judges = [judge.name for judge in reading.result.spec.judges if judge.name != steering]
    return [name for name in judges if _change(reading, base, key._replace(judge=name)) * overall < 0]


def _change(reading: Reading, base: Reading | None, key: Key) -> float:
    ours, theirs = reading.at(key), base.at(key) if base else None
    return ours.value - theirs.value if ours is not None and theirs is not None else math.nan
