"""Look-up of rows in results, the primary metric, and the order of the methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, TypeVar

from evenhand.bench.results.result import BASE, ComparisonRow, EstimateRow, RankRow, Result
from evenhand.bench.results.text import KINDS, PANEL, SHARE

T = TypeVar("T")

PRIMARY_METRIC = "rms_delta"

OF_WORST_GROUP = ("explicit_fidelity",)
"""Metrics whose aggregate is the value of the group served worst."""

COMPARED_METRIC = "excess_agreement"
"""Its square, which paired differences are measured in: a difference of roots is biased."""


class Key(NamedTuple):
    """The key of a number in a result.

    An empty concept or group stands for the aggregate over all, an empty kind for the first kind of prompts
    with the number, in the order of ``KINDS``.
    """

    metric: str
    attributes: str
    judge: str
    corrected: bool
    concept: str = ""
    group: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Reading:
    """A result with an index over its estimate rows."""

    result: Result
    index: dict[Key, EstimateRow]

    @classmethod
    def of(cls, result: Result) -> Reading:
        """Index the result; of several rows with one key the first counts, as in ``Result.estimate``."""
        index: dict[Key, EstimateRow] = {}
        for row in sorted(result.estimates, key=lambda row: _headline_first(row.kind)):
            key = Key(row.metric, row.attributes, row.judge, row.corrected, row.concept, row.group, row.kind)
            index.setdefault(key, row)
            index.setdefault(key._replace(kind=""), row)
        return cls(result, index)

    @property
    def label(self) -> str:
        """The name of the method's row."""
        return self.result.spec.method.label

    @property
    def is_base(self) -> bool:
        """Whether this is the baseline."""
        return self.result.spec.method.name == BASE

    def at(self, key: Key) -> EstimateRow | None:
        """The row at ``key``."""
        return self.index.get(key)

    def naive(self, metric: str, attributes: str = "", **where: str) -> EstimateRow | None:
        """The panel's row without correction, or the row of a metric that needs no judge.

        Args:
            metric: The metric.
            attributes: Its attribute set.
            **where: ``concept``, ``group`` or ``kind``, as in :class:`Key`.
        """
        key = Key(metric, attributes, PANEL, False, **where)
        return self.at(key) or self.at(key._replace(judge=""))

    def rank(self, key: Key) -> RankRow | None:
        """The method's rank confidence set at ``key``."""
        rows = [r for r in self.result.ranks if (r.metric, r.attributes, r.judge, r.corrected) == key[:4]]
        return min(rows, key=lambda row: _headline_first(row.kind), default=None)

    def against(self, other: str, key: Key) -> ComparisonRow | None:
        """The paired difference to the method ``other`` at ``key``."""
        rows = [
            row
            for row in self.result.comparisons
            if (row.metric, row.attributes, row.judge, row.corrected) == key[:4]
            and (row.against, row.group) == (other, key.group)
        ]
        return min(rows, key=lambda row: _headline_first(row.kind), default=None)


def _headline_first(kind: str) -> int:
    """Place of a kind of prompts in the order of ``KINDS``."""
    order = list(KINDS)
    return order.index(kind) if kind in order else len(order)


def attribute_names(results: Sequence[Result]) -> list[str]:
    """The attributes of the runs, in the order of the first that names them."""
    return list(dict.fromkeys(name for result in results for name in result.spec.attributes))


def concept_names(results: Sequence[Result]) -> list[str]:
    """The concepts of the runs, in the order of the first that names them."""
    return list(dict.fromkeys(name for result in results for name in result.spec.concepts))


def measured_attributes(readings: Sequence[Reading], metric: str) -> list[str]:
    """Attribute sets with an aggregate row of ``metric``: joint ones first, then in the runs' order."""
    order = attribute_names([reading.result for reading in readings])
    found = {
        row.attributes
        for r in readings
        for row in r.result.estimates
        if row.metric == metric and not row.concept and not row.group
    }

    def rank(attributes: str) -> tuple[int, list[int], str]:
        parts = attributes.split("*")
        places = [order.index(part) if part in order else len(order) for part in parts]
        return -len(parts), places, attributes

    return sorted(found, key=rank)


def widest_set(readings: Sequence[Reading]) -> str:
    """The measured attribute set with the most attributes; all attributes if none was measured."""
    measured = measured_attributes(readings, PRIMARY_METRIC)
    return measured[0] if measured else "*".join(attribute_names([reading.result for reading in readings]))


