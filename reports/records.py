"""Every number of a run as one CSV each, with the fields of the result's schema as columns."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.bench.result import ComparisonRow, EstimateRow, Model
from evenhand.reports.downloads import Download, Raw, write_csv
from evenhand.reports.reading import Reading


def estimates_download(readings: Sequence[Reading]) -> Download:
    """Every aggregate estimate by every judge, and every estimate by concept of the panel."""
    rows = [
        (reading.label, row)
        for reading in readings
        for row in reading.result.estimates
        if not row.concept or row.judge in ("panel", "")
    ]
    return _records("estimates", "Every estimate", EstimateRow, rows)


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
