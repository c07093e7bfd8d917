"""Shares relative to their targets: bars for the groups of one attribute, a heat map for joint cells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from evenhand.bench.results.lookup import Reading, cell_shares
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import attribute, cell, count, interval, number, sentence, slug
from evenhand.reports.components.charts import draw
from evenhand.reports.components.heat_map import COLOURS, STEPS, Side, Tile, heat
from evenhand.reports.components.tables import Cell, Row, Table, missing, text
from evenhand.reports.run.figures import (
    Figure,
    Panel,
    dot_legend,
    dot_of,
    farthest,
    figure_table,
    images_behind,
    lines_left_out,
)
from evenhand.reports.run.findings import Numbers, before_and_after, rarest, values_text
from evenhand.reports.run.report_text import report_text_of

COLUMNS = 12
"""Columns of a heat map that fit on a phone with their numbers."""


def group_shares(readings: Sequence[Reading], name: str) -> Figure | None:
    """The share of every group of an attribute for every method, one panel per group.

    ``None`` where shares were not measured, or where there are only two groups, whose shares are one number.
    """
    spec = readings[0].result.spec
    groups = spec.attributes.get(name, [])
    shares = cell_shares(readings, name)
    if len(groups) < 3 or not shares:
        return None
    targets = {group: spec.target_share(name, group) for group in shares}
    numbers = farthest(shares, targets)
    upper = min(1, 1.05 * max(_ends(numbers), default=1))
    anchor = f"groups-{slug(name)}"
    return Figure(
        anchor,
        rarest(readings, shares, targets, what=attribute(name)),
        [
            _bars(readings, group, rows, targets[group], name=f"{anchor}-{place}", upper=upper)
            for place, (group, rows) in enumerate(numbers.items())
        ],
        [*dot_legend(readings), ("target", "target share")],
        f"Mean share over the concepts. {images_behind(numbers)}{lines_left_out(shares, 'groups')}",
        figure_table(f"{anchor}-data", f"Share of each group: {attribute(name)}", "Group", readings, numbers),
    )


def cell_map(readings: Sequence[Reading], attributes: str) -> Figure | None:
    """Every joint cell for every method, coloured by its share relative to the target.

    ``None`` where shares were not measured, or where there is one attribute only.
    """
    spec = readings[0].result.spec
    names = attributes.split("*")
    shares = cell_shares(readings, attributes)
    if len(names) < 2 or not shares:
        return None
    targets = {name: spec.target_share(attributes, name) for name in shares}
    numbers = farthest(shares, targets)
    clear = [
        sum(side(rows[place], targets[name]) != "" for name, rows in shares.items())
        for place in range(len(readings))
    ]
    found = before_and_after(readings, clear, lambda value: str(int(value)))
    return Figure(
        "cell-map",
        f"Cells of {attribute(attributes)} clearly off target, out of {len(shares)}: {found}",
        list(_maps(readings, numbers, targets)),
        [
            *((shade, meaning) for shade, meaning in zip(COLOURS, _meanings(), strict=True)),
            ("above", "whole 95% interval above the target"),
            ("below", "whole 95% interval below the target"),
        ],
        "Mean share over the concepts, relative to the target; one column per "
        f"{report_text_of(spec).subject}. Not adjusted for the number of cells. {images_behind(numbers)}"
        f"{lines_left_out(shares, 'cells')}",
        _map_table(readings, numbers, targets, attributes),
        key=[(str(place + 1), "", reading.label) for place, reading in enumerate(readings)],
    )


def side(row: EstimateRow | None, target: float) -> Side:
    """The side of the target that holds the whole interval; empty where it contains the target."""
    if row is None or math.isnan(row.low) or math.isnan(row.high):
        return ""
    return "below" if row.high < target else "above" if row.low > target else ""


def _ends(numbers: Numbers) -> Iterator[float]:
    for rows in numbers.values():
        yield from (row.high for row in rows if row is not None and math.isfinite(row.high))


def _bars(
    readings: Sequence[Reading],
    group: str,
    rows: Sequence[EstimateRow | None],
    target: float,
    *,
    name: str,
    upper: float,
) -> Panel:
    dots = [
        dot_of(reading.label, "open" if reading.is_base else "full", row, target)
        for reading, row in zip(readings, rows, strict=True)
        if row is not None
    ]
    goal = number(target, percent=True)
    label = f"Share perceived as {group}, target {goal}: {values_text(readings, rows)}"
    image = draw(dots, name=name, label=label, axis="mean share", domain=(0, upper), percent=True, bars=True)
    return Panel(f"{sentence(group)}, target {goal}", image)


def _maps(readings: Sequence[Reading], numbers: Numbers, targets: Mapping[str, float]) -> Iterator[Panel]:
    """A panel for up to a dozen methods, all of about the same width."""
    panels = math.ceil(len(readings) / COLUMNS)
    ends = [len(readings) * place // panels for place in range(panels + 1)]
    for place, (first, last) in enumerate(pairwise(ends)):
        tiles = [
            _tile(name, column, row, targets[name], readings[column].label)
            for name, rows in numbers.items()
            for column, row in enumerate(rows[first:last], start=first)
        ]
        shown = readings[first:last]
        heading = shown[0].label if len(shown) == 1 else f"{first + 1} to {last}"
        yield Panel(heading, heat(tiles, name=f"cell-map-{place}", label=_map_text(shown, tiles, first)))


def _tile(name: str, column: int, row: EstimateRow | None, target: float, label: str) -> Tile:
    """A cell of one method: its ratio to the target, and under the pointer its share with interval and n."""
    if row is None:
        return Tile(cell(name), str(column + 1), math.nan, "")
    ends = interval(row.low, row.high, percent=True) or "no interval"
    tip = (
        f"{cell(name)}, {label}: {number(row.value, percent=True)} ({ends}; n {count(row.n)}); "
        f"target {number(target, percent=True)}"
    )
    return Tile(cell(name), str(column + 1), _ratio(row, target), side(row, target), tip)


def _map_text(readings: Sequence[Reading], tiles: Sequence[Tile], first: int) -> str:
    """The text alternative: how many cells of each method are clearly below and above their target."""
    parts = []
    for place, reading in enumerate(readings, start=first + 1):
        own = [tile.side for tile in tiles if tile.column == str(place)]
        parts.append(f"{reading.label} {own.count('below')} below and {own.count('above')} above")
    return f"Cells clearly off target: {', '.join(parts)}"


def _ratio(row: EstimateRow | None, target: float) -> float:
    return row.value / target if row is not None and target > 0 else math.nan


def _meanings() -> list[str]:
    """The meaning of the colours."""
    steps = [f"{step:g}" for step in STEPS]
    between = [f"{low} to {high}" for low, high in pairwise(steps)]
    return [f"below {steps[0]} × target", *(f"{step} ×" for step in between), f"{steps[-1]} × or more"]


def _map_table(
    readings: Sequence[Reading], numbers: Numbers, targets: Mapping[str, float], attributes: str
) -> Table:
    rows = [
        Row(
            [
                text(cell(name), f"target {number(targets[name], percent=True)}"),
                *(_map_cell(row, targets[name]) for row in found),
            ]
        )
        for name, found in numbers.items()
    ]
    caption = f"Share relative to the target: {attribute(attributes)}"
    columns = ["Cell", *(reading.label for reading in readings)]
    return Table("cell-map-data", caption, columns, rows, "1 is the target share; 95% intervals")


def _map_cell(row: EstimateRow | None, target: float) -> Cell:
    ratio = _ratio(row, target)
    if row is None or not math.isfinite(ratio):
        return missing()
    low, high = row.low / target, row.high / target
    notes = (interval(low, high, digits=2) or "no interval", side(row, target))
    return Cell(number(ratio, digits=2), notes, "number", {"": ratio, "low": low, "high": high})
