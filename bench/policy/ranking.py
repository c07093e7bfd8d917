"""The methods of one suite and version: their tracks and bands, the number that ranks them, Pareto fronts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from evenhand.bench.policy.conclusion import closer_than_base, farther_than_base
from evenhand.bench.policy.pareto import Plane, dominance_of, layers, planes
from evenhand.bench.policy.strength import Curve, curves, ranked
from evenhand.bench.results.entry import EVIDENCES, Band, BoardRow, Evidence, FitRow, RankSet, version_key
from evenhand.bench.results.lookup import Key, Reading, primary_key
from evenhand.bench.results.result import Result
from evenhand.bench.results.text import NOT_MEASURED, number, ordinal, slug


def title_of(result: Result) -> str:
    """The heading of a suite: its name, version and model."""
    return f"{result.spec.suite}, version {result.spec.suite_version}: {result.spec.model}"


@dataclass(frozen=True)
class Ranking:
    """The methods of one suite and version.

    Attributes:
        rows: One row per method: the baseline, then track by track in the order of the bands and ranks.
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
    def bands(self) -> dict[str, Band]:
        """Label to its band, for every setting."""
        return {row.result.spec.method.label: row.band for row in self.every}

    @property
    def baseline(self) -> BoardRow | None:
        """The row of the baseline."""
        return next((row for row in self.rows if row.is_base), None)

    @property
    def base(self) -> str | None:
        """Label of the baseline."""
        return self.baseline.label if self.baseline else None

    @property
    def tracks(self) -> dict[str, list[BoardRow]]:
        """Track to its methods, without the baseline."""
        found: dict[str, list[BoardRow]] = {}
        for row in self.rows:
            if not row.is_base:
                found.setdefault(row.track, []).append(row)
        return found

    @cached_property
    def closer(self) -> set[str]:
        """Labels of the methods that are closer to the target than the baseline."""
        return closer_than_base(self.readings, self.key)

    @cached_property
    def farther(self) -> set[str]:
        """Labels of the methods that are farther from the target than the baseline."""
        return farther_than_base(self.readings, self.key)

    def not_closer(self, label: str) -> str:
        """What a method is, in words, that is not shown to be closer to the target; empty for all others."""
        if label == self.base or label in self.closer:
            return ""
        return FARTHER if label in self.farther else SAME

    def parts(self, rows: Sequence[BoardRow]) -> list[tuple[Band, Evidence | None, list[BoardRow]]]:
        """The rows of a track by band, and those that are ranked by evidence as well.

        The evidence is ``None`` where all ranked rows of the suite have the same.
        """
        kinds = {row.evidence for row in self.rows if row.track_rank is not None}
        found: dict[tuple[Band, Evidence | None], list[BoardRow]] = {}
        for row in rows:
            evidence = row.evidence if row.band == "ranked" and len(kinds) > 1 else None
            found.setdefault((row.band, evidence), []).append(row)
        return [(band, evidence, own) for (band, evidence), own in found.items()]

    def best(self, track: str) -> list[str]:
        """Labels of the methods that may be the best of their track and are closer than the baseline.

        Where some are verified on fresh noise, only these can be the best.
        """
        rows = [row for row in self.tracks.get(track, []) if row.track_rank is not None]
        strongest = min((row.evidence for row in rows), key=EVIDENCES.index, default=None)
        first = [
            row
            for row in rows
            if row.evidence == strongest and row.track_rank is not None and row.track_rank.tie == "A"
        ]
        return [row.label for row in first if row.label in self.closer]

    def front_of(self, label: str, plane: Plane) -> str:
        """The front that a method is on; a method must be closer to the target than the baseline."""
        return self.not_closer(label) or front_text(label, plane)

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
    for key in sorted(groups, key=lambda key: _section(groups[key][0].result, key)):
        spec = groups[key][0].result.spec
        stem = f"{slug(spec.suite)}-v{slug(spec.suite_version)}"
        stems[stem] = stems.get(stem, 0) + 1
        twin = f"-{stems[stem]}" if stems[stem] > 1 else ""
        found.append(Ranking.of(groups[key], stem=stem + twin))
    return found


def rank_text(rank: RankSet | None) -> str:
    """Tie group and rank set: ``"A (1 to 2)"``."""
    if rank is None:
        return "not ranked"
    ranks = str(rank.low) if rank.low == rank.high else f"{rank.low} to {rank.high}"
    return f"{rank.tie} ({ranks})"


def fits_text(row: BoardRow) -> str:
    """How often the method was fitted, and between which distances the fits lie."""
    if row.is_base:
        return "no fit"
    if row.deterministic:
        return "one fit: deterministic"
    if len(row.fits) <= 1:
        return "1 fit"
    distances = [fit.distance for fit in row.fits]
    return f"{len(row.fits)} fits: {number(min(distances))} to {number(max(distances))}"


def other_bands(row: BoardRow) -> list[FitRow]:
    """The fits that are in another band than the row."""
    return [fit for fit in row.fits if fit.band != row.band]


def front_text(label: str, plane: Plane) -> str:
    """The front that the method is on by its estimates, and whether its intervals still allow the 1st."""
    layer = layers(plane.points).get(label)
    if layer is None:
        return NOT_MEASURED
    near = dominance_of(plane.points)[label] == "near"
    return f"{ordinal(layer)} (not distinguishable from 1st)" if near else ordinal(layer)


def _section(result: Result, key: str) -> tuple[str, list[int], str]:
    """Sort key of a suite: its name, then the latest version first."""
    numbers = [-int(part) for part in re.findall(r"\d+", result.spec.suite_version[:20])]
    return result.spec.suite, numbers, f"{title_of(result)} {key}"


SAME = "not distinguishable from the baseline"
FARTHER = "farther from the target than the baseline"

BANDS: tuple[Band, ...] = (
    "ranked",
    "not proven",
    "unchecked",
    "disputed",
    "harm proven",
    "reported",
)
"""The bands of the leaderboard, from the top."""


TRACK_ORDER = ("one model", "a model per concept", "at sampling time", "")
"""The tracks of the leaderboard, from the top; methods of an unknown track come last."""


def _place(row: BoardRow, key: Key | None) -> tuple[bool, int, int, int, int, str, float, str]:
    """Sort key: the baseline, then track, band, evidence, tie group, point estimate and label."""
    estimate = Reading.of(row.result).at(key) if key else None
    value = estimate.value if estimate is not None and math.isfinite(estimate.value) else math.inf
    tie = row.track_rank.tie if row.track_rank else ""
    track = TRACK_ORDER.index(row.track)
    evidence = EVIDENCES.index(row.evidence)
    return not row.is_base, track, BANDS.index(row.band), evidence, len(tie), tie, value, row.label
