"""The best rows of the leaderboard, for the front page of the repository."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenhand.bench.policy.ranking import rankings, title_of
from evenhand.bench.results.entry import BoardRow
from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.text import plural
from evenhand.reports.leaderboard import row_facts as facts
from evenhand.reports.leaderboard.columns import cell, escape
from evenhand.reports.leaderboard.markdown import linked_name, table

TITLES = ("Method", "What a user gets", "Distance ↓", "Explicit fidelity ↑")

MAX_ROWS = 8


def render_excerpt(rows: Sequence[BoardRow]) -> str:
    """The baseline and the ranked methods of the first suite, the closest to the target first, as Markdown.

    Args:
        rows: The rows of all suites.
    """
    suites = rankings(rows)
    if not suites or suites[0].key is None:
        return "No entries yet."
    suite, key = suites[0], suites[0].key
    methods = [row for row in suite.rows if not row.is_base]
    passing = sorted((row for row in methods if row.band == "ranked"), key=lambda row: _distance(row, key))
    shown = [*(row for row in suite.rows if row.is_base), *passing[:MAX_ROWS]]
    more = f", of which the table has the first {MAX_ROWS}" if len(passing) > MAX_ROWS else ""
    about = (
        f"**{escape(title_of(suite.result))}**: {len(passing)} of {plural(len(methods), 'method')} "
        f"{'passes every gate and is' if len(passing) == 1 else 'pass every gate and are'} ranked{more}."
    )
    return f"{about}\n\n{table(TITLES, [_line(row, key) for row in shown])}"


def _distance(row: BoardRow, key: Key) -> float:
    found = Reading.of(row.result).at(key)
    return math.inf if found is None else found.value


def _line(row: BoardRow, key: Key) -> list[str]:
    return [
        f"{linked_name(row)}{' (ours)' if row.ours else ''}",
        "" if row.is_base else facts.TRACK_TITLES[row.track].lower(),
        cell(Reading.of(row.result).at(key)),
        "reference" if row.is_base else facts.change_text(facts.fidelity_change(row)),
    ]
