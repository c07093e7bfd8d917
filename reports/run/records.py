"""CSV downloads of every number of a run, with the fields of the result schema as columns."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import ComparisonRow, EstimateRow, Record
from evenhand.bench.results.text import PANEL
from evenhand.reports.components.downloads import Download, Raw, write_csv

MAX_ROWS = 65_000
"""Largest number of estimates in a page: with more it would exceed 3 MB."""

Labelled = tuple[str, EstimateRow]


def estimates_download(readings: Sequence[Reading]) -> Download:
    """Every aggregate estimate by every judge, and every estimate by concept of the panel.

    Where there are too many, the uncorrected estimates of single concepts are left out if there is a
    corrected one; where there are still too many, all estimates of single concepts are. The title says so.
    """
    rows = [
        (reading.label, row)
        for reading in readings
        for row in reading.result.estimates
        if not row.concept or row.judge in (PANEL, "")
    ]
    choices = _reductions(rows)
    title, kept = next((choice for choice in choices if len(choice[1]) <= MAX_ROWS), choices[-1])
    return _records("estimates", title, EstimateRow, kept)


def _reductions(rows: Sequence[Labelled]) -> list[tuple[str, Sequence[Labelled]]]:
    """Titles and rows of the possible downloads, from the largest to the smallest."""
    corrected = {_place(label, row) for label, row in rows if row.concept and row.corrected}
    fewer = [
        (label, row)
        for label, row in rows
        if not row.concept or row.corrected or _place(label, row) not in corrected
    ]
    fewest = [(label, row) for label, row in rows if not row.concept]
    rest = "the others are in the results folder of the run"
    return [
        ("Every estimate", rows),
        (f"Every estimate; for single concepts only those corrected for judge error, {rest}", fewer),
        (f"Every estimate over all concepts; {rest}", fewest),
    ]


def _place(label: str, row: EstimateRow) -> tuple[str, ...]:
    """The key that a corrected and an uncorrected estimate of the same quantity share."""
    return label, row.metric, row.attributes, row.concept, row.kind, row.judge, row.group


def comparisons_download(readings: Sequence[Reading]) -> Download:
    """Every paired difference by every judge."""
    rows = [(reading.label, row) for reading in readings for row in reading.result.comparisons]
    return _records("paired-differences", "Every paired difference", ComparisonRow, rows)


def _records(
    name: str, title: str, kind: type[Record], rows: Sequence[tuple[str, EstimateRow | ComparisonRow]]
) -> Download:
    """Rows of a result as CSV, with the fields of the schema as columns."""
    fields = list(kind.model_fields)
    body = [[label, *(_field(row, field) for field in fields)] for label, row in rows]
    return Download(name, title, write_csv([["method", *fields], *body]))


def _field(row: Record, field: str) -> Raw:
    value: Raw = getattr(row, field)
    return str(value).lower() if isinstance(value, bool) else value
