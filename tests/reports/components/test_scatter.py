"""The plane of a trade-off: what its points, labels and axes show."""

import re

import numpy as np
import pytest
from helpers.report import NAN

from evenhand.bench.policy.pareto import Span
from evenhand.reports.components.charts import ACCENT
from evenhand.reports.components.scatter import At, Mark, frame, scatter


def shapes(svg, fill):
    """The outlines of the points with this fill: a circle has arcs, a triangle straight lines."""
    return re.findall(
        rf'<path[^>]*fill="{fill}"[^>]*d="([^"]+)"|<path[^>]*d="([^"]+)"[^>]*fill="{fill}"', svg
    )


def test_shape_shows_gates_and_fill_shows_dominance():
    marks = [
        Mark(Span(0.1, 0.05, 0.15), Span(0.1, 0.05, 0.15), "front", shape, "1")
        for shape in ("passed", "failed")
    ]
    drawings = []
    for mark in marks:
        axes = frame([mark], cost="cost", distance="distance", percent=True)
        svg = str(scatter([mark], axes=axes, name="a", label="b"))
        (found,) = shapes(svg, ACCENT)
        drawings.append("".join(found))
    assert "A" in drawings[0] and "A" not in drawings[1]


def test_labels_do_not_overlap():
    rng = np.random.default_rng(1)
    spans = [
        [Span(float(v), float(v) - 0.01, float(v) + 0.01) for v in xy] for xy in rng.uniform(0, 1, (14, 2))
    ]
    marks = [Mark(*pair, "near", "passed", str(n + 1)) for n, pair in enumerate(spans)]
    axes = frame(marks, cost="cost", distance="distance", percent=False)
    svg = str(scatter(marks, axes=axes, name="a", label="b"))
    (numbers,) = re.findall(r'<g[^>]*font-weight="bold" fill="#1f2933">(.*?)</g>', svg)
    words = re.findall(r"translate\(([-\d.]+),([-\d.]+)\)", numbers)
    places = [(float(x), float(y)) for x, y in words]
    assert len(places) == 14
    for n, (x, y) in enumerate(places):
        assert all(abs(x - a) > 6 or abs(y - b) > 8 for a, b in places[:n]), "two labels at one position"


def test_axes_contain_every_value_and_pixel_conversion_is_invertible():
    marks = [Mark(Span(v, v - 5, v + 5), Span(v, v, v), "near", "passed") for v in (-0.1, 0.3)]
    axes = frame(marks, cost="c", distance="d", percent=False)
    assert axes.right[0] < -0.1 and 0.3 < axes.right[1] < 0.6, "a wide interval does not crowd the points"
    assert axes.values(axes.pixels(At(0.2, 0.1))) == pytest.approx((0.2, 0.1))


def test_axis_starts_at_zero_unless_a_value_is_below():
    above = [Mark(Span(v, v, v), Span(v, v, v), "near", "passed") for v in (0.1, 0.3)]
    axes = frame(above, cost="c", distance="d", percent=False)
    assert axes.right[0] == pytest.approx(0, abs=0.02) and axes.right[1] > 0.3
    nothing = [Mark(Span(NAN, NAN, NAN), Span(NAN, NAN, NAN), "near", "passed")]
    assert frame(nothing, cost="c", distance="d", percent=False).up[1] > 1


@pytest.mark.parametrize("percent", [False, True])
@pytest.mark.parametrize("reach", [0.0004, 0.3, 40.0])
def test_ticks_of_an_axis_have_different_labels(reach, percent):
    marks = [Mark(Span(v, v, v), Span(0.2, 0.1, 0.3), "near", "passed") for v in (0.0, reach)]
    axes = frame(marks, cost="c", distance="d", percent=percent)
    svg = str(scatter(marks, axes=axes, name="a", label="b"))
    below = re.search(r'<g text-anchor="middle"[^>]*>(.*?)</g>', svg)[1]
    labels = re.findall(r">([^<>]+)</text>", below)
    assert len(labels) >= 4 and len(set(labels)) == len(labels)


def test_interval_without_both_ends_is_not_drawn():
    spans = [Span(0.2, 0.1, 0.3), Span(0.2, NAN, NAN)]
    drawings = []
    for cost in spans:
        mark = Mark(cost, Span(0.2, NAN, NAN), "front", "passed")
        axes = frame([mark], cost="c", distance="d", percent=False)
        drawings.append(str(scatter([mark], axes=axes, name="a", label="b")))
    assert drawings[0].count(ACCENT) > drawings[1].count(ACCENT)
    assert "NaN" not in drawings[1]
