"""The Pareto front: methods that no other method dominates in fairness and in a side effect.

The front is that of the estimates. A method that is dominated by its estimates may still belong to the front,
unless another method is better beyond the intervals on both axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.policy.gates import fidelity_loss
from evenhand.bench.results.lookup import Key, Reading, base_of, comparable
from evenhand.bench.results.text import NOT_MEASURED, interval, number

Dominance = Literal["front", "near", "behind"]

DOMINANCE: dict[Dominance, str] = {
    "front": "on the front",
    "near": "not distinguishable from the front",
    "behind": "dominated",
}
"""Names in the reports: ``near`` is dominated by its estimates only, ``behind`` also beyond the intervals."""


@dataclass(frozen=True)
class Span:
    """A value with the ends of its interval, or with its one-sided bounds; smaller is better."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether the value is finite."""
        return math.isfinite(self.value)


@dataclass(frozen=True)
class Point:
    """A method in the plane of a trade-off.

    Attributes:
        label: The method.
        cost: The side effect, on the horizontal axis.
        distance: The distance from the target shares, on the vertical axis.
    """

    label: str
    cost: Span
    distance: Span


@dataclass(frozen=True)
class TradeOff:
    """A side effect that is traded off against fairness.

    Attributes:
        name: Short name, for ids and columns.
        title: Heading.
        axis: Title of the axis.
        kept: What is preserved where the side effect is small.
        percent: Whether it is a share of the images.
        spans: The side effect of every method.
    """

    name: str
    title: str
    axis: str
    kept: str
    percent: bool
    spans: Callable[[Sequence[Reading]], list[Span]]

    def shown(self, span: Span) -> str:
        """The value with its interval, formatted."""
        if not span.known:
            return NOT_MEASURED
        value = number(span.value, percent=self.percent)
        ends = interval(span.low, span.high, percent=self.percent)
        return f"{value} ({ends})" if ends else value


def _fidelity(readings: Sequence[Reading]) -> list[Span]:
    """The loss of explicit fidelity against the baseline, at the attribute where it may be largest."""
    base = base_of(readings)
    if base is None:
        return [UNKNOWN for _ in readings]
    losses = [fidelity_loss(reading, base) for reading in readings]
    return [Span(loss.value, loss.low, loss.high) for loss in losses]


def _unrelated(readings: Sequence[Reading]) -> list[Span]:
    """The change of images that the method should leave unchanged; zero for the baseline."""
    rows = comparable(readings, "preservation_distance")[""]
    return [Span(row.value, row.low, row.high) if row is not None else UNKNOWN for row in rows]


UNKNOWN = Span(math.nan, math.nan, math.nan)

TRADE_OFFS = (
    TradeOff(
        "fidelity",
        "Explicit fidelity lost",
        "explicit fidelity lost",
        kept="explicit fidelity",
        percent=True,
        spans=_fidelity,
    ),
    TradeOff(
        "unrelated",
        "Change of unrelated images",
        "change of unrelated images",
        kept="unrelated images",
        percent=False,
        spans=_unrelated,
    ),
)


def points(readings: Sequence[Reading], key: Key, trade_off: TradeOff) -> list[Point]:
    """The methods for which both numbers are known, in the order of ``readings``."""
    found = []
    for reading, cost in zip(readings, trade_off.spans(readings), strict=True):
        row = reading.at(key)
        distance = Span(row.value, row.low, row.high) if row is not None else UNKNOWN
        if cost.known and distance.known:
            found.append(Point(reading.label, cost, distance))
    return found


def dominance_of(plane: Sequence[Point]) -> dict[str, Dominance]:
    """The dominance of every method, by label."""
    return {point.label: _dominance(point, plane) for point in plane}


def layers(plane: Sequence[Point]) -> dict[str, int]:
    """The number of the front that every method is on, by label and from the estimates.

    The 1st front holds the methods that no other dominates; the 2nd those that only methods of the 1st
    dominate, and so on: non-dominated sorting (Deb et al., IEEE Transactions on Evolutionary Computation 6,
    2002).
    """
    found: dict[str, int] = {}
    left, layer = list(plane), 1
    while left:
        front = [point for point in left if not dominated_by(point, left)]
        found |= {point.label: layer for point in front}
        left, layer = [point for point in left if point.label not in found], layer + 1
    return found


def dominated_by(point: Point, plane: Sequence[Point]) -> list[str]:
    """Labels of the methods whose estimates are at least as good on both axes and better on one."""
    return [other.label for other in plane if _dominates(other, point)]


def _dominance(point: Point, plane: Sequence[Point]) -> Dominance:
    if not dominated_by(point, plane):
        return "front"
    return "behind" if any(_dominates_clearly(other, point) for other in plane) else "near"


def _dominates(other: Point, point: Point) -> bool:
    ours, theirs = _values(point), _values(other)
    return theirs != ours and all(b <= a for a, b in zip(ours, theirs, strict=True))


def _dominates_clearly(other: Point, point: Point) -> bool:
    """Better by the estimates and beyond the intervals; two side effects of exactly zero do not overlap."""
    pairs = ((other.cost, point.cost), (other.distance, point.distance))
    return _dominates(other, point) and all(theirs.high <= ours.low for theirs, ours in pairs)


def _values(point: Point) -> tuple[float, float]:
    return point.cost.value, point.distance.value


@dataclass(frozen=True)
class Plane:
    """The methods in the plane of one trade-off, with their numbers in the figure."""

    trade_off: TradeOff
    points: list[Point]
    numbers: Mapping[str, int]

    @property
    def front(self) -> list[str]:
        """Labels of the methods on the front, the smallest side effect first."""
        found = dominance_of(self.points)
        ranked = sorted(self.points, key=lambda point: (point.cost.value, point.distance.value, point.label))
        return [point.label for point in ranked if found[point.label] == "front"]

    @property
    def steps(self) -> list[tuple[float, float]]:
        """Side effect and distance of the points on the front."""
        on = set(self.front)
        return [(p.cost.value, p.distance.value) for p in self.points if p.label in on]


def planes(readings: Sequence[Reading], key: Key) -> list[Plane]:
    """The planes of the trade-offs that were measured for at least two methods."""
    numbers = {reading.label: place + 1 for place, reading in enumerate(readings)}
    found = [Plane(trade_off, points(readings, key, trade_off), numbers) for trade_off in TRADE_OFFS]
    return [plane for plane in found if len(plane.points) > 1]
