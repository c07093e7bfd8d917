"""A heat map as inline SVG: the distance of each share from its target, and whether it is clear.

Colour shows the ratio to the target, in steps that colour-blind readers can distinguish. A triangle shows
that the whole 95% interval is on one side of the target, also in a grey print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
from markupsafe import Markup

from evenhand.reports.components.charts import INK, RIGHT, WIDTH, inline, label_space, named_axis, themed
from evenhand.reports.components.vega import svg_of

TILE = 17
"""Height of a tile in pixels."""

WIDEST = 34
"""Largest width of a tile in pixels."""

STEPS = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
"""Ratios to the target at which the colour changes; the middle ones are those of the four-fifths rule."""

COLOURS = ("#b35806", "#f1a340", "#fee0b6", "#f4f5f6", "#d1e5f0", "#67a9cf", "#2166ac")
"""From far below the target to far above it."""

Side = Literal["below", "above", ""]


@dataclass(frozen=True)
class Tile:
    """The share of one cell in one column.

    Attributes:
        row: The cell.
        column: The column's short name.
        ratio: Share divided by target; ``nan`` where it was not measured.
        side: The side of the target that holds the whole interval; empty where it contains the target.
        tip: What the tile shows under the pointer.
    """

    row: str
    column: str
    ratio: float
    side: Side
    tip: str = ""


def heat(tiles: Sequence[Tile], *, name: str, label: str) -> Markup:
    """The tiles as an inline SVG image.

    Args:
        tiles: The shares, line by line.
        name: Prefix of every id in the image.
        label: Text alternative.
    """
    rows = list(dict.fromkeys(tile.row for tile in tiles))
    columns = list(dict.fromkeys(tile.column for tile in tiles))
    left = label_space(rows)
    width = min(WIDTH - left - RIGHT, WIDEST * len(columns))
    keys = [str(place) for place in range(len(rows))]
    x = alt.X(
        "column:N",
        sort=columns,
        scale=alt.Scale(domain=columns, paddingInner=0.06, paddingOuter=0),
        axis=alt.Axis(
            title=None,
            orient="top",
            labelAngle=0,
            labelPadding=4,
            labelLimit=0,
            ticks=False,
            domain=False,
            grid=False,
        ),
    )
    y = alt.Y(
        "line:N",
        sort=keys,
        scale=alt.Scale(domain=keys, paddingInner=0.06, paddingOuter=0),
        axis=named_axis(rows, grid=False),
    )
    chart = (
        alt.layer(*_layers(), data=alt.NamedData("tiles"))
        .encode(x=x, y=y)
        .properties(
            width=width,
            height=TILE * len(rows),
            autosize="none",
            padding={"left": left, "right": WIDTH - left - width, "top": 22, "bottom": 4},
        )
    )
    specification = themed(chart).to_dict(validate=False) | {"datasets": {"tiles": _values(tiles, rows)}}
    return inline(svg_of(specification), name=name, label=label)


def colour(ratio: float) -> str:
    """The colour of a ratio to the target."""
    return COLOURS[sum(ratio >= step for step in STEPS)]


def _layers() -> list[alt.Chart]:
    """Tiles with their colours, then the triangles on them, white on dark tiles."""
    tiles = (
        alt.Chart().mark_rect(aria=True).encode(fill=alt.Fill("colour:N", scale=None), description="tip:N")
    )
    sides = {"below": "triangle-down", "above": "triangle-up"}
    return [tiles, *(_side(side, shape) for side, shape in sides.items())]


def _side(side: str, shape: str) -> alt.Chart:
    marks = alt.Chart().mark_point(shape=shape, size=30, strokeWidth=0, opacity=1, filled=True)
    ink = alt.Color("ink:N", scale=None)
    return marks.encode(color=ink).transform_filter(f"datum.side === '{side}'")


def _values(tiles: Sequence[Tile], rows: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "line": str(rows.index(tile.row)),
            "column": tile.column,
            "side": tile.side,
            "tip": tile.tip,
            "colour": colour(tile.ratio),
            "ink": "#ffffff" if colour(tile.ratio) in (COLOURS[0], COLOURS[-1]) else INK,
        }
        for tile in tiles
        if math.isfinite(tile.ratio)
    ]
