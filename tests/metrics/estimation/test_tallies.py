"""Intervals where resampling shows no variation, and metrics that have no interval, on simulated models."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.measurement import view_of
from helpers.metrics import CELLS, TAXONOMY, World, one, pick
from scipy.stats import beta

from evenhand.metrics import catalog
from evenhand.metrics.base import LabelMetric
from evenhand.metrics.correction.calibration import confusion_table
from evenhand.metrics.estimation.measure import MeasurePlan, counts, measure
from evenhand.metrics.estimation.score import score_labels
from evenhand.metrics.estimation.tallies import Reading, Seen, evidence, reach, row_reach

METRICS = [metric for metric in vars(catalog).values() if isinstance(metric, LabelMetric)]
NEUTRAL = [metric for metric in METRICS if "neutral" in metric.kinds]
PERFECT = {"rms_delta": 0.0, "squared_deviation": 0.0, "excess_agreement": 0.0, "undetermined": 0.0}
"""Values of a fair model whose images are all decided."""


def scored(view, codes, metrics):
    """Metric to the estimate of labels ``(n,)``."""
    (counted,) = counts(view, codes[None])
    reading = Reading(view, "panel", None, 0)
    metrics = [replace(metric, floor=False) for metric in metrics if reading.reads(metric)]
    series = score_labels(metrics, reading=reading, counted=counted, method="base", by_row=False)
    return {one.metric.name: one.estimate for one in series if not one.metric.by_group}


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_every_interval_contains_the_value_of_a_fair_model(shape):
    view, rng, repetitions = view_of(14, 20, shape=shape), np.random.default_rng(1), 200
    covered = dict.fromkeys(PERFECT, 0)
    for _ in range(repetitions):
        found = scored(view, rng.integers(len(view.cells), size=14 * 20), NEUTRAL)
        intervals = {name: row for name, row in found.items() if np.isfinite(row.low)}
        assert set(intervals) == set(PERFECT)
        for name, truth in PERFECT.items():
            covered[name] += intervals[name].low <= truth <= intervals[name].high
    assert min(covered.values()) >= 0.9 * repetitions


def test_only_metrics_without_a_fair_value_of_their_own_lack_a_floor_and_an_interval():
    without = {metric.name for metric in METRICS if not metric.interval}
    assert {metric.name for metric in METRICS if metric.floor and metric.interval} == {
        "rms_delta",
        "squared_deviation",
        "excess_agreement",
    }
    assert {metric.name for metric in METRICS if not metric.floor} & without == {"mutual_information"}


def judged(world, **options):
    return world.images(), world.labels("a", **options)


def plan(**options):
    given = {"attributes": TAXONOMY, "panel": ("a",), "draws": 200, "base": "base"}
    return MeasurePlan(**(given | options))


def explicit(world, method, cells_by_group):
    for group, cells in cells_by_group.items():
        prompt = {"prompt_id": f"e-{group}", "concept": "nurse", "cell": f"gender={group}"}
        world.draw(method, "explicit", cells=cells, **prompt)


@pytest.fixture(scope="module")
def agreeing():
    """An edit whose 332 explicit images are all labelled like those of the baseline, two of them wrongly."""
    world = World()
    for method in ("base", "edited"):
        explicit(world, method, {"woman": [0] * 165 + [3], "man": [3] * 165 + [0]})
        world.neutral(method, np.tile(np.eye(CELLS)[0], (12, 1)), templates=1, seeds=5)
    images, labels = judged(world)
    return measure(images, labels, plan=plan())


def test_equal_labels_bound_a_difference_of_shares_by_the_exact_bound(agreeing):
    difference = one(agreeing.differences, metric="explicit_fidelity", attributes="gender")
    bound = beta.ppf(0.95, 1, 166)
    assert (difference.value, difference.low, difference.high) == pytest.approx((0, -bound, bound))
    key = {"metric": "share", "attributes": "gender", "kind": "neutral", "group": "woman"}
    difference = one(agreeing.differences, **key)
    bound = beta.ppf(0.95, 1, 60)
    assert (difference.value, difference.low, difference.high) == pytest.approx((0, -bound, bound))


def test_equal_labels_bound_a_difference_of_squares_by_more_than_a_difference_of_shares(agreeing):
    key = {"attributes": "gender", "kind": "neutral", "value": 0.0}
    squares = one(agreeing.differences, metric="excess_agreement", **key)
    shares = one(agreeing.differences, metric="share", group="woman", **key)
    # At p = 1, (2 p - 1)^2 falls four times as fast as p; its noise term with 5 images rises as fast as p.
    assert 4 * shares.high < squares.high < 5 * shares.high


def test_a_share_moves_by_the_bound_at_most_and_rows_alone_move_farther():
    view = view_of(3, 20, shape=(2,))
    table = np.array([[20.0, 0, 0], [10, 10, 0], [12, 4, 4]])
    seen = Seen(catalog.share, Reading(view, "panel", None, 0), table, table[:, :2].sum(axis=1), 0)
    together = row_reach(seen, evidence(catalog.share, seen.n))
    bound = beta.ppf(0.95, 1, 56)
    assert together[:2] == pytest.approx([bound, bound]) and together[2] <= 1.3 * bound
    assert reach(seen) == pytest.approx(together.max())
    assert (row_reach(seen, seen.n) > together).all()


def corrected(images_of_man, *, seed=3):
    """A study of explicit prompts with ``n`` images, all right, corrected from 600 anchors."""
    world = World(seed)
    explicit(world, "base", {"woman": [0] * 8, "man": [3] * images_of_man})
    anchors = World(seed + 1)
    anchors.draw("anchors", "person", prompt_id="p", cells=np.repeat(np.arange(CELLS), 100))
    labels = anchors.labels("a", recall=0.95)
    panel = labels.assign(judge="panel")
    confusion = confusion_table(anchors.anchors(), pd.concat([labels, panel]), [("gender",)])
    images, labels = judged(world)
    rows = measure(images, labels, plan=plan(confusion=confusion)).estimates["base"]
    key = {"metric": "explicit_fidelity", "attributes": "gender", "judge": "panel"}
    return [pick(rows, **key, corrected=flag) for flag in (False, True)]


def test_resampled_anchors_do_not_hide_that_all_labels_are_right():
    exact = 0.05 ** (1 / 8)
    for rows in corrected(200):
        found = {row.group: row for row in rows}
        assert found["woman"].value == pytest.approx(1, abs=0.01)
        assert found["woman"].low <= exact + 0.01 and found[""].low <= exact + 0.01
        assert found["man"].low > 0.9


def test_a_difference_stays_in_the_possible_range():
    world = World()
    explicit(world, "base", {"woman": [0] * 10, "man": [3] * 10})
    explicit(world, "edited", {"woman": [3] * 10, "man": [0] * 10})
    images, labels = judged(world)
    found = measure(images, labels, plan=plan())
    difference = one(found.differences, metric="explicit_fidelity")
    assert difference.value == -1 == difference.low and -0.6 < difference.high < 0


def test_nothing_is_concluded_from_values_that_cannot_be_resampled():
    world = World()
    for method, cell in (("base", 0), ("edited", 3)):
        world.neutral(method, np.tile(np.eye(CELLS)[cell], (2, 1)), templates=1, seeds=1)
    images, labels = judged(world)
    images["alignment"] = [20.0, 20.0, 30.0, 30.0]
    found = measure(images, labels, plan=plan(resample_concepts=False))
    difference = one(found.differences, metric="alignment")
    assert difference.value == 10 and np.isnan([difference.low, difference.high]).all()


@pytest.mark.parametrize(("concepts", "methods", "tested"), [(5, 2, False), (6, 2, True), (9, 16, False)])
def test_a_p_value_is_given_where_the_design_can_make_it_small(concepts, methods, tested):
    world = World(seed=4)
    for number in range(methods):
        name = f"m{number}" if number else "base"
        world.neutral(name, np.full((concepts, CELLS), 1 / CELLS), templates=1, seeds=4)
    images, labels = judged(world)
    found = measure(images, labels, plan=plan(metrics=(catalog.share,), draws=100))
    p_values = [row.p for row in found.differences]
    assert np.isfinite(p_values).all() if tested else np.isnan(p_values).all()
