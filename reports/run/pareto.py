"""Trade-offs of fairness against side effects: every method as a point, and the effect of the strength."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from evenhand.bench.policy.conclusion import closer_than_base
from evenhand.bench.policy.pareto import (
    DOMINANCE,
    TRADE_OFFS,
    Plane,
    Point,
    Span,
    TradeOff,
    dominance_of,
    dominated_by,
    planes,
    points,
)
from evenhand.bench.policy.strength import Curve
from evenhand.bench.results.entry import Band
from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.text import attribute, interval, listing, number, plural, sentence
from evenhand.reports.components.scatter import HIGH, LOW, At, Frame, Look, Mark, Shape, frame, scatter
from evenhand.reports.components.tables import Cell, Row, Table, estimated, missing, text
from evenhand.reports.run.distances import band_cell
from evenhand.reports.run.figures import Figure, Panel, images_behind

Failures = Mapping[str, Sequence[str]]
"""Label of a method to the reasons of the gates that it does not pass."""

Bands = Mapping[str, Band]
"""Label of a method to its band."""

ENOUGH = 5
"""Fewest settings for a strength curve that shows more than its ends."""

DISTANCE = "distance from the target shares"


def fairness_trade_offs(
    readings: Sequence[Reading], key: Key, failures: Failures, *, bands: Bands, name: str = "pareto"
) -> Figure | None:
    """Every method as a point, one panel per trade-off; ``None`` where none was measured.

    Args:
        readings: The methods.
        key: The primary number.
        failures: The gates that they do not pass.
        bands: Their bands.
        name: Anchor of the figure and prefix of the ids in its images.
    """
    found = planes(readings, key)
    if not found:
        return None
    panels = []
    for plane in found:
        image = plane_image(plane, failures, _base(readings), name=f"{name}-{plane.trade_off.name}", tip=True)
        panels.append(Panel(plane.trade_off.title, image))
    rows = {reading.label: [reading.at(key)] for reading in readings}
    return Figure(
        name,
        finding(found, closer_than_base(readings, key), failures),
        panels,
        LEGEND,
        "Lower left is better. The Pareto front holds the methods whose estimates no other method "
        "dominates; the shaded region is dominated. A method in this region may still belong to the front, "
        "unless another is better beyond the 95% intervals (thin lines, cut at the edge) on both axes. "
        f"{' '.join(MEANINGS.get(plane.trade_off.name, '') for plane in found)} {images_behind(rows)}",
        _points_table(readings, key, found, failures, bands, f"{name}-data"),
        key=[
            (str(place + 1), shape_of(r.label, _base(readings), failures), r.label)
            for place, r in enumerate(readings)
        ],
    )


def plane_image(
    plane: Plane, failures: Failures, base: str | None, *, name: str, tip: bool = False
) -> Markup:
    """The methods in one plane, each with its number.

    Args:
        plane: The methods and the trade-off.
        failures: The gates that they do not pass.
        base: Label of the baseline.
        name: Prefix of the image's ids.
        tip: Whether a point shows its method and numbers under the pointer.
    """
    found = dominance_of(plane.points)
    order = sorted(plane.points, key=lambda point: plane.numbers[point.label])
    marks = [
        Mark(
            point.cost,
            point.distance,
            found[point.label],
            shape_of(point.label, base, failures),
            str(plane.numbers[point.label]),
            _tip(point, plane.trade_off) if tip else "",
        )
        for point in order
    ]
    return scatter(
        marks,
        axes=plane_frame(plane.trade_off, marks),
        front=plane.steps,
        name=name,
        label=plane_text(plane),
    )


def _tip(point: Point, trade_off: TradeOff) -> str:
    """What a point shows under the pointer: its method and both numbers with their intervals."""
    distance = replace(trade_off, percent=False).shown(point.distance)
    return f"{point.label}: {DISTANCE} {distance}; {trade_off.axis} {trade_off.shown(point.cost)}"


def finding(found: Sequence[Plane], closer: Collection[str], failures: Failures) -> str:
    """The methods on the fronts that are closer to the target than the baseline, in one line."""
    parts = [f"of fairness and {plane.trade_off.kept}: {_some(plane, closer, failures)}" for plane in found]
    return f"Pareto front {'; '.join(parts)}"


def plane_text(plane: Plane) -> str:
    """The text alternative of a plane."""
    found = dominance_of(plane.points)
    title = f"{plane.trade_off.title} and {DISTANCE}"
    parts = []
    for dominance, meaning in DOMINANCE.items():
        named = [
            f"{p.label} ({number(p.cost.value, percent=plane.trade_off.percent)}, {number(p.distance.value)})"
            for p in plane.points
            if found[p.label] == dominance
        ]
        if named:
            parts.append(f"{meaning}: {', '.join(named)}")
    return f"{title}. {sentence('; '.join(parts))}"


def strengths(
    readings: Sequence[Reading],
    key: Key,
    failures: Failures,
    *,
    bands: Bands,
    curves: Sequence[Curve],
    ranked: Sequence[Reading],
) -> Figure | None:
    """The effect of the strength, one panel per method; ``None`` where no method ran with several.

    A method without enough measurements has no panel; the table has all methods.

    Args:
        readings: Every setting of every method.
        key: The primary number.
        failures: The gates that they do not pass.
        bands: Their bands.
        curves: The settings that belong together.
        ranked: The settings that are ranked.
    """
    if not curves:
        return None
    trade_off = next((p for p in TRADE_OFFS if len(points(readings, key, p)) > 1), TRADE_OFFS[0])
    everywhere = {point.label: point for point in points(readings, key, trade_off)}
    drawn = [curve for curve in curves if sum(label in everywhere for label in curve.labels) > 1]
    short = listing([curve.own for curve in drawn if len(curve.labels) < ENOUGH])
    few = f"Fewer than {ENOUGH} settings: {short}. " if short else ""
    known = {reading.label: [row] for reading in readings if (row := reading.at(key)) is not None}
    return Figure(
        "strengths",
        _strength_finding(drawn, everywhere, trade_off) if drawn else _undrawn(curves),
        _panels(
            drawn, everywhere, Plane(trade_off, points(ranked, key, trade_off), {}), failures, _base(readings)
        ),
        STRENGTH_LEGEND if drawn else [],
        "Settings that differ only in strength, joined from the weakest to the strongest and labelled at the "
        "ends. Only the setting declared by the suite is ranked: choosing the best one after the fact would "
        f"favour chance. Lines are 95% intervals. {few}{images_behind(known) if known else ''}",
        _strengths_table(readings, key, curves, failures, bands),
    )


def _panels(
    drawn: Sequence[Curve],
    everywhere: Mapping[str, Point],
    plane: Plane,
    failures: Failures,
    base: str | None,
) -> list[Panel]:
    """A panel for every curve, all on the same axes."""
    every = [Mark(p.cost, p.distance, "faint", "passed") for p in everywhere.values()]
    axes = plane_frame(plane.trade_off, every, height=LOW)
    return [
        Panel(
            f"{curve.own}: {curve.parameter} {_value(curve.values[0])} to {_value(curve.values[-1])}",
            scatter(
                _curve_marks(curve, everywhere, plane, failures, base),
                axes=axes,
                front=plane.steps,
                curve=[At(p.cost.value, p.distance.value) for n in curve.labels if (p := everywhere.get(n))],
                name=f"strength-{place}",
                label=_curve_text(curve, everywhere, plane.trade_off),
            ),
        )
        for place, curve in enumerate(drawn)
    ]


def _undrawn(curves: Sequence[Curve]) -> str:
    names = listing([curve.own for curve in curves])
    return f"Strengths of {names}: too few measurements to draw them"


LEGEND = [
    ("front", "on the front"),
    ("near", "dominated, but within the intervals"),
    ("behind", "dominated beyond the intervals"),
    ("dominated", "dominated region"),
    ("passed", "passes every gate"),
    ("failed", "does not pass every gate"),
    ("base", "baseline"),
]

STRENGTH_LEGEND = [
    ("front", "ranked setting"),
    ("near", "other strengths"),
    ("faint", "other methods"),
    ("dominated", "dominated region"),
    ("passed", "passes every gate"),
    ("failed", "does not pass every gate"),
]


def _base(readings: Sequence[Reading]) -> str | None:
    return next((reading.label for reading in readings if reading.is_base), None)


def plane_frame(trade_off: TradeOff, marks: Sequence[Mark], *, height: int = HIGH) -> Frame:
    """Axes that contain the marks, with the titles of the trade-off."""
    return frame(marks, cost=trade_off.axis, distance=DISTANCE, percent=trade_off.percent, height=height)


def shape_of(label: str, base: str | None, failures: Failures) -> Shape:
    """The mark of a method: the baseline, one that passes every gate, or one that does not."""
    if label == base:
        return "base"
    return "failed" if failures.get(label) else "passed"


def _some(plane: Plane, closer: Collection[str], failures: Failures) -> str:
    labels = [label for label in plane.front if label in closer]
    names = [f"{label} (not ranked)" if failures.get(label) else label for label in labels]
    if not names:
        return "no method that is closer to the target shares than the baseline"
    if len(names) <= 3:
        return listing(names)
    passing = len(labels) - sum(bool(failures.get(label)) for label in labels)
    return f"{len(labels)} methods that are closer to the target shares than the baseline ({passing} ranked)"


MEANINGS = {
    "fidelity": "Explicit fidelity lost: share of the images, relative to the baseline, for the attribute "
    "where the loss may be largest.",
    "unrelated": "Change of unrelated images: 0 is unchanged, 1 is as different as two seeds.",
}


def _points_table(
    readings: Sequence[Reading], key: Key, found: Sequence[Plane], failures: Failures, bands: Bands, name: str
) -> Table:
    columns = ["Method", f"Distance, {attribute(key.attributes)}"]
    for plane in found:
        columns += [plane.trade_off.title, f"Front by {plane.trade_off.name}"]
    praised = {_base(readings), *closer_than_base(readings, key)}
    rows = []
    for place, reading in enumerate(readings):
        cells = [
            text(reading.label, f"number {place + 1} in the figure"),
            estimated(reading.at(key), alone=True),
        ]
        for plane in found:
            cells += _dominance_cells(plane, reading.label, praised)
        rows.append(Row([*cells, band_cell(reading, bands, failures.get(reading.label, ()))]))
    about = "95% intervals; the front is that of the estimates; a dominated method names one that dominates"
    return Table(name, "Fairness trade-offs", [*columns, "Gates"], rows, about)


def _dominance_cells(plane: Plane, label: str, praised: Collection[str | None]) -> list[Cell]:
    """A side effect and its front; a note says where a small side effect comes without a gain in fairness."""
    point = next((point for point in plane.points if point.label == label), None)
    if point is None:
        return [missing(), missing()]
    better = dominated_by(point, plane.points)
    notes = [f"dominated by {better[0]}"] if better else []
    if label not in praised:
        notes.append("not shown to be closer to the target than the baseline")
    return [
        _side_effect(plane.trade_off, point.cost),
        text(DOMINANCE[dominance_of(plane.points)[label]], *notes),
    ]


def _side_effect(trade_off: TradeOff, span: Span) -> Cell:
    if not span.known:
        return missing()
    ends = interval(span.low, span.high, percent=trade_off.percent) or "no interval"
    raw = {"": span.value, "low": span.low, "high": span.high}
    return Cell(number(span.value, percent=trade_off.percent), (ends,), "number", raw)


def _curve_marks(
    curve: Curve, everywhere: Mapping[str, Point], plane: Plane, failures: Failures, base: str | None
) -> list[Mark]:
    """The other methods faintly, then the settings of the curve with their ends labelled."""
    marks = [
        Mark(p.cost, p.distance, "faint", shape_of(p.label, base, failures))
        for p in plane.points
        if p.label not in curve.labels
    ]
    measured = [
        (label, v) for label, v in zip(curve.labels, curve.values, strict=True) if label in everywhere
    ]
    ends = {measured[0][0], measured[-1][0]}
    for label, value in measured:
        name = f"{curve.parameter} {_value(value)}" if label in ends else ""
        look: Look = "front" if label == curve.own else "near"
        at, tip = everywhere[label], _tip(everywhere[label], plane.trade_off)
        marks.append(Mark(at.cost, at.distance, look, shape_of(label, base, failures), name, tip))
    return marks


def _value(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _curve_text(curve: Curve, everywhere: Mapping[str, Point], trade_off: TradeOff) -> str:
    """The text alternative of a curve: its two ends."""
    first, last = _ends(curve, everywhere)
    low, high = _value(curve.values[0]), _value(curve.values[-1])
    distance = f"{number(first.distance.value)} to {number(last.distance.value)}"
    cost = " to ".join(number(p.cost.value, percent=trade_off.percent) for p in (first, last))
    return (
        f"{curve.own}: from {curve.parameter} {low} to {high}, the distance changes from {distance} and "
        f"{trade_off.axis} from {cost}"
    )


def _strength_finding(drawn: Sequence[Curve], everywhere: Mapping[str, Point], trade_off: TradeOff) -> str:
    if len(drawn) == 1:
        return _curve_text(drawn[0], everywhere, trade_off)
    pairs = [_ends(curve, everywhere) for curve in drawn]
    closer = sum(last.distance.value < first.distance.value for first, last in pairs)
    worse = sum(last.cost.value > first.cost.value for first, last in pairs)
    return (
        f"From the weakest to the strongest setting, {closer} of {plural(len(drawn), 'method')} "
        f"{'comes' if closer == 1 else 'come'} closer to the target shares and {worse} "
        f"{'shows' if worse == 1 else 'show'} more {trade_off.axis}"
    )


def _ends(curve: Curve, everywhere: Mapping[str, Point]) -> tuple[Point, Point]:
    measured = [everywhere[label] for label in curve.labels if label in everywhere]
    return measured[0], measured[-1]


def _strengths_table(
    readings: Sequence[Reading], key: Key, drawn: Sequence[Curve], failures: Failures, bands: Bands
) -> Table:
    by_label = {reading.label: reading for reading in readings}
    costs = {
        trade_off.name: dict(zip(by_label, trade_off.spans(readings), strict=True))
        for trade_off in TRADE_OFFS
    }
    rows = []
    for curve in drawn:
        for label, value in zip(curve.labels, curve.values, strict=True):
            reading = by_label[label]
            own = "ranked setting" if label == curve.own else ""
            head = text(f"{curve.parameter} = {_value(value)}", own)
            head = Cell(head.text, head.notes, raw={"": label, "strength": value})
            spans = [_side_effect(trade_off, costs[trade_off.name][label]) for trade_off in TRADE_OFFS]
            cells = [
                head,
                estimated(reading.at(key), alone=True),
                *spans,
                band_cell(reading, bands, failures.get(reading.label, ())),
            ]
            rows.append(Row(cells, curve.own))
    columns = ["Setting", f"Distance, {attribute(key.attributes)}", *(p.title for p in TRADE_OFFS), "Gates"]
    return Table(
        "strengths-data",
        "All strengths",
        columns,
        rows,
        "95% intervals; only the setting of the suite is ranked",
    )