def comparable(
    readings: Sequence[Reading],
    metric: str,
    attributes: str = "",
    *,
    concepts: Sequence[str] = ("",),
    group: str = "",
    kind: str = "",
) -> dict[str, list[EstimateRow | None]]:
    """The panel's rows of every method by concept, all corrected or all uncorrected.

    The rows are corrected for judge error if every row has a corrected counterpart.
    """
    naive = {
        name: [
            reading.naive(metric, attributes, concept=name, group=group, kind=kind) for reading in readings
        ]
        for name in concepts
    }
    key = Key(metric, attributes, PANEL, True, group=group, kind=kind)
    corrected = {name: [reading.at(key._replace(concept=name)) for reading in readings] for name in concepts}
    pairs = [
        pair for name in concepts for pair in zip(naive[name], corrected[name], strict=True) if any(pair)
    ]
    return corrected if pairs and all(_finite(fixed) for _, fixed in pairs) else naive


def cell_shares(readings: Sequence[Reading], attributes: str) -> dict[str, list[EstimateRow | None]]:
    """Every measured cell with its share under every method."""
    groups = readings[0].result.spec.attributes
    names = ["*".join(parts) for parts in product(*(groups.get(part, []) for part in attributes.split("*")))]
    found = {name: comparable(readings, SHARE, attributes, group=name)[""] for name in names}
    return {name: rows for name, rows in found.items() if any(rows)}


def served_worst(reading: Reading, row: EstimateRow) -> EstimateRow | None:
    """The group that an estimate for the worst group is of, with the images of that group alone.

    ``None`` where the metric is not that of the worst group, or where the groups were not measured.
    """
    if row.metric not in OF_WORST_GROUP:
        return None
    groups = [
        found
        for key, found in reading.index.items()
        if key == Key(row.metric, row.attributes, row.judge, row.corrected, "", key.group, row.kind)
        and key.group
        and math.isfinite(found.value)
    ]
    worst = min(groups, key=lambda found: (found.value, found.low), default=None)
    return worst if worst is not None and math.isclose(worst.value, row.value, abs_tol=1e-6) else None


def primary_key(readings: Sequence[Reading]) -> Key | None:
    """The number that ranks the methods, or ``None`` if it was not measured.

    It is RMSDelta on the suite's primary attribute set, or else on the largest set measured; corrected for
    judge error if every method has the corrected number.
    """
    declared = {reading.result.spec.primary for reading in readings}
    sets = sorted(measured_attributes(readings, PRIMARY_METRIC), key=lambda name: name not in declared)
    keys = [Key(PRIMARY_METRIC, name, PANEL, corrected) for name in sets for corrected in (True, False)]
    measured = {key: sum(_finite(reading.at(key)) for reading in readings) for key in keys}
    return max(keys, key=lambda key: measured[key], default=None) if any(measured.values()) else None


def distances(readings: Sequence[Reading], key: Key) -> dict[str, list[EstimateRow | None]]:
    """The primary metric of every method side by side: single attributes, the primary set, and all together.

    Each attribute set is corrected for judge error for all methods or for none.
    """
    measured = measured_attributes(readings, key.metric)
    names = [*(name for name in measured if "*" not in name), key.attributes, *measured[:1]]
    found = {name: comparable(readings, key.metric, name)[""] for name in dict.fromkeys(names)}
    return found | {key.attributes: [reading.at(key) for reading in readings]}


def difference(reading: Reading, other: str, key: Key) -> ComparisonRow | None:
    """The paired difference of a method to the method ``other`` in the square of the primary metric."""
    metric = COMPARED_METRIC if key.metric == PRIMARY_METRIC else key.metric
    return reading.against(other, key._replace(metric=metric))


def ordered(readings: Sequence[Reading], key: Key | None) -> list[Reading]:
    """The baseline first, then the methods by the point estimate of the primary metric."""

    def place(reading: Reading) -> tuple[bool, float, str]:
        row = reading.at(key) if key else None
        return not reading.is_base, row.value if row and _finite(row) else math.inf, reading.label

    return sorted(readings, key=place)


def base_of(readings: Sequence[Reading]) -> Reading | None:
    """The baseline's reading, if the run has one."""
    return next((reading for reading in readings if reading.is_base), None)


def _finite(row: EstimateRow | None) -> bool:
    return row is not None and math.isfinite(row.value)


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` items, evenly spaced and starting with the first."""
    kept = min(most, len(items))
    return [items[place * len(items) // kept] for place in range(kept)]
