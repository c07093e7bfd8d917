"""Results as HTML tables, which a notebook shows; all texts are escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evenhand.bench.results.text import METRIC_TERMS, attribute, count, interval, number
from evenhand.metrics.rows import DifferenceRow, EstimateRow


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a title."""
    head = "".join(f"<th>{escape(text)}</th>" for text in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    caption = f"<caption>{escape(title)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def estimates_html(title: str, rows: Sequence[EstimateRow]) -> str:
    """Estimates with their intervals."""
    columns = ["metric", "attributes", "prompts", "corrected", "value", "95% interval", "n"]
    return html_table(title, columns, [_estimate(row) for row in rows])


def _estimate(row: EstimateRow) -> list[str]:
    percent = row.metric in METRIC_TERMS and METRIC_TERMS[row.metric].percent
    value, ends = number(row.value, percent=percent), interval(row.low, row.high, percent=percent)
    corrected = "yes" if row.corrected else "no"
    return [row.metric, attribute(row.attributes), row.kind, corrected, value, ends, count(row.n)]


def differences_html(title: str, rows: Sequence[DifferenceRow]) -> str:
    """Differences with their intervals."""
    columns = ["difference", "metric", "attributes", "corrected", "value", "95% interval", "n"]
    return html_table(title, columns, [_difference(row) for row in rows])


def _difference(row: DifferenceRow) -> list[str]:
    value, ends = number(row.value), interval(row.low, row.high)
    pair, corrected = f"{row.label} minus {row.against}", "yes" if row.corrected else "no"
    return [pair, row.metric, attribute(row.attributes), corrected, value, ends, count(row.n)]
