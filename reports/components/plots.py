"""Interactive charts of a run for notebooks, in the style of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.lookup import (
    Reading,
    attribute_names,
    comparable,
    concept_names,
    measured_attributes,
    ordered,
    primary_key,
)
from evenhand.bench.results.result import EstimateRow, Result
from evenhand.bench.results.text import SHARE, attribute, cell
from evenhand.reports.components.charts import ACCENT, CHANCE, GREY, themed

LINE = 18
"""Height of a line in pixels."""

Point = Mapping[str, Any]


def distance_plot(results: Sequence[Result]) -> alt.FacetChart:
    """The distance from the target of every method, a panel per attribute set, with intervals.

    Raises:
        EvenhandError: The distance was not measured.
    """
    readings = _ordered(results)
    key = primary_key(readings)
    if key is None:
        raise EvenhandError("the run measured no distance from the target; see run.to_dataframe()")
    points = [
        point
        for name in measured_attributes(readings, key.metric)
        for point in _points(
            readings, comparable(readings, key.metric, name)[""], line="", panel=attribute(name)
        )
    ]
    return _dots(
        points, y="method", order=[reading.label for reading in readings], axis="distance", percent=False
    )


def share_plot(results: Sequence[Result]) -> alt.FacetChart:
    """The share of the first group of every attribute by concept, a colour per method, with intervals.

    Raises:
        EvenhandError: Shares by concept were not measured.
    """
    readings = _ordered(results)
    concepts = concept_names(results)
    points = []
    for name in attribute_names(results):
        group = results[0].spec.attributes[name][0]
        found = comparable(readings, SHARE, name, concepts=concepts, group=group)
        for concept, rows in found.items():
            points += _points(readings, rows, line=concept, panel=f"{attribute(name)}: {cell(group)}")
    if not points:
        raise EvenhandError("the run measured no shares by concept; see run.to_dataframe()")
    return _dots(points, y="line", order=concepts, axis="share", percent=True)


PLOTS: Mapping[str, Callable[[Sequence[Result]], alt.FacetChart]] = {
    "distance": distance_plot,
    "shares": share_plot,
}
"""The charts by name."""


def _ordered(results: Sequence[Result]) -> list[Reading]:
    readings = [Reading.of(result) for result in results]
    return ordered(readings, primary_key(readings))


def _points(
    readings: Sequence[Reading], rows: Iterable[EstimateRow | None], *, line: str, panel: str
) -> list[Point]:
    """The finite estimates as JSON."""
    return [
        {
            "method": reading.label,
            "line": line,
            "panel": panel,
            "look": "baseline" if reading.is_base else "method",
            **{
                name: value
                for name in ("value", "low", "high", "floor")
                if math.isfinite(value := getattr(row, name))
            },
            "n": row.n,
        }
        for reading, row in zip(readings, rows, strict=True)
        if row is not None and math.isfinite(row.value)
    ]


def _dots(
    points: Sequence[Point], *, y: str, order: Sequence[str], axis: str, percent: bool
) -> alt.FacetChart:
    """Dots with intervals over the chance level, and details under the pointer."""
    layout = alt.Axis(title=axis, format=".0%" if percent else ".1f")
    x = alt.X("value:Q", scale=alt.Scale(domain=[0, 1]), axis=layout)
    lines = alt.Y(f"{y}:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=220))
    if y == "method":
        colour = alt.Color(
            "look:N", scale=alt.Scale(domain=["baseline", "method"], range=[GREY, ACCENT]), legend=None
        )
        offset: dict[str, Any] = {}
    else:
        colour = alt.Color("method:N", title="method")
        offset = {"yOffset": alt.YOffset("method:N")}
    shown = ".1%" if percent else ".3f"
    tips = [alt.Tooltip("method:N"), *([alt.Tooltip("line:N", title="concept")] if y == "line" else [])]
    tips += [alt.Tooltip(f"{name}:Q", format=shown) for name in ("value", "low", "high")]
    base = alt.Chart().encode(y=lines, **offset)
    chance = base.mark_bar(color=CHANCE).encode(x="floor:Q").transform_filter("isValid(datum.floor)")
    spans = base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q", color=colour)
    spans = spans.transform_filter("isValid(datum.low) && isValid(datum.high)")
    dots = base.mark_point(filled=True, size=50, opacity=1).encode(x=x, color=colour, tooltip=[*tips, "n:Q"])
    methods = len({point["method"] for point in points})
    steps = alt.Step(LINE) if y == "method" else alt.Step(LINE + 10 * methods, **{"for": "position"})
    layers = alt.layer(*([chance] if y == "method" else []), spans, dots).properties(width=260, height=steps)
    panels = list(dict.fromkeys(point["panel"] for point in points))
    facet = alt.Facet("panel:N", title=None, sort=panels)
    chart = layers.facet(facet=facet, columns=2 if y == "method" else 3, data=alt.Data(values=list(points)))
    return themed(chart)
