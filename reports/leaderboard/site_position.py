"""Where one method stands among the others: the planes of fairness and trade_off with that method marked."""

from __future__ import annotations

from markupsafe import Markup

from evenhand.bench.policy.pareto import DOMINANCE, Plane, Point, dominance_of, dominated_by, layers
from evenhand.bench.policy.ranking import Ranking
from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.text import listing, number, ordinal
from evenhand.reports.components.scatter import Mark, scatter
from evenhand.reports.components.tables import Row, Table, text
from evenhand.reports.run.figures import Figure, Panel, images_behind
from evenhand.reports.run.pareto import DISTANCE, MEANINGS, plane_frame, shape_of

LEGEND = [
    ("front", "this method, if on the 1st front"),
    ("near", "behind the 1st by values only"),
    ("behind", "behind it beyond the intervals"),
    ("faint", "other methods"),
    ("beaten", "beaten by values"),
    ("passed", "passes every gate"),
    ("failed", "does not"),
    ("base", "baseline"),
]


def position(ranking: Ranking, own: Reading, key: Key) -> Figure | None:
    """The method among the others, against every price; ``None`` where it has no place there."""
    label = own.label
    drawn = [plane for plane in ranking.planes if label in layers(plane.points)]
    if not drawn:
        return None
    panels = [Panel(plane.trade_off.title, _image(ranking, label, plane)) for plane in drawn]
    fronts = [
        f"the {ordinal(layers(p.points)[label])} front of fairness and {p.trade_off.kept}" for p in drawn
    ]
    rows = [_row(plane, label) for plane in drawn]
    columns = ["TradeOff", "Front", "By the 95% intervals", "Beaten by, by values"]
    return Figure(
        "position",
        f"{label} is on {listing(fronts)}",
        panels,
        LEGEND,
        f"Down and left is better. {' '.join(MEANINGS[plane.trade_off.name] for plane in drawn)} "
        f"{images_behind({label: [own.at(key)]})}",
        Table("position-data", "Where the method stands", columns, rows),
    )


def _image(ranking: Ranking, own: str, plane: Plane) -> Markup:
    """The plane; the method is drawn last, so that nothing covers it."""
    marks = [
        _mark(ranking, own, plane, point)
        for point in sorted(plane.points, key=lambda point: point.label == own)
    ]
    return scatter(
        marks,
        axes=plane_frame(plane.trade_off, marks),
        front=plane.steps,
        name=f"position-{plane.trade_off.name}",
        label=_spoken(plane, own),
    )


def _mark(ranking: Ranking, own: str, plane: Plane, point: Point) -> Mark:
    shape = shape_of(point.label, ranking.base, ranking.failures)
    if point.label == own:
        return Mark(point.cost, point.distance, dominance_of(plane.points)[own], shape, own)
    return Mark(point.cost, point.distance, "faint", shape, "baseline" if shape == "base" else "")


def _spoken(plane: Plane, own: str) -> str:
    """The method's place in words, for readers who cannot see it."""
    point = next(point for point in plane.points if point.label == own)
    cost = number(point.cost.value, percent=plane.trade_off.percent)
    better = dominated_by(point, plane.points)
    behind = f"beaten by {listing(better)}" if better else "beaten by no other method"
    return f"{own}: {plane.trade_off.axis} {cost}, {DISTANCE} {number(point.distance.value)}; {behind}"


def _row(plane: Plane, own: str) -> Row:
    point = next(point for point in plane.points if point.label == own)
    better = dominated_by(point, plane.points)
    return Row(
        [
            text(plane.trade_off.title, plane.trade_off.shown(point.cost)),
            text(ordinal(layers(plane.points)[own])),
            text(DOMINANCE[dominance_of(plane.points)[own]]),
            text(listing(better) or "none"),
        ]
    )
