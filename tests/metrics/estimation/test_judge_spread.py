"""The gap to a steering judge, and the spread over judges."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, World, one, rows_of

from evenhand.metrics import catalog
from evenhand.metrics.estimation.measure import MeasurePlan, measure

WOMEN = np.array([0.6, 0.2, 0, 0.15, 0.05, 0])
BALANCED = np.array([0.35, 0.15, 0, 0.35, 0.15, 0])
KEY = {"metric": "excess_agreement", "attributes": "gender", "kind": "neutral", "group": ""}


def fooled(world, judge, *, method):
    """Gender labels of a judge that sees the method's images in turn as a woman and a man, others right."""
    keys = list(world.truth)
    right = np.array([world.truth[key] // 3 for key in keys])
    mine = np.array([key.startswith(method) for key in keys])
    return rows_of(judge, keys, "gender", np.where(mine, np.arange(len(keys)) % 2, right))


@pytest.fixture(scope="module")
def tuned():
    """``edited`` changes little, yet its steering judge finds it balanced; judge ``c`` finds it worse."""
    world = World(seed=2)
    world.neutral("base", np.tile(WOMEN, (12, 1)))
    world.neutral("edited", np.tile(0.8 * WOMEN + 0.2 * BALANCED, (12, 1)))
    labels = [world.labels(name, attributes=("gender",)) for name in ("a", "b")]
    labels += [fooled(world, "steering", method="edited")]
    keys = list(world.truth)
    worse = [0 if key.startswith("edited") else world.truth[key] // 3 for key in keys]
    labels += [rows_of("c", keys, "gender", worse)]
    plan = MeasurePlan(
        attributes={"gender": TAXONOMY["gender"]},
        panel=("a", "b"),
        non_voting_judges=("steering", "c"),
        steering={"base": None, "edited": "steering"},
        metrics=(catalog.excess_agreement, catalog.deviation_ratio),
        base="base",
        draws=200,
    )
    return measure(world.images(), pd.concat(labels, ignore_index=True), plan=plan)


def test_the_gap_is_the_panel_minus_the_steering_judge_with_a_paired_interval(tuned):
    gap = one(tuned.steering["edited"], **KEY)
    panel, steering = (
        one(tuned.estimates["edited"], **KEY, judge=judge, concept="").value
        for judge in ("panel", "steering")
    )
    assert (gap.judge, gap.panel, gap.steering) == ("steering", panel, steering)
    assert gap.value == pytest.approx(panel - steering) and 0.2 < gap.low < gap.value < gap.high
    assert gap.n == 240


def test_methods_without_a_steering_judge_have_no_gap(tuned):
    assert set(tuned.steering) == {"edited"}


def test_spread_leaves_out_the_panel_and_the_steering_judge_of_the_method(tuned):
    spread = one(tuned.spreads["edited"], **KEY)
    values = {
        judge: one(tuned.estimates["edited"], **KEY, judge=judge, concept="").value
        for judge in ("a", "b", "c")
    }
    assert spread.judges == 3 and spread.highest == "c" and spread.lowest == "a"
    assert spread.value == pytest.approx(max(values.values()) - min(values.values()))
    assert one(tuned.spreads["base"], **KEY).judges == 4


def test_a_result_is_judge_dependent_where_judges_see_opposite_directions(tuned):
    flags = {method: one(rows, **KEY).judge_dependent for method, rows in tuned.spreads.items()}
    assert flags == {"base": False, "edited": True}


def test_judges_that_agree_on_the_direction_are_not_flagged():
    world = World(seed=3)
    world.neutral("base", np.tile(WOMEN, (8, 1)))
    world.neutral("edited", np.tile(BALANCED, (8, 1)))
    labels = pd.concat([world.labels(name, recall=0.95) for name in "abc"], ignore_index=True)
    plan = MeasurePlan(
        attributes=TAXONOMY, panel=("a", "b"), non_voting_judges=("c",), base="base", draws=100
    )
    spreads = measure(world.images(), labels, plan=plan).spreads
    found = one(spreads["edited"], **(KEY | {"metric": "rms_delta"}))
    assert found.value > 0 and not found.judge_dependent
