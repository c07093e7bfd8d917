"""Tables: one object for the page, for printing and for the CSV download."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import Literal, TypeVar

from evenhand.bench.results.result import ComparisonRow, EstimateRow
from evenhand.bench.results.text import NOT_MEASURED, count, interval, number, plural
from evenhand.bench.results.text import cell as group_title
from evenhand.reports.components.downloads import Download, Raw, write_csv
from evenhand.reports.components.wording import (
    change,
    interval_of_change,
    measure,
    possible,
    without_interval,
)

T = TypeVar("T", int, float)

ACROSS = 8
"""Columns of values that fit on a printed page."""

SIGNIFICANT = 0.05
"""A p-value is given only where the design allows one this small."""


@dataclass(frozen=True)
class Cell:
    """One cell: the text on the page and the values in the download.

    Attributes:
        text: The value as displayed.
        notes: Smaller lines below it: the interval, the number of images.
        kind: How it is typeset.
        raw: The cell's CSV columns by suffix; the value itself has the suffix ``""``.
    """

    text: str
    notes: tuple[str, ...] = ()
    kind: Literal["text", "number", "missing", "alert", "code"] = "text"
    raw: Mapping[str, Raw] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One row, named by its first cell; consecutive rows of one ``group`` share a heading.

    ``about`` is a smaller line under that heading.
    """

    cells: Sequence[Cell]
    group: str = ""
    about: str = ""


@dataclass(frozen=True)
class Table:
    """A table; ``name`` is its anchor and file name, ``about`` a smaller line under the caption."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    about: str = ""

    @property
    def groups(self) -> list[tuple[str, str, list[Row]]]:
        """Heading, line under it and rows of each group, in order."""
        headings = groupby(self.rows, key=lambda row: (row.group, row.about))
        return [(group, about, list(rows)) for (group, about), rows in headings]

    @property
    def download(self) -> Download:
        """The table as a CSV download."""
        return Download(self.name, self.caption, self.to_csv())

    @property
    def sheets(self) -> list[Table]:
        """The table split into pieces that fit a printed page, each with the first column."""
        width = len(self.columns) - 1
        count = math.ceil(width / ACROSS)
        ends = [1 + width * place // count for place in range(count + 1)] if count > 1 else []
        return [self._piece(first, last) for first, last in pairwise(ends)]

    def _piece(self, first: int, last: int) -> Table:
        columns = [self.columns[0], *self.columns[first:last]]
        rows = [replace(row, cells=[row.cells[0], *row.cells[first:last]]) for row in self.rows]
        return replace(self, columns=columns, rows=rows)

    def to_csv(self) -> str:
        """The table as CSV; an estimate fills columns for value, low, high, n and floor."""
        suffixes: list[list[str]] = [
            list(dict.fromkeys(suffix for row in self.rows for suffix in row.cells[place].raw))
            for place in range(len(self.columns))
        ]
        parts = [(place, suffix) for place, names in enumerate(suffixes) for suffix in names]
        head: list[Raw] = [f"{self.columns[place]} {suffix}".strip() for place, suffix in parts]
        body: list[list[Raw]] = [
            [row.cells[place].raw.get(suffix) for place, suffix in parts] for row in self.rows
        ]
        return write_csv([head, *body])


def text(value: str, *notes: str) -> Cell:
    """A cell of text."""
    return Cell(value, notes, raw={"": value})


def code(value: str) -> Cell:
    """A cell with a hash or another value to copy."""
    return Cell(value, kind="code", raw={"": value})


def counted(value: int) -> Cell:
    """An exact count."""
    return Cell(count(value), kind="number", raw={"": value})


def alert(value: str, *notes: str) -> Cell:
    """A warning."""
    return Cell(value, notes, kind="alert", raw={"": "; ".join((value, *notes))})


def missing(*notes: str, value: str = NOT_MEASURED) -> Cell:
    """The cell of a number that was not measured; ``notes`` say why."""
    return Cell(value, notes, kind="missing", raw={"": None})


def estimated(row: EstimateRow | None, *, alone: bool = False, notes: Sequence[str] = ()) -> Cell:
    """An estimate with its interval.

    Args:
        row: The estimate, ``None`` where it was not measured.
        alone: Whether the cell also shows n and the chance level, because no heading does.
        notes: Further lines, such as what the number is of.
    """
    if row is None:
        return missing()
    percent = measure(row.metric).percent
    ends = interval(row.low, row.high, percent=percent) or without_interval(row)
    lines = [*([ends] if math.isfinite(row.value) else []), *notes]
    raw: dict[str, Raw] = {"": row.value, "low": row.low, "high": row.high, "n": row.n, "floor": row.floor}
    kind: Literal["number", "missing"] = "number" if math.isfinite(row.value) else "missing"
    if alone:
        lines += images_and_chance([row])
    return Cell(number(row.value, percent=percent), tuple(lines), kind, raw)


def of_group(row: EstimateRow) -> Cell:
    """An estimate of one group, with the group and its own number of images."""
    cell = estimated(row, notes=[f"{group_title(row.group)}, n {count(row.n)}"])
    return replace(cell, raw={**cell.raw, "group": row.group})


def images_and_chance(rows: Iterable[EstimateRow | None]) -> list[str]:
    """The number of images of the rows and their chance level, as ranges, for a heading."""
    present = [row for row in rows if row is not None]
    floors = [row.floor for row in present if math.isfinite(row.floor)]
    facts = []
    if present:
        facts.append(f"n {_range([row.n for row in present], count)}")
    if floors:
        percent = measure(present[0].metric).percent
        facts.append(f"chance level {_range(floors, lambda floor: number(floor, percent=percent))}")
    return facts


def _range(values: Sequence[T], shown: Callable[[T], str]) -> str:
    return " to ".join(dict.fromkeys(shown(value) for value in (min(values), max(values))))


def compared(row: ComparisonRow | None) -> Cell:
    """A paired difference with its interval and, where there is a test, its adjusted p-value."""
    if row is None:
        return missing()
    low, high = possible(row.metric, row.low, row.high)
    tested = [f"p {p_value(row.p)}"] if math.isfinite(row.p) else []
    notes = (interval_of_change(row.metric, low, high) or "no interval", *tested)
    raw: dict[str, Raw] = {"": row.value, "low": low, "high": high, "p": row.p}
    return Cell(change(row.metric, row.value), notes, "number", raw)


def adjusted(rows: Iterable[ComparisonRow | None], *, concepts: int) -> str:
    """What to add to a heading about differences: how p is adjusted, or what it would need.

    Args:
        rows: The differences.
        concepts: Concepts of the run, whose signs the test flips.
    """
    found = [row for row in rows if row is not None]
    if not found:
        return ""
    if any(math.isfinite(row.p) for row in found):
        return "; p adjusted by Holm"
    return f"; {no_p_value(concepts=concepts, tests=len(found))}"


def no_p_value(*, concepts: int, tests: int) -> str:
    """Why there is no p-value, and the number of concepts that it would need.

    A sign-flip test over ``k`` concepts cannot give less than ``2 / 2**k``, times the tests by Holm.
    """
    needed = math.ceil(1 + math.log2(max(tests, 1) / SIGNIFICANT))
    have = (
        f"with {plural(concepts, 'concept')} none could be below {SIGNIFICANT}"
        if concepts < needed
        else ("too few concepts have a value on both sides")
    )
    return f"no p-value: {have}; at least {needed} concepts are needed"


def p_value(value: float) -> str:
    """A p-value, formatted: ``"0.012"`` or ``"< 0.001"``."""
    return "< 0.001" if value < 0.001 else number(value)
