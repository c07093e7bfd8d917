"""The table at the end of a run: one row per method, the baseline first, then best first."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.bench.results.lookup import Key, Reading, distances, measured_attributes, ordered, primary_key
from evenhand.bench.results.pairs import matching_pairs
from evenhand.bench.results.result import EstimateRow, Result
from evenhand.bench.results.text import METRIC_TERMS, NOT_MEASURED, attribute, interval, number

BESIDE = ("explicit_fidelity", "undetermined")
"""Metrics shown beside the primary one, as the judges see them."""


def summary(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: the distance for every attribute set, what it means, and side effects.

    The set that ranks the methods has its 95 % interval; the intervals of the others are in the report.
    """
    readings = [Reading.of(result) for result in results]
    key = primary_key(readings)
    readings = ordered(readings, key)
    columns = {"method": [reading.label for reading in readings]}
    if key is not None:
        columns |= _distances(readings, key)
    for metric in BESIDE:
        name = next((name for name in measured_attributes(readings, metric) if "*" not in name), "")
        rows = [reading.naive(metric, name) for reading in readings]
        columns[f"{metric.replace('_', ' ')} {attribute(name)}".strip()] = [_estimate(row) for row in rows]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def _distances(readings: Sequence[Reading], key: Key) -> dict[str, list[str]]:
    """The distances side by side, the share of matching pairs, and the rank."""
    columns = {}
    for name, rows in distances(readings, key).items():
        corrected = any(row is not None and row.corrected for row in rows)
        heading = f"RMSDelta {attribute(name)}{', corrected' if corrected else ''}"
        columns[heading] = [_estimate(row, ends=name == key.attributes) for row in rows]
    columns["same group in pairs"] = [_pairs(reading, key) for reading in readings]
    columns["rank"] = [_rank(reading, key) for reading in readings]
    return columns


def _estimate(row: EstimateRow | None, *, ends: bool = True) -> str:
    if row is None:
        return NOT_MEASURED
    percent = METRIC_TERMS[row.metric].percent
    text = interval(row.low, row.high, percent=percent) if ends else ""
    return number(row.value, percent=percent) + (f" ({text})" if text else "")


def _pairs(reading: Reading, key: Key) -> str:
    """How often two images of one concept show the same group of the primary set, and with even shares."""
    row = reading.at(key)
    pairs = matching_pairs(row, reading.result.spec) if row is not None else None
    return f"{100 * pairs.value:.0f}% (even: {100 * pairs.even:.0f}%)" if pairs else NOT_MEASURED


def _rank(reading: Reading, key: Key) -> str:
    row = reading.rank(key)
    if row is None:
        return "-"
    return f"{row.low}" if row.low == row.high else f"{row.low} to {row.high}"
