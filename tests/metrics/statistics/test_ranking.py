"""Marginal rank intervals and the probability of being best."""

import numpy as np
import pytest
from scipy.stats import rankdata

from evenhand.metrics.statistics.ranking import marginal_ranks


def test_marginal_ranks_are_quantiles_of_the_ranks():
    draws = np.random.default_rng(0).normal([0, 0.1, 2], 0.2, size=(400, 3))
    found = marginal_ranks(draws)
    low, high = np.quantile(rankdata(draws, axis=1), [0.025, 0.975], axis=0)
    assert (found.low == low).all() and (found.high == high).all()
    assert found.best == pytest.approx([(draws.argmin(axis=1) == m).mean() for m in range(3)])
    assert found.best.sum() == pytest.approx(1) and found.best[2] == 0


def test_tied_methods_share_the_probability_of_being_best():
    draws = np.tile(np.random.default_rng(0).normal(size=(50, 1)), 2)
    found = marginal_ranks(np.vstack([draws, [np.nan, 1]]))
    assert found.best.tolist() == [0.5, 0.5] and found.low.tolist() == found.high.tolist() == [1.5, 1.5]
