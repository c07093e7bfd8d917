"""Every number of a run as one CSV each, with the fields of the result's schema as columns."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import ComparisonRow, EstimateRow, Model
from evenhand.reports.components.downloads import Download, Raw, write_csv

MOST_ROWS = 65_000
"""Estimates that a page may hold: with more of them it would be larger than 3 MB."""

Labelled = tuple[str, EstimateRow]


def estimates_download(readings: Sequence[Reading]) -> Download:
    """Every aggregate estimate by every judge, and every estimate by concept of the panel.

    Where these are too many, single concepts have no uncorrected estimate beside the corrected one; where
    these are still too many, there are none of single concepts. The title says so.
    """
    rows = [
        (reading.label, row)
        for reading in readings
        for row in reading.result.estimates
        if not row.concept or row.judge in ("panel", "")
    ]
    choices = _ever_fewer(rows)
    title, kept = next((choice for choice in choices if len(choice[1]) <= MOST_ROWS), choices[-1])
    return _records("estimates", title, EstimateRow, kept)


def _ever_fewer(rows: Sequence[Labelled]) -> list[tuple[str, Sequence[Labelled]]]:
    """What may be left out, and what remains: ever less."""
    corrected = {_place(label, row) for label, row in rows if row.concept and row.corrected}
    fewer = [
        (label, row)
        for label, row in rows
        if not row.concept or row.corrected or _place(label, row) not in corrected
    ]
    fewest = [(label, row) for label, row in rows if not row.concept]
    elsewhere = "the others are in the folder results of the run"
    return [
        ("Every estimate", rows),
        (f"Every estimate; of single concepts those with the judges’ error corrected, {elsewhere}", fewer),
        (f"Every estimate over all concepts; {elsewhere}", fewest),
    ]


def _place(label: str, row: EstimateRow) -> tuple[str, ...]:
    """What a corrected and an uncorrected estimate of the same thing have in common."""
    return label, row.metric, row.attributes, row.concept, row.kind, row.judge, row.group


def comparisons_download(readings: Sequence[Reading]) -> Download:
    """Every paired difference by every judge."""
    rows = [(reading.label, row) for reading in readings for row in reading.result.comparisons]
    return _records("paired-differences", "Every paired difference", ComparisonRow, rows)


def _records(
    name: str, title: str, kind: type[Model], rows: Sequence[tuple[str, EstimateRow | ComparisonRow]]
) -> Download:
    """Rows of a result with the fields of its schema as columns."""
    fields = list(kind.model_fields)
    body = [[label, *(_field(row, field) for field in fields)] for label, row in rows]
    return Download(name, title, write_csv([["method", *fields], *body]))


def _field(row: Model, field: str) -> Raw:
    value: Raw = getattr(row, field)
    return str(value).lower() if isinstance(value, bool) else value
