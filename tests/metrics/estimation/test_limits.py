"""Limits of estimates, above all of the lowest row and of the range of the rows."""

import numpy as np
import pytest

from evenhand.metrics import catalog
from evenhand.metrics.estimation.limits import limits_of, limits_of_extremes
from evenhand.metrics.fairness.intersectional import unseen_bound
from evenhand.metrics.statistics.uncertainty import recentred

LOWEST, RANGE = catalog.explicit_fidelity, catalog.fidelity_gap
IMAGES = 70


def extremes(metric, rows, draws):
    limits, _ = limits_of_extremes(
        metric,
        rows,
        draws,
        lambda together: rows - unseen_bound(IMAGES, miss=0.05 / together)[None],
        still=None,
    )
    return float(limits.low), float(limits.high)


def sampled(chances, rng):
    """Shares of right images by row, and their bootstrap draws."""
    rows = rng.binomial(IMAGES, chances) / IMAGES
    return rows, recentred(rng.binomial(IMAGES, rows, (1000, len(rows))) / IMAGES, rows)


@pytest.mark.parametrize("metric", [LOWEST, RANGE], ids=["lowest", "range"])
@pytest.mark.parametrize(
    "chances", [[0.97] * 12, [0.8] * 12, [0.97] * 11 + [0.85]], ids=["alike", "alike and low", "one is worse"]
)
def test_the_interval_of_an_extreme_covers(metric, chances):
    rng, truth = np.random.default_rng(0), float(metric.reduce(np.array(chances)))
    found = [extremes(metric, *sampled(chances, rng)) for _ in range(300)]
    covers = [low - 1e-9 <= truth <= high + 1e-9 for low, high in found]
    assert np.mean(covers) >= 0.95


def test_draws_of_the_extreme_itself_would_not_cover():
    """Why the interval is not that of the draws: of twelve equal rows, noise makes one the lowest."""
    rng, covers = np.random.default_rng(0), []
    for _ in range(300):
        rows, draws = sampled([0.8] * 12, rng)
        value = LOWEST.reduce(rows)
        drawn = recentred(LOWEST.reduce(draws), value)
        ends = limits_of(LOWEST, value, drawn, lambda: np.empty((0,)), np.inf, still=None)
        covers.append(ends.low <= 0.8 <= ends.high)
    assert np.mean(covers) < 0.5


def test_the_ends_follow_from_the_intervals_of_all_rows():
    rows = np.array([0.9, 0.6])
    # Draws whose quantiles at 1.25 and 98.75 % are 0.1 below and above the row.
    draws = rows + np.linspace(-0.1, 0.1, 79)[:, None] * (39 / 38.025)
    assert extremes(LOWEST, rows, draws) == pytest.approx((0.5, 0.7))
    assert extremes(RANGE, rows, draws) == pytest.approx((0.1, 0.5))


def test_rows_that_never_vary_have_the_exact_bound_of_all_rows_together():
    rows = np.ones(4)
    low, high = extremes(LOWEST, rows, np.ones((100, 4)))
    assert (low, high) == pytest.approx((0.0125 ** (1 / IMAGES), 1))
    assert extremes(RANGE, rows, np.ones((100, 4))) == pytest.approx((0, 1 - low))


def test_rows_without_draws_or_without_images_have_no_interval():
    assert np.isnan(extremes(LOWEST, np.array([0.9, 0.8]), None)).all()
    assert np.isnan(extremes(LOWEST, np.full(2, np.nan), np.full((10, 2), np.nan))).all()
