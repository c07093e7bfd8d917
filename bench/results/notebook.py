"""Results as tables: HTML for notebooks, in which all texts are escaped, and text that fits a screen."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evenhand.bench.results.text import (
    METRIC_TERMS,
    PANEL,
    SHARE,
    aligned,
    attribute,
    cell,
    count,
    interval,
    number,
    plural,
)
from evenhand.metrics.rows import DifferenceRow, EstimateRow

LONGEST = 22
"""Most rows of a table in a text."""

FIRST = ("rms_delta", SHARE, "explicit_fidelity", "over_correction", "undetermined", "alignment")
"""Metrics of a text, in order; a data frame has all of them."""


def estimates_text(title: str, rows: Sequence[EstimateRow]) -> str:
    """The main aggregates of the panel, corrected where they can be, and the shares of single attributes."""
    found: dict[tuple[str, ...], EstimateRow] = {}
    for row in sorted(rows, key=lambda row: not row.corrected):
        joint = row.metric == SHARE and "*" in row.attributes
        ours = row.metric in FIRST and row.judge in ("", PANEL) and not row.concept and not joint
        if ours and (row.metric == SHARE or not row.group):
            found.setdefault((row.metric, row.attributes, row.kind, row.group), row)
    kinds = list(dict.fromkeys(row.kind for row in rows))
    shown = sorted(found.values(), key=lambda row: (kinds.index(row.kind), FIRST.index(row.metric)))
    columns = ["metric", "attributes", "group", "prompts", "corrected", "value", "95% interval", "n"]
    cells = [[row.metric, attribute(row.attributes), cell(row.group), *_estimate(row)[2:]] for row in shown]
    left = len(rows) - len(cells[:LONGEST])
    more = [f"{plural(left, 'more row')} in to_dataframe()"] if left else []
    return "\n".join([title, *aligned(columns, cells[:LONGEST]), *more])


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
