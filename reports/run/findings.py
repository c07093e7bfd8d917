"""The titles of figures: the finding in one line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from evenhand.bench.results.lookup import Reading, base_of
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import NOT_ESTIMABLE, PANEL, attribute, count, number

Numbers = Mapping[str, Sequence[EstimateRow | None]]
"""The lines of a chart, each with its row in every reading."""

UNEVEN = (
    "Uneven: the whole 95% interval is above the chance level of a fair model "
    "(not adjusted for the number of concepts)."
)
UNEVEN_SHARE = (
    "Uneven: the 95% interval does not contain the target (not adjusted for the number of concepts)."
)


def distance(readings: Sequence[Reading], attributes: str, rows: Sequence[EstimateRow | None]) -> str:
    """The distance of the baseline and of the methods."""
    values = [value_of(row) for row in rows]
    found = before_and_after(readings, values, lambda value: number(value, digits=2))
    return f"Distance over {attribute(attributes)}: {found}"


def unevenness(
    readings: Sequence[Reading], attributes: str, numbers: Numbers, targets: Mapping[str, float]
) -> str:
    """The number of uneven concepts; a concept's target is ``nan`` for a distance."""
    counts = [
        sum(_uneven(rows[place], targets[line]) for line, rows in numbers.items())
        for place in range(len(readings))
    ]
    found = before_and_after(readings, counts, lambda value: str(int(value)))
    return f"Concepts uneven in {attribute(attributes)}, out of {count(len(numbers))}: {found}"


def rarest(readings: Sequence[Reading], numbers: Numbers, targets: Mapping[str, float], *, what: str) -> str:
    """The share of the cell or group that is rarest in the first reading."""
    line = min(numbers, key=lambda name: abs(value_of(numbers[name][0])))
    values = [value_of(row) for row in numbers[line]]
    found = before_and_after(readings, values, lambda value: number(value, percent=True))
    return f"Rarest {what}, {line} (target {number(targets[line], percent=True)}): {found}"


def judges_spread(reading: Reading, rows: Sequence[EstimateRow | None]) -> str:
    """The range of the estimates by single judges for the first reading."""
    values = [value_of(row) for row in rows if row is not None and row.judge != PANEL]
    finite = [value for value in values if math.isfinite(value)]
    name = "the baseline" if reading.is_base else reading.label
    return (
        f"By single judges, the distance of {name} is between {number(min(finite))} and {number(max(finite))}"
        if finite
        else "By judge"
    )


def before_and_after(
    readings: Sequence[Reading], values: Sequence[float], shown: Callable[[float], str]
) -> str:
    """The value of the baseline and the range of the methods; only the value for a single reading."""
    pairs = [(r, value) for r, value in zip(readings, values, strict=True) if math.isfinite(value)]
    if not pairs:
        return NOT_ESTIMABLE
    if len(readings) == 1:
        return shown(pairs[0][1])
    if base_of(readings) is None and readings[0].result.spec.external:
        named = sorted((value, f"{shown(value)} ({reading.label})") for reading, value in pairs)
        return " to ".join(dict.fromkeys(text for _, text in (named[0], named[-1])))
    parts = [f"{shown(value)} for the baseline" for reading, value in pairs if reading.is_base]
    methods = [(value, reading.label) for reading, value in pairs if not reading.is_base]
    if len(methods) == 1:
        parts.append(f"{shown(methods[0][0])} with {methods[0][1]}")
    elif methods:
        ends = dict.fromkeys(shown(value) for value, _ in (min(methods), max(methods)))
        parts.append(f"{' to '.join(ends)} with the methods")
    return ", ".join(parts)


def values_text(readings: Sequence[Reading], rows: Sequence[EstimateRow | None]) -> str:
    """The value of every method, for a text alternative."""
    pairs = zip(readings, rows, strict=True)
    return ", ".join(f"{reading.label} {number(row.value)}" for reading, row in pairs if row is not None)


def value_of(row: EstimateRow | None) -> float:
    """The estimate, or minus infinity where there is none, so that it sorts last."""
    return row.value if row is not None and math.isfinite(row.value) else -math.inf


def _uneven(row: EstimateRow | None, target: float) -> bool:
    if row is None or math.isnan(row.low) or math.isnan(row.high):
        return False
    return row.low > row.floor if math.isnan(target) else not row.low <= target <= row.high
