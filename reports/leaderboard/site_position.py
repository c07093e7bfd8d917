"""One method among the others: the planes of the trade-offs with that method highlighted."""

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
    ("near", "if dominated, but within the intervals"),
    ("behind", "if dominated beyond the intervals"),
    ("faint", "other methods"),
    ("dominated", "dominated region"),
    ("passed", "passes every gate"),
    ("failed", "does not pass every gate"),
    ("base", "baseline"),
]


def position(ranking: Ranking, own: Reading, key: Key) -> Figure | None:
    """The method among the others for every trade-off; ``None`` where none was measured for it."""
    label = own.label
    drawn = [plane for plane in ranking.planes if label in layers(plane.points)]
    if not drawn:
        return None
    panels = [Panel(plane.trade_off.title, _image(ranking, label, plane)) for plane in drawn]
    fronts = [
        f"the {ordinal(layers(p.points)[label])} Pareto front of fairness and {p.trade_off.kept}"
        for p in drawn
    ]
    rows = [_row(plane, label) for plane in drawn]
    columns = ["Trade-off", "Front", "By the 95% intervals", "Dominated by (estimates)"]
    return Figure(
        "position",
        f"{label} is {ranking.not_closer(label) or f'on {listing(fronts)}'}",
        panels,
        LEGEND,
        f"Lower left is better. {' '.join(MEANINGS[plane.trade_off.name] for plane in drawn)} "
        f"{images_behind({label: [own.at(key)]})}",
        Table("position-data", "The method among the others", columns, rows),
    )


def _image(ranking: Ranking, own: str, plane: Plane) -> Markup:
    """The plane, with the method drawn last so that nothing covers it."""
    marks = [
        _mark(ranking, own, plane, point)
        for point in sorted(plane.points, key=lambda point: point.label == own)
    ]
    return scatter(
        marks,
        axes=plane_frame(plane.trade_off, marks),
        front=plane.steps,
        name=f"position-{plane.trade_off.name}",
        label=_text(plane, own),
    )


def _mark(ranking: Ranking, own: str, plane: Plane, point: Point) -> Mark:
    shape = shape_of(point.label, ranking.base, ranking.failures)
    if point.label == own:
        return Mark(point.cost, point.distance, dominance_of(plane.points)[own], shape, own)
    return Mark(point.cost, point.distance, "faint", shape, "baseline" if shape == "base" else "")


def _text(plane: Plane, own: str) -> str:
    """The text alternative of the plane."""
    point = next(point for point in plane.points if point.label == own)
    cost = number(point.cost.value, percent=plane.trade_off.percent)
    better = dominated_by(point, plane.points)
    relation = f"dominated by {listing(better)}" if better else "dominated by no other method"
    return f"{own}: {plane.trade_off.axis} {cost}, {DISTANCE} {number(point.distance.value)}; {relation}"


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
