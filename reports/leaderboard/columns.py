"""The columns of the leaderboard, all corrected or all uncorrected, and Markdown escaping."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.bench.policy.ranking import Ranking
from evenhand.bench.results.lookup import Key, Reading, comparable, distances, measured_attributes
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import NOT_MEASURED, attribute, interval, listing, number
from evenhand.reports.components.tables import images_and_chance
from evenhand.reports.components.wording import footing, measure, without_interval

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#])")
_INVISIBLE = ("Cc", "Zl", "Zp")
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")

WORST = "the single attribute where it is worst"


@dataclass(frozen=True)
class Column:
    """A measured column: its heading, the estimate of every row, and what all of them share."""

    title: str
    rows: Sequence[EstimateRow | None]
    facts: list[str]

    @property
    def cells(self) -> list[str]:
        """The estimate of every row with its interval, formatted."""
        return [cell(row) for row in self.rows]


def ranking_columns(readings: Sequence[Reading], key: Key | None) -> list[Column]:
    """The columns of the ranking table; each is corrected for all rows or for none.

    The distance that ranks comes first, then those of the other attribute sets, which it can hide.
    """
    sets = distances(readings, key) if key else {"": [None] * len(readings)}
    order = sorted(sets, key=lambda name: key is not None and name != key.attributes)
    return [
        *(
            _column(_distance(name), sets[name], readings, *([RANKS] if place == 0 else []))
            for place, name in enumerate(order)
        ),
        _column(
            "Explicit fidelity, absolute",
            _worst(readings, "explicit_fidelity", highest=False),
            readings,
            WORST,
        ),
        _column("Over-correction", _worst(readings, "over_correction", highest=True), readings, WORST),
        _column("Change of unrelated images", comparable(readings, "preservation_distance")[""], readings),
        _column("Undetermined", _worst(readings, "undetermined", highest=True), readings, WORST),
    ]


RANKS = "the primary distance, which ranks the methods"


def _distance(attributes: str) -> str:
    return f"Distance, {attribute(attributes)}" if attributes else "Distance"


def further_columns(readings: Sequence[Reading]) -> list[Column]:
    """The columns of the table of further metrics."""
    published = [reading.naive("deviation_ratio", "gender") for reading in readings]
    return [
        _column("Deviation ratio", published, readings, "gender, as published"),
        _column("Worst group", _worst(readings, "worst_cell", highest=False), readings, WORST),
        _column("Alignment, absolute", comparable(readings, "alignment")[""], readings, SCORER),
    ]


SCORER = "the scorer may itself prefer some groups; the page of a method shows its alignment by group"


def _column(
    title: str, rows: Sequence[EstimateRow | None], readings: Sequence[Reading], *facts: str
) -> Column:
    present = [row for row in rows if row is not None]
    if not present:
        return Column(title, rows, [])
    how, notes = measure(present[0].metric), list(facts)
    if any(row.judge for row in present):
        notes.append(footing(present[0], *(reading.result for reading in readings)))
    if present[0].unit not in ("", "1"):
        notes.append(f"unit {present[0].unit}")
    notes += images_and_chance(present)
    arrow = {"lower": " ↓", "higher": " ↑"}.get(how.better, "")
    return Column(f"{title}{arrow}", rows, notes)


def cell(row: EstimateRow | None) -> str:
    """An estimate with its interval, formatted."""
    if row is None:
        return NOT_MEASURED
    percent = measure(row.metric).percent
    ends = interval(row.low, row.high, percent=percent)
    return f"{number(row.value, percent=percent)} ({ends or without_interval(row)})"


def _worst(readings: Sequence[Reading], metric: str, *, highest: bool) -> list[EstimateRow | None]:
    """The estimate of every method at its worst single attribute, as in the gates."""
    single = [name for name in measured_attributes(readings, metric) if "*" not in name]
    sets = [comparable(readings, metric, name)[""] for name in single]
    sign = -1 if highest else 1
    found = [
        [row for row in rows if row is not None and math.isfinite(row.value)]
        for rows in zip(*sets, strict=True)
    ]
    worst = [min(rows, key=lambda row: sign * row.value, default=None) for rows in found]
    return worst or [None] * len(readings)


def best_text(ranking: Ranking, track: str) -> str:
    """The methods that may be the best of a track, among those closer to the target than the baseline."""
    if all(row.track_rank is None for row in ranking.tracks[track]):
        if any(not row.failed_gates and not row.is_base for row in ranking.tracks[track]):
            return "No method is ranked: those that pass every gate are only reported, or disputed."
        return "No method is ranked, because none passes every gate."
    best = ranking.best(track)
    if not best:
        return "No ranked method is shown to be closer to the target than the baseline."
    if len(best) == 1:
        return f"Best, as far as the data can tell: {best[0]}."
    return f"Not distinguishable from the best: {listing(best)}."


def escape(text: str) -> str:
    """``text`` escaped for a Markdown table: no markup, link, line break or change of text direction."""
    plain = "".join(
        " " if unicodedata.category(letter) in _INVISIBLE else letter
        for letter in text
        if letter not in _DIRECTION
    )
    quoted = _SPECIAL.sub(r"\\\1", " ".join(plain.split()))
    return (
        re.sub(r"(?i)\b(https?|ftp|mailto):", r"\1&#58;", quoted)
        .replace("www.", "www&#46;")
        .replace("@", "&#64;")
    )
