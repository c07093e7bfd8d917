"""The tables of changed labels: images of the same prompt and seed that show another group."""

from __future__ import annotations

import math

from evenhand.bench.results.comparison import Comparison, FlipRow
from evenhand.bench.results.text import attribute, interval, number
from evenhand.reports.components.downloads import Download, Raw, write_csv
from evenhand.reports.components.tables import Cell, Row, Table, missing, p_value, text

SHOWN_FLIPS = 40
"""Rows of changed labels by concept on the page; the download has all."""


def flips_table(comparison: Comparison) -> Table:
    """Images of neutral prompts whose perceived group changes, by pair and attribute."""
    rows = [
        Row([text(attribute(row.attribute)), *_flip(row)], _title(row))
        for row in comparison.flips
        if not row.concept
    ]
    columns = [
        "Attribute",
        "Images that differ",
        "From the second side to the first",
        "p, equal in both directions",
    ]
    return Table(
        "flips",
        "Same prompt and seed, different perceived group",
        columns,
        rows,
        about="Neutral prompts, the panel’s labels; McNemar’s test (Stuart and Maxwell’s for more than two "
        "groups), adjusted by Holm",
    )


def concept_flips_table(comparison: Comparison) -> Table:
    """The same by concept, the largest changes first."""
    rows = sorted(
        (row for row in comparison.flips if row.concept and row.n),
        key=lambda row: (-row.changed, row.p_adjusted),
    )
    shown_rows = [
        Row([text(f"{row.concept}: {attribute(row.attribute)}", _title(row)), *_flip(row)])
        for row in rows[:SHOWN_FLIPS]
    ]
    more = f" The {SHOWN_FLIPS} largest changes of {len(rows)}; the download has all." * (
        len(rows) > SHOWN_FLIPS
    )
    return Table(
        "flips-by-concept",
        "By concept",
        [
            "Concept and attribute",
            "Images that differ",
            "From the second side to the first",
            "p, equal in both directions",
        ],
        shown_rows,
        about=f"p adjusted by Benjamini and Hochberg over the concepts and attributes of a pair.{more}",
    )


def _title(row: FlipRow) -> str:
    return f"{row.label} vs. {row.against}"


def _flip(row: FlipRow) -> list[Cell]:
    if not row.n:
        return [missing(), text("no image has labels on both sides"), missing()]
    ends = interval(row.low, row.high, percent=True)
    raw: dict[str, Raw] = {"": row.changed, "low": row.low, "high": row.high, "n": row.n}
    changed = Cell(number(row.changed, percent=True), (ends, f"n {row.n}"), "number", raw)
    moves = "; ".join(moves_of(row)) or "none"
    p = (
        Cell(p_value(row.p_adjusted), kind="number", raw={"": row.p_adjusted})
        if math.isfinite(row.p)
        else text("no change")
    )
    return [changed, text(moves), p]


def moves_of(row: FlipRow) -> list[str]:
    """The changes, the most frequent first: ``"man to woman 12"``."""
    found = [
        (count, before, after)
        for before, line in zip(row.groups, row.table, strict=True)
        for after, count in zip(row.groups, line, strict=True)
        if count and before != after
    ]
    return [
        f"{before} to {after} {count}" for count, before, after in sorted(found, key=lambda move: -move[0])
    ]


def flip_records(comparison: Comparison) -> Download:
    """Every table of changed labels, one row per pair of groups."""
    head: list[Raw] = [
        "label",
        "against",
        "attribute",
        "concept",
        "from",
        "to",
        "images",
        "p",
        "p_adjusted",
    ]
    rows: list[list[Raw]] = [
        [row.label, row.against, row.attribute, row.concept, before, after, count, row.p, row.p_adjusted]
        for row in comparison.flips
        for before, line in zip(row.groups, row.table, strict=True)
        for after, count in zip(row.groups, line, strict=True)
    ]
    return Download("every-flip", "Every change of a label", write_csv([head, *rows]))
