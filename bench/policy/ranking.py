"""The methods of one suite and version: their order, the number that ranks them, and their Pareto fronts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.bench.policy.conclusion import closer_than_base
from evenhand.bench.policy.pareto import Plane, dominance_of, layers, planes
from evenhand.bench.policy.strength import Curve, curves, ranked
from evenhand.bench.results.entry import Band, BoardRow, version_key
from evenhand.bench.results.lookup import Key, Reading, primary_key
from evenhand.bench.results.result import BASE, Result
from evenhand.bench.results.text import NOT_MEASURED, ordinal, slug


def title_of(result: Result) -> str:
    """The heading of a suite: its name, version and model."""
    return f"{result.spec.suite}, version {result.spec.suite_version}: {result.spec.model}"


@dataclass(frozen=True)
class Ranking:
    """The methods of one suite and version.

    Attributes:
        rows: One row per method, in the order of the bands and of the ranks.
        every: All settings of all methods.
        curves: The settings that differ only in strength.
        key: The primary number.
        stem: Prefix of the names of the suite's files.
    """

    rows: list[BoardRow]
    every: list[BoardRow]
    curves: list[Curve]
    key: Key | None
    stem: str

    @classmethod
    def of(cls, every: list[BoardRow], *, stem: str) -> Ranking:
        """Sort the rows of one suite."""
        cards = [row.result.spec.method for row in every]
        own, key = set(ranked(cards)), primary_key([Reading.of(row.result) for row in every])
        rows = [row for row in every if row.result.spec.method.label in own]
        return cls(sorted(rows, key=lambda row: _place(row, key)), every, curves(cards), key, stem)

    @property
    def result(self) -> Result:
        """A result of the suite."""
        return self.rows[0].result

    @property
    def readings(self) -> list[Reading]:
        """The methods."""
        return [Reading.of(row.result) for row in self.rows]

    @property
    def failures(self) -> dict[str, list[str]]:
        """Label to the reasons of the gates that it does not pass, for every setting."""
        return {row.result.spec.method.label: row.failed_gates for row in self.every}

    @property
    def base(self) -> str | None:
        """Label of the baseline."""
        labels = [row.result.spec.method for row in self.rows]
        return next((card.label for card in labels if card.name == BASE), None)

    @property
    def only_baseline(self) -> bool:
        """Whether no method but the baseline is ranked."""
        placed = {row.result.spec.method.label for row in self.rows if row.rank_low is not None}
        return placed <= {self.base}

    @property
    def closer(self) -> set[str]:
        """Labels of the methods that are closer to the target than the baseline."""
        return closer_than_base(self.readings, self.key)

    @property
    def best(self) -> list[str]:
        """Labels of the ranked methods that may be the best; none if the baseline is among them."""
        first = [row.result.spec.method.label for row in self.rows if row.tie_group == "A"]
        return [] if self.base in first else [label for label in first if label in self.closer]

    @property
    def planes(self) -> list[Plane]:
        """The methods in the plane of every trade-off, numbered as in the tables."""
        return planes(self.readings, self.key) if self.key else []

    def image(self, plane: Plane) -> str:
        """File name of the image of a plane."""
        return f"{self.stem}-{plane.trade_off.name}.svg"


def rankings(rows: Sequence[BoardRow]) -> list[Ranking]:
    """One ranking per suite and version, in the order of the sections; versions are never mixed."""
    groups: dict[str, list[BoardRow]] = {}
    for row in sorted(rows, key=BoardRow.model_dump_json):
        groups.setdefault(version_key(row.result), []).append(row)
    stems: dict[str, int] = {}
    found = []
    for key in sorted(groups, key=lambda key: (title_of(groups[key][0].result), key)):
        spec = groups[key][0].result.spec
        stem = f"{slug(spec.suite)}-v{slug(spec.suite_version)}"
        stems[stem] = stems.get(stem, 0) + 1
        twin = f"-{stems[stem]}" if stems[stem] > 1 else ""
        found.append(Ranking.of(groups[key], stem=stem + twin))
    return found


def rank_text(row: BoardRow) -> str:
    """Tie group and rank set: ``"A (1 to 2)"``."""
    if row.rank_low is None:
        return "not ranked"
    ranks = str(row.rank_low) if row.rank_low == row.rank_high else f"{row.rank_low} to {row.rank_high}"
    return f"{row.tie_group} ({ranks})"


def front_text(label: str, plane: Plane) -> str:
    """The front that the method is on by its estimates, and whether its intervals still allow the 1st."""
    layer = layers(plane.points).get(label)
    if layer is None:
        return NOT_MEASURED
    near = dominance_of(plane.points)[label] == "near"
    return f"{ordinal(layer)} (not distinguishable from 1st)" if near else ordinal(layer)


BANDS: tuple[Band, ...] = ("ranked", "not proven", "unchecked", "harm proven")
"""The bands of the leaderboard, from the top."""


def _place(row: BoardRow, key: Key | None) -> tuple[int, int, str, float, str]:
    """Sort key: the band, then tie group, point estimate and label."""
    estimate = Reading.of(row.result).at(key) if key else None
    value = estimate.value if estimate is not None and math.isfinite(estimate.value) else math.inf
    return BANDS.index(row.band), len(row.tie_group), row.tie_group, value, row.result.spec.method.label
