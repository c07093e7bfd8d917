"""Fronts of a trade-off, by their definition, and the numbers on its axes."""

import math

import pytest
from helpers.report import JOINT
from helpers.trade_off import placed, point, readings
from hypothesis import given
from hypothesis import strategies as st

from evenhand.bench.policy.pareto import (
    TRADE_OFFS,
    Plane,
    Span,
    dominance_of,
    dominated_by,
    layers,
    planes,
    points,
)
from evenhand.bench.results.lookup import Key

KEY = Key("rms_delta", JOINT, "panel", True)
FIDELITY, UNRELATED = TRADE_OFFS


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_number_of_a_front_is_the_longest_chain_of_dominance_that_ends_there(places):
    plane = [point(str(number), *place) for number, place in enumerate(places)]
    found = layers(plane)
    for each in plane:
        above = [found[label] for label in dominated_by(each, plane)]
        assert found[each.label] == 1 + max(above, default=0)
    assert {label for label, layer in found.items() if layer == 1} == {
        label for label, place in dominance_of(plane).items() if place == "front"
    }


def test_a_method_is_behind_only_if_one_other_is_clearly_better_on_both_axes():
    plane = [point("fair", 0.5, 0.1, 0.05), point("mild", 0.1, 0.5, 0.05), point("both", 0.54, 0.54, 0.05)]
    assert dominance_of(plane)["both"] == "near"
    assert dominance_of([*plane, point("middle", 0.4, 0.4, 0.04)])["both"] == "behind"


def test_touching_intervals_are_apart():
    assert dominance_of([point("a", 0.0, 0.0, 0.25), point("b", 0.5, 0.5, 0.25)])["b"] == "behind"


def test_axes_are_the_distance_and_the_side_effect_of_every_method():
    found = readings(placed("base", distance=0.6), placed("mist", distance=0.3, lost=0.04, change=0.5))
    (base, mist) = points(found, KEY, UNRELATED)
    assert (base.cost.value, base.distance.value) == (0, 0.6)
    assert (mist.cost.value, mist.cost.low, mist.cost.high) == pytest.approx((0.5, 0.48, 0.52))
    fidelity = {each.label: each.cost.value for each in points(found, KEY, FIDELITY)}
    assert fidelity == pytest.approx({"base": 0, "mist": 0.04})


def test_a_loss_needs_a_baseline_and_an_unknown_number_no_point():
    alone = readings(placed("mist", distance=0.3))
    assert points(alone, KEY, FIDELITY) == []
    assert not math.isfinite(FIDELITY.spans(alone)[0].value)
    assert points(alone, KEY._replace(metric="other"), UNRELATED) == []
    assert planes(alone, KEY) == []


def test_a_plane_lists_its_front_from_the_smallest_side_effect():
    found = Plane(UNRELATED, [point("c", 0.3, 0.1), point("a", 0.0, 0.6), point("b", 0.4, 0.4)], {})
    assert found.front == ["a", "c"] and found.steps == [(0.3, 0.1), (0.0, 0.6)]


def test_side_effects_are_shown_with_their_interval_and_unit():
    assert FIDELITY.shown(Span(0.05, 0.01, 0.09)) == "5.0% (1.0% to 9.0%)"
    assert UNRELATED.shown(Span(0.5, math.nan, math.nan)) == "0.500"
    assert UNRELATED.shown(Span(math.nan, 0, 1)) == "not measured"
