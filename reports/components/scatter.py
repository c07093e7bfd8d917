"""The plane of a trade-off as inline SVG: points with intervals on both axes, a front, a curve.

A point's fill shows its dominance and its shape whether it passes the gates, so a grey print carries the same
information. This module places the labels, because the renderer cannot keep them from overlapping.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Literal, NamedTuple

import altair as alt
from markupsafe import Markup

from evenhand.bench.policy.pareto import Span
from evenhand.reports.components.charts import ACCENT, GREY, INK, WIDTH, inline, themed
from evenhand.reports.components.vega import svg_of

LEFT, RIGHT, TOP, BOTTOM = 46, 12, 8, 38
"""Pixels around the axes."""

HIGH, LOW = 270, 190
"""Height of the vertical axis in pixels: in an image of all methods, and in one of many small ones."""

LETTER, LINE = 6.4, 11.0
"""Size of a label in pixels: the width of a letter, and the height."""

PALE, SHADE = "#c9ced4", "#f1f3f5"

Look = Literal["front", "near", "behind", "faint"]
Shape = Literal["base", "passed", "failed"]

LOOKS: dict[Look, dict[str, Any]] = {
    "faint": {"stroke": PALE, "fill": "white", "size": 26, "strokeWidth": 1},
    "behind": {"stroke": GREY, "fill": PALE, "size": 48, "strokeWidth": 1},
    "near": {"stroke": ACCENT, "fill": "white", "size": 56, "strokeWidth": 1.8},
    "front": {"stroke": ACCENT, "fill": ACCENT, "size": 60, "strokeWidth": 1.5},
}
"""Fill and outline by dominance, the least important first; ``faint`` is for methods in the background."""

SHAPES: dict[Shape, str] = {"base": "square", "passed": "circle", "failed": "triangle-up"}
"""Shapes by gates: the baseline, a method that passes every gate, one that does not."""


@dataclass(frozen=True)
class Mark:
    """A point of the plane; ``text`` is written beside it, ``tip`` is shown under the pointer."""

    cost: Span
    distance: Span
    look: Look
    shape: Shape
    text: str = ""
    tip: str = ""


class At(NamedTuple):
    """A position, in the units of the axes or in pixels from the upper left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Frame:
    """The axes: ends and titles, whether the horizontal one is in per cent, and the height in pixels."""

    right: tuple[float, float]
    up: tuple[float, float]
    cost: str
    distance: str
    percent: bool
    height: int = HIGH

    def pixels(self, place: At) -> At:
        """The position of ``place`` in the image."""
        (x0, x1), (y0, y1) = self.right, self.up
        return At((place.x - x0) / (x1 - x0) * _ACROSS, (y1 - place.y) / (y1 - y0) * self.height)

    def values(self, place: At) -> At:
        """The inverse of :meth:`pixels`."""
        (x0, x1), (y0, y1) = self.right, self.up
        return At(x0 + place.x / _ACROSS * (x1 - x0), y1 - place.y / self.height * (y1 - y0))


_ACROSS = WIDTH - LEFT - RIGHT


def frame(marks: Sequence[Mark], *, cost: str, distance: str, percent: bool, height: int = HIGH) -> Frame:
    """Axes that contain every point, and the intervals as long as these do not crowd the points."""
    right, up = _ends([mark.cost for mark in marks]), _ends([mark.distance for mark in marks])
    return Frame(right, up, cost, distance, percent, height)


