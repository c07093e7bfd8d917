"""The table at the end of a run: one row per method, the baseline first, then best first."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.bench.results.lookup import Key, Reading, measured_attributes, ordered, primary_key
from evenhand.bench.results.result import EstimateRow, Result
from evenhand.bench.results.text import METRIC_TERMS, NOT_MEASURED, attribute, interval, number

BESIDE = ("deviation_ratio", "explicit_fidelity", "undetermined")
"""Metrics shown beside the primary one, as the judges see them."""


def summary(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows; numbers with their 95 % intervals."""
    readings = [Reading.of(result) for result in results]
    key = primary_key(readings)
    readings = ordered(readings, key)
    columns = {"method": [reading.label for reading in readings]}
    if key is not None:
        heading = f"RMSDelta {attribute(key.attributes)}{', corrected' if key.corrected else ''}"
        columns[heading] = [_estimate(reading.at(key)) for reading in readings]
        columns["rank"] = [_rank(reading, key) for reading in readings]
    for metric in BESIDE:
        # One single attribute, the suite's first: the published deviation ratio has no joint form.
        name = next((name for name in measured_attributes(readings, metric) if "*" not in name), "")
        rows = [reading.naive(metric, name) for reading in readings]
        columns[f"{metric.replace('_', ' ')} {attribute(name)}".strip()] = [_estimate(row) for row in rows]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def _estimate(row: EstimateRow | None) -> str:
    if row is None:
        return NOT_MEASURED
    percent = METRIC_TERMS[row.metric].percent
    ends = interval(row.low, row.high, percent=percent)
    return number(row.value, percent=percent) + (f" ({ends})" if ends else "")


def _rank(reading: Reading, key: Key) -> str:
    row = reading.rank(key)
    if row is None:
        return "-"
    return f"{row.low}" if row.low == row.high else f"{row.low} to {row.high}"
