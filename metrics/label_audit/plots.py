"""Charts of an audit of labels for notebooks: dots with intervals, over the floor."""

from __future__ import annotations

import altair as alt
import pandas as pd

DISTANCE = "rms_delta"

FLOOR = "#d9d9d9"
"""Colour of the range that a perfectly fair model reaches on average."""


def distance_chart(rows: pd.DataFrame) -> alt.FacetChart:
    """The distance from the target of every method, a panel per attribute set; the bar is the floor.

    Args:
        rows: Estimates, with a column ``method``.
    """
    points = rows[(rows["metric"] == DISTANCE) & (rows["concept"] == "") & (rows["group"] == "")]
    floor = alt.Chart().mark_bar(color=FLOOR).encode(x="floor:Q", y=alt.Y("method:N", title=None))
    return _panels(
        points, ["attributes"], _dots(points, y="method", title="distance (RMSDelta)"), below=[floor]
    )


def share_chart(rows: pd.DataFrame) -> alt.FacetChart:
    """The share of every group of single attributes by concept, a panel per group.

    Args:
        rows: Estimates, with a column ``method``.
    """
    single = ~rows["attributes"].str.contains("*", regex=False)
    points = rows[(rows["metric"] == "share") & (rows["concept"] != "") & single]
    return _panels(points, ["attributes", "group"], _dots(points, y="concept", title="share"), below=[])


def _dots(points: pd.DataFrame, *, y: str, title: str) -> list[alt.Chart]:
    """Intervals and dots, a colour per method."""
    several = points["method"].nunique() > 1 and y != "method"
    colour = alt.Color("method:N", legend=alt.Legend(title="method") if several else None)
    x = alt.X("value:Q", title=title, scale=alt.Scale(domain=[0, 1]))
    offset = {"yOffset": alt.YOffset("method:N")} if y != "method" else {}
    base = alt.Chart().encode(y=alt.Y(f"{y}:N", title=None), color=colour, **offset)
    tips = [
        f"{y}:N",
        "method:N",
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
    ]
    return [
        base.mark_rule().encode(x=alt.X("low:Q", title=title), x2="high:Q"),
        base.mark_point(filled=True, size=50, opacity=1).encode(x=x, tooltip=[*tips, "n:Q"]),
    ]


def _panels(
    points: pd.DataFrame, names: list[str], layers: list[alt.Chart], *, below: list[alt.Chart]
) -> alt.FacetChart:
    panel = points[names].agg(": ".join, axis=1)
    columns = ["method", "concept", "value", "low", "high", "floor", "n"]
    values = points[columns].assign(panel=panel).dropna(subset=["value"])
    # Altair writes a missing number as null, which marks leave out.
    data = alt.Data(values=values.astype(object).where(values.notna(), None).to_dict("records"))
    chart = alt.layer(*below, *layers).properties(width=260)
    order = list(dict.fromkeys(panel))
    return chart.facet(facet=alt.Facet("panel:N", title=None, sort=order), columns=2, data=data)