def scatter(
    marks: Sequence[Mark],
    *,
    axes: Frame,
    front: Sequence[tuple[float, float]] = (),
    curve: Sequence[At] = (),
    name: str,
    label: str,
) -> Markup:
    """The plane as an inline SVG image.

    Args:
        marks: The points.
        axes: Ends and titles of the axes.
        front: Points of the front; drawn as the steps that bound the dominated region.
        curve: Points to join, in order.
        name: Prefix of every id in the image.
        label: Text alternative.
    """
    looks = [look for look in LOOKS if look != "faint"]
    layers = [
        *_dominated(axes),
        *_points("faint"),
        _curve(),
        *(layer for look in looks for layer in _spans(look)),
        *(layer for look in looks for layer in _points(look)),
        *_labels(),
    ]
    x = alt.X("x:Q", scale=_scale(axes.right), axis=_axis(axes.cost, percent=axes.percent))
    y = alt.Y("y:Q", scale=_scale(axes.up), axis=_axis(axes.distance, percent=False))
    chart = (
        alt.layer(*layers)
        .encode(x=x, y=y)
        .properties(
            width=_ACROSS,
            height=axes.height,
            autosize="none",
            padding={"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
        )
    )
    data = {
        "marks": [_row(mark) for mark in marks],
        "front": _ordered(_steps(front, axes)),
        "curve": _ordered(curve),
        "labels": _placed(marks, axes, [axes.pixels(place) for place in curve]),
    }
    specification = themed(chart).to_dict(validate=False) | {"datasets": data}
    return inline(svg_of(specification), name=name, label=label)


def _ends(spans: Sequence[Span]) -> tuple[float, float]:
    """From zero, or below it where a value is, to a little beyond the largest value."""
    values = [span.value for span in spans if span.known] or [1.0]
    largest, smallest = max(*values, 0), min(*values, 0)
    reach = (largest - smallest) or 1.0
    high = max([span.high for span in spans if math.isfinite(span.high)] + [largest])
    low = min([span.low for span in spans if math.isfinite(span.low)] + [smallest])
    bottom = max(low, smallest - 0.1 * reach) - 0.03 * reach
    return bottom, min(high, largest + 0.25 * reach) + 0.05 * reach


def _scale(ends: tuple[float, float]) -> alt.Scale:
    return alt.Scale(domain=list(ends), nice=False, zero=False)


def _axis(title: str, *, percent: bool) -> alt.Axis:
    # Significant digits, so that ticks of a small range differ.
    return alt.Axis(title=title, format=".3~p" if percent else ".3~r", tickCount=5, grid=True)


def _dominated(axes: Frame) -> list[alt.Chart]:
    """The region that the front dominates: everything above and right of its steps."""
    steps = alt.Chart(alt.NamedData("front"))
    area = steps.mark_area(color=SHADE, opacity=1, clip=True, interpolate="step-after").encode(y2="top:Q")
    edge = steps.mark_line(color=PALE, strokeWidth=1, clip=True, interpolate="step-after")
    return [area.transform_calculate(top=str(axes.up[1])), edge]


def _curve() -> alt.Chart:
    line = alt.Chart(alt.NamedData("curve")).mark_line(color=ACCENT, strokeWidth=1.8, clip=True)
    return line.encode(order=alt.Order("place:Q"))


def _spans(look: Look) -> list[alt.Chart]:
    """Intervals on both axes."""
    style = {"color": LOOKS[look]["stroke"], "strokeWidth": 1, "opacity": 0.55, "clip": True}
    rules = alt.Chart(alt.NamedData("marks")).mark_rule(**style)
    mine = f"datum.look === '{look}'"
    across = rules.encode(x="x_low:Q", x2="x_high:Q").transform_filter(f"{mine} && isValid(datum.x_low)")
    upright = rules.encode(y="y_low:Q", y2="y_high:Q").transform_filter(f"{mine} && isValid(datum.y_low)")
    return [across, upright]


def _points(look: Look) -> Iterator[alt.Chart]:
    for shape, form in SHAPES.items():
        points = alt.Chart(alt.NamedData("marks")).mark_point(opacity=1, shape=form, aria=True, **LOOKS[look])
        points = points.encode(description="tip:N")
        yield points.transform_filter(f"datum.look === '{look}' && datum.shape === '{shape}'")


def _labels() -> list[alt.Chart]:
    """Labels with a white outline, readable over lines, and leader lines to those far from their point."""
    labels = alt.Chart(alt.NamedData("labels"))
    leader = labels.mark_rule(color=GREY, strokeWidth=0.6).encode(x2="to_x:Q", y2="to_y:Q")
    style = {"fontSize": 11, "fontWeight": "bold", "baseline": "middle", "align": "center"}
    edge = labels.mark_text(stroke="white", strokeWidth=3, strokeJoin="round", **style).encode(text="text:N")
    return [
        leader.transform_filter("datum.far"),
        edge,
        labels.mark_text(color=INK, **style).encode(text="text:N"),
    ]


def _row(mark: Mark) -> dict[str, Any]:
    numbers = {
        "x": mark.cost.value,
        "x_low": mark.cost.low,
        "x_high": mark.cost.high,
        "y": mark.distance.value,
        "y_low": mark.distance.low,
        "y_high": mark.distance.high,
    }
    known = {key: value for key, value in numbers.items() if math.isfinite(value)}
    return known | {"look": mark.look, "shape": mark.shape, "tip": mark.tip}


def _steps(front: Sequence[tuple[float, float]], axes: Frame) -> list[At]:
    """The front as steps from the upper edge to the right edge; no method is below and left of them."""
    corners = [At(*place) for place in sorted(front)]
    if not corners:
        return []
    return [At(corners[0].x, axes.up[1]), *corners, At(axes.right[1], corners[-1].y)]


def _ordered(places: Sequence[At]) -> list[dict[str, float]]:
    return [{"x": place.x, "y": place.y, "place": number} for number, place in enumerate(places)]


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area of the intersection."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


def _placed(marks: Sequence[Mark], axes: Frame, curve: Sequence[At]) -> list[dict[str, Any]]:
    """A position for every label, chosen one after the other: the nearest with the least overlap."""
    whole = Box(0, 0, _ACROSS, axes.height)
    spots = [axes.pixels(At(mark.cost.value, mark.distance.value)) for mark in marks]
    taken = [_box(spot, 10, 10) for spot in spots] + [_box(spot, 4, 4) for spot in _along(curve)]
    taken += [box for mark in marks if mark.look != "faint" for box in _crossing(mark, axes)]
    rows = []
    for mark, spot in zip(marks, spots, strict=True):
        if not mark.text:
            continue
        width = LETTER * len(mark.text) + 3
        gap, middle = _clearest(spot, width, taken, whole)
        taken.append(_box(middle, width, LINE))
        place = axes.values(middle)
        point = {"to_x": mark.cost.value, "to_y": mark.distance.value}
        rows.append({"x": place.x, "y": place.y, "text": mark.text, "far": gap > 9} | point)
    return rows


def _clearest(spot: At, width: float, taken: Sequence[Box], whole: Box) -> tuple[float, At]:
    """The candidate with the least overlap, with its distance from the point; the first of equal ones."""

    def penalty(candidate: tuple[float, At]) -> float:
        gap, middle = candidate
        box = _box(middle, width, LINE)
        covered = sum(box.overlap(other) for other in taken)
        return 10 * (width * LINE - box.overlap(whole) + covered) + gap

    return min(_candidates(spot, width), key=penalty)


def _candidates(spot: At, width: float) -> Iterator[tuple[float, At]]:
    """Positions around the point with their distance from it; those beside its intervals come first."""
    for gap, angle in product((2, 7, 14, 22, 32), (45, 135, 315, 225, 20, 160, 340, 200, 70, 110, 250, 290)):
        right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        across = (5 + gap + width / 2) * right
        yield gap, At(spot.x + across, spot.y - (5 + gap + LINE / 2) * up)


def _crossing(mark: Mark, axes: Frame) -> Iterator[Box]:
    """The lines of a point's intervals, where both ends are known."""
    first = axes.pixels(At(mark.cost.low, mark.distance.high))
    last = axes.pixels(At(mark.cost.high, mark.distance.low))
    x, y = axes.pixels(At(mark.cost.value, mark.distance.value))
    lines = Box(first.x, y - 0.5, last.x, y + 0.5), Box(x - 0.5, first.y, x + 0.5, last.y)
    yield from (line for line in lines if all(map(math.isfinite, line)))


def _along(curve: Sequence[At]) -> Iterator[At]:
    """Positions every few pixels along a curve."""
    for start, end in pairwise(curve):
        steps = 1 + int(math.dist(start, end) / 4)
        for step in range(steps):
            share = step / steps
            yield At(start.x + share * (end.x - start.x), start.y + share * (end.y - start.y))


def _box(middle: At, width: float, height: float) -> Box:
    return Box(middle.x - width / 2, middle.y - height / 2, middle.x + width / 2, middle.y + height / 2)
