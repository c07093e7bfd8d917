"""Intervals and ranks of paired differences."""

import numpy as np
import pytest
from helpers.measurement import BIASED, judged, plan, rotations, view_of
from helpers.metrics import CELLS, World
from scipy.stats import beta, ttest_rel

from evenhand.metrics import catalog
from evenhand.metrics.estimation.comparison import paired_interval
from evenhand.metrics.estimation.measure import counts, measure
from evenhand.metrics.estimation.score import score_labels
from evenhand.metrics.estimation.tallies import Reading, reach


def test_an_interval_of_a_difference_is_as_wide_as_that_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    world = World()
    for method in ("base", "mist"):
        world.neutral(method, rotations(6)[np.arange(12) % 6], templates=1, seeds=1)
    images, labels = judged(world)
    images["alignment"] = 20 + rng.normal(0, 1, len(images))
    (row,) = [
        row
        for row in measure(images, labels, plan=plan(base="base", draws=4000)).differences
        if row.metric == "alignment" and row.kind == "neutral"
    ]
    scores = [
        images[images["method"] == method].sort_values("concept")["alignment"] for method in ("mist", "base")
    ]
    exact = ttest_rel(*scores).confidence_interval()
    assert row.high - row.low == pytest.approx(exact.high - exact.low, rel=0.08)


def test_unranked_methods_do_not_change_the_ranks_of_others():
    world = World()
    milder = np.array([0.20, 0.20, 0.15, 0.15, 0.15, 0.15])
    for method, shares in (("base", BIASED), ("mist", milder), ("mist:step_size=1", milder)):
        for number in range(6):
            cells = np.repeat(np.arange(CELLS), np.rint(100 * shares).astype(int))
            names = {"prompt_id": f"n{number}", "concept": f"job{number}", "template": "t"}
            world.draw(method, "neutral", cells=cells, **names)
    images, labels = judged(world)
    kept = measure(images, labels, plan=plan(ranked=("base", "mist"))).ranks
    alone = images["method"] != "mist:step_size=1"
    without = measure(images[alone], labels[labels["key"].isin(images[alone]["key"])], plan=plan()).ranks
    assert kept and kept == without


@pytest.mark.parametrize("changed", [0.0, 0.02, 0.05])
def test_the_interval_of_a_rare_change_contains_it(changed):
    """60 pairs of images of women; a method turns each into an image of a man with a small probability."""
    view, rng, repetitions, covered = view_of(1, 60, shape=(2,)), np.random.default_rng(2), 100, 0
    reading = Reading(view, "panel", None, 0)
    for _ in range(repetitions):
        codes = np.stack([(rng.random(60) < changed).astype(int), np.zeros(60, int)])
        one, other = (
            next(score_labels([catalog.share], reading=reading, counted=counted, method="", by_row=False))
            for counted in counts(view, codes)
        )
        low, high = paired_interval(
            catalog.share,
            (one.estimate, other.estimate),
            one.draws - other.draws,
            clusters=np.inf,
            match="different" if codes.any() else "same labels",
            still=one.still and other.still,
            reach=reach(one.seen),
        )
        covered += low <= -changed <= high
        assert codes.any() or high == -low == pytest.approx(beta.ppf(0.95, 1, 60))
    assert covered >= 0.9 * repetitions
