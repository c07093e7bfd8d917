"""Pareto fronts: dominance of the methods, and the figures of the trade-offs."""

import re

import numpy as np
import pytest
from helpers.report import JOINT, NAN, an_estimate, parsed
from helpers.trade_off import placed, point, readings, swept

from evenhand.bench.policy.pareto import TRADE_OFFS, Point, Span, dominance_of, dominated_by, points
from evenhand.bench.policy.strength import curves, ranked
from evenhand.bench.report import render_report
from evenhand.bench.results.lookup import Key
from evenhand.bench.results.result import Run
from evenhand.reports.run.pareto import fairness_trade_offs, planes

KEY = Key("rms_delta", JOINT, "panel", True)
FIDELITY, UNRELATED = TRADE_OFFS


def test_front_holds_the_points_that_no_other_dominates():
    rng = np.random.default_rng(7)
    for _ in range(50):
        places = rng.integers(0, 6, size=(12, 2)) / 10
        plane = [point(str(place), *xy) for place, xy in enumerate(places)]
        found = dominance_of(plane)
        for place, (x, y) in enumerate(places):
            dominated = any(a <= x and b <= y and (a < x or b < y) for a, b in places)
            assert (found[str(place)] == "front") is not dominated
            assert bool(dominated_by(plane[place], plane)) is dominated


def test_dominance_within_and_beyond_the_intervals_is_distinguished():
    plane = [point("best", 0.1, 0.1, 0.05), point("near", 0.12, 0.3, 0.05), point("far", 0.3, 0.3, 0.05)]
    assert dominance_of(plane) == {"best": "front", "near": "near", "far": "behind"}


def test_two_equal_points_are_both_on_the_front():
    assert set(dominance_of([point("a", 0.1, 0.2), point("b", 0.1, 0.2)]).values()) == {"front"}


def test_methods_without_side_effect_are_compared_by_their_distance():
    plane = [point("base", 0.0, 0.6), point("prompt", 0.0, 0.1)]
    assert dominance_of(plane) == {"base": "behind", "prompt": "front"}


def test_point_without_interval_is_never_dominated_beyond_it():
    plane = [point("a", 0.1, 0.1), Point("b", Span(0.5, NAN, NAN), Span(0.5, 0.4, 0.6))]
    assert dominance_of(plane)["b"] == "near"


def test_side_effect_is_the_loss_of_the_gate_with_its_paired_interval():
    base, method = readings(placed("base", distance=0.6), placed("mist", distance=0.2, lost=0.1, width=0.03))
    (cost,) = [p.cost for p in points([base, method], KEY, FIDELITY) if p.label == "mist"]
    assert (cost.value, cost.low, cost.high) == pytest.approx((0.1, 0.07, 0.13))
    (none,) = [p.cost for p in points([base, method], KEY, FIDELITY) if p.label == "base"]
    assert none == Span(0.0, 0.0, 0.0)


def test_method_without_measured_side_effect_is_only_in_the_table():
    bare = placed("bare", distance=0.3)
    bare = bare.model_copy(
        update={"estimates": [r for r in bare.estimates if r.metric != "preservation_distance"]}
    )
    every = readings(placed("base", distance=0.6), placed("mist", distance=0.2, change=0.1), bare)
    found = {plane.trade_off.name: [p.label for p in plane.points] for plane in planes(every, KEY)}
    assert found["unrelated"] == ["base", "mist"]
    figure = fairness_trade_offs(every, KEY, {}, bands={})
    row = next(row for row in figure.table.rows if row.cells[0].text == "bare")
    place = figure.table.columns.index("Change of unrelated images")
    assert row.cells[place].text == "not measured"


def test_single_method_has_no_plane():
    assert fairness_trade_offs(readings(placed("base", distance=0.6)), KEY, {}, bands={}) is None


def test_title_and_text_alternative_name_the_methods_on_the_front():
    every = readings(
        placed("base", distance=0.6),
        placed("mist", distance=0.2, lost=0.04, change=0.1),
        placed("late", distance=0.5, lost=0.3, change=0.5),
    )
    figure = fairness_trade_offs(every, KEY, {"late": ["a reason"]}, bands={"late": "not proven"})
    assert figure.title == (
        "Pareto front of fairness and explicit fidelity: mist; of fairness and unrelated images: mist"
    )
    described = re.search(r'aria-label="([^"]+)"', figure.panels[0].image)[1]
    assert "On the front: base (0.0%, 0.600), mist (4.0%, 0.200)" in described
    assert "dominated: late (30.0%, 0.500)" in described
    late = figure.table.rows[2].cells
    assert [cell.text for cell in late[3:4]] == ["dominated"]
    assert late[3].notes == ("dominated by mist",)
    assert (late[-1].text, late[-1].notes) == ("not proven", ("a reason",))
    assert [shape for _, shape, _ in figure.key] == ["base", "passed", "failed"]


def test_title_names_no_method_that_is_not_distinguishable_from_the_baseline():
    idle = placed("idle", distance=0.59)
    figure = fairness_trade_offs(readings(placed("base", distance=0.6), idle), KEY, {}, bands={})
    nobody = "no method that is closer to the target shares than the baseline"
    assert figure.title.count(nobody) == 2 and "idle" not in figure.title
    fronts = figure.table.rows[1].cells[3::2]
    assert [front.text for front in fronts[:2]] == ["on the front", "on the front"]
    assert all(
        "not shown to be closer to the target than the baseline" in front.notes for front in fronts[:2]
    )


