"""One line per method: what the first screen of the report and the end of a run in the terminal both show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.bench.policy.marks import Mark, Marks
from evenhand.bench.results.entry import Band
from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import NOT_MEASURED, aligned, interval, number

SIGNS = {"yes": "✓", "open": "?", "no": "✗"}
"""The marks as characters, for text without images."""

QUESTIONS = ("More even?", "Follows explicit prompts?", "Leaves the rest alone?")
WITHOUT_BASELINE = ("Even?", "Follows explicit prompts?", "Can be labelled?")
"""Headings of the marks of methods, and of models without a baseline."""

SHORT = {"More even?": "even", "Even?": "even", "Follows explicit prompts?": "obeys"}
SHORT |= {"Leaves the rest alone?": "rest", "Can be labelled?": "labelled"}
"""The same in a terminal."""

LABEL = 27
"""Most characters of a name in a terminal: with it the table has at most 80 columns."""


@dataclass(frozen=True)
class MarkText:
    """A mark as text: its sign, its number with the unit, what the number is of, and the interval."""

    sign: str
    value: str
    unit: str = ""
    what: str = ""
    ends: str = ""

    @classmethod
    def of(cls, mark: Mark) -> MarkText:
        """The mark, with one digit after the point, or two for a distance."""
        if math.isnan(mark.value):
            return cls(mark.sign, NOT_MEASURED, what=mark.what)
        digits = 1 if mark.unit else 2
        value = number(mark.value, digits=digits)
        sign = "+" if mark.change and value[0] != "−" and float(value) else ""
        unit = {"points": " points", "%": "%", "": ""}[mark.unit]
        ends = interval(mark.low, mark.high, digits=digits)
        return cls(mark.sign, f"{sign}{value}", unit, mark.what, f"({ends})" if ends else "")


@dataclass(frozen=True)
class MethodLine:
    """A method or model.

    Attributes:
        label: Its name.
        band: Whether it is ranked and, if not, why; empty where nothing is gated.
        value: The primary number: ``"0.97"``.
        ends: Its interval: ``"(0.89 to 1.00)"``; empty where there is none.
        marks: Its marks; empty for the baseline.
    """

    label: str
    band: str
    value: str
    ends: str
    marks: tuple[MarkText, ...]

    @property
    def distance(self) -> str:
        """The primary number with its interval: ``"0.97 (0.89 to 1.00)"``."""
        return f"{self.value} {self.ends}".strip()

    @property
    def signs(self) -> list[str]:
        """The marks as characters."""
        return [SIGNS[mark.sign] for mark in self.marks] or ["-"] * len(QUESTIONS)


def method_lines(
    readings: Sequence[Reading], key: Key | None, bands: Mapping[str, Band], marks: Mapping[str, Marks]
) -> list[MethodLine]:
    """The lines of a run or audit, in the order of its report.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
        bands: Label of a method to its band; empty where nothing is gated.
        marks: Label of a method to its marks.
    """
    return [
        MethodLine(
            reading.label,
            "baseline" if reading.is_base else bands.get(reading.label, ""),
            *distance(reading.at(key) if key else None),
            tuple(MarkText.of(mark) for mark in marks.get(reading.label, ())),
        )
        for reading in readings
    ]


def distance(row: EstimateRow | None) -> tuple[str, str]:
    """An estimate and its interval with two digits: ``"0.97"`` and ``"(0.89 to 1.00)"``."""
    if row is None:
        return NOT_MEASURED, ""
    ends = interval(row.low, row.high, digits=2)
    return number(row.value, digits=2), f"({ends})" if ends else ""


def asked(*, compared: bool) -> tuple[str, ...]:
    """Headings of the marks, by whether methods are compared with a baseline."""
    return QUESTIONS if compared else WITHOUT_BASELINE


def closing(headline: str, lines: Sequence[MethodLine], *, compared: bool) -> list[str]:
    """The verdict and a table of at most 80 columns, for a terminal.

    Args:
        headline: The verdict.
        lines: The methods.
        compared: Whether they are compared with a baseline.
    """
    gated = any(line.band for line in lines)
    columns = [
        "method",
        *(["band"] if gated else []),
        "distance",
        *(SHORT[question] for question in asked(compared=compared)),
    ]
    rows = [
        [_short(line.label), *([line.band] if gated else []), line.distance, *line.signs] for line in lines
    ]
    legend = "✓ proven, ? not proven with this many images, ✗ the opposite is proven"
    return [headline, "", *aligned(columns, rows), "", legend]


def _short(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}…"