def test_title_counts_many_methods_on_the_front_and_those_that_are_ranked():
    names = [f"method-{number}" for number in range(1, 5)]
    methods = [
        placed(name, distance=0.5 - place / 10, lost=0.05 + place / 10, change=0.1)
        for place, name in enumerate(names)
    ]
    every = readings(placed("base", distance=0.6), *methods)
    figure = fairness_trade_offs(every, KEY, {names[3]: ["x"]}, bands={names[3]: "harm proven"})
    counted = "4 methods that are closer to the target shares than the baseline (3 ranked)"
    assert figure.title.startswith(f"Pareto front of fairness and explicit fidelity: {counted};")
    assert [row.cells[3].text for row in figure.table.rows[1:]] == ["on the front"] * 4


def test_settings_that_differ_only_in_strength_form_a_curve_and_that_of_the_suite_is_ranked():
    results = [
        placed("base", distance=0.6),
        *swept("uce", own=0.5, settings=[1.0, 0.25, 0.5], distance=0.1, trade_off=0.1),
    ]
    cards = [result.spec.method for result in results]
    (curve,) = curves(cards)
    assert curve.labels == ("uce:scale=0.25", "uce", "uce:scale=1.0")
    assert (curve.own, curve.parameter, curve.values) == ("uce", "scale", (0.25, 0.5, 1.0))
    assert ranked(cards) == ["base", "uce"]


def test_other_settings_and_methods_without_strength_are_ranked_separately():
    variant = placed(
        "uce:version=v2", distance=0.2, strength="scale", parameters={"scale": 0.5, "version": "v2"}
    )
    other = placed("uce", distance=0.2, strength="scale", parameters={"scale": 0.5, "version": "v1"})
    plain = [
        placed(f"mist:step_size={step}", distance=0.3, parameters={"step_size": step}) for step in (0.1, 0.2)
    ]
    cards = [result.spec.method for result in (other, variant, *plain)]
    assert curves(cards) == []
    assert ranked(cards) == ["uce", "uce:version=v2", "mist:step_size=0.1", "mist:step_size=0.2"]


def test_middle_setting_is_ranked_if_the_suite_declares_none():
    results = swept("uce", own=-1, settings=[0.9, 0.1, 0.4], distance=0.05, trade_off=0.1)
    assert ranked([result.spec.method for result in results]) == ["uce:scale=0.4"]


@pytest.fixture(scope="module")
def page():
    settings = [0.125, 0.25, 0.5, 0.75, 1.0]
    results = [
        placed("base", distance=0.6),
        placed("prompt", distance=0.3, lost=0.2),
        *swept("uce", own=0.5, settings=settings, distance=0.1, trade_off=0.1),
        *swept("time", own=0.5, settings=settings, distance=0.2, trade_off=-0.02),
    ]
    return parsed(render_report(Run(folder="run", results=results, timings=[], images=[])))


def test_only_the_ranked_setting_is_a_column_and_a_point(page):
    head = [th.text for th in page.by_id("methods").all("thead")[0].all("th")]
    assert sorted(head[1:]) == ["base", "prompt", "time", "uce"]
    assert [li.text.split()[-1] for li in page.by_id("pareto").all("ol")[0].all("li")] == head[1:]
    assert "4 methods" in page.by_id("numbers").text


def test_strength_curve_of_five_settings_is_labelled_at_its_ends(page):
    figure = page.by_id("strengths")
    assert figure.all("h3")[0].text == (
        "From the weakest to the strongest setting, 2 of 2 methods come closer to the target shares "
        "and 1 shows more explicit fidelity lost"
    )
    images = [svg for svg in figure.all("svg") if svg.attributes.get("class") == "chart"]
    assert len(images) == 2
    for image in images:
        assert {"scale 0.125", "scale 1"} <= {e.text for e in image.all("text")}
        assert "from scale 0.125 to 1, the distance changes from" in image.attributes["aria-label"]
    rows = page.by_id("strengths-data").all("tbody")
    assert [len(body.all("tr")) for body in rows] == [6, 6], "a heading and five settings each"


def test_curve_of_few_settings_says_so():
    results = [
        placed("base", distance=0.6),
        *swept("uce", own=0.5, settings=[0.5, 1.0], distance=0.1, trade_off=0.1),
    ]
    tree = parsed(render_report(Run(folder="run", results=results, timings=[], images=[])))
    assert "Fewer than 5 settings: uce." in tree.by_id("strengths").text


def test_strengths_without_measured_side_effects_are_in_the_table():
    results = [
        placed("base", distance=0.6),
        *swept("uce", own=0.5, settings=[0.5, 1.0], distance=0.1, trade_off=0.1),
    ]
    metrics = ("explicit_fidelity", "preservation_distance")
    bare = [
        result.model_copy(
            update={"estimates": [r for r in result.estimates if r.metric not in metrics], "losses": []}
        )
        for result in results
    ]
    figure = parsed(render_report(Run(folder="run", results=bare, timings=[], images=[]))).by_id("strengths")
    assert figure.all("h3")[0].text == "Strengths of uce: too few measurements to draw them"
    assert "scale = 1" in figure.text and "not measured" in figure.text


def test_run_without_strengths_has_no_strength_figure():
    results = [placed("base", distance=0.6), placed("mist", distance=0.2, lost=0.1)]
    page = render_report(Run(folder="run", results=results, timings=[], images=[]))
    assert 'id="pareto"' in page and 'id="strengths"' not in page


def test_distance_is_the_primary_metric_with_its_correction():
    naive = an_estimate("rms_delta", 0.9, attributes=JOINT)
    method = placed("mist", distance=0.2, lost=0.1)
    method = method.model_copy(update={"estimates": [naive, *method.estimates]})
    found = points(readings(placed("base", distance=0.6), method), KEY, FIDELITY)
    assert [p.distance.value for p in found] == [0.6, 0.2]
    assert UNRELATED.percent is False
