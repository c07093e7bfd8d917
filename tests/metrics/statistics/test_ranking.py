"""Confidence sets of ranks, marginal rank intervals and the probability of being best."""

import numpy as np
import pytest
from scipy.stats import rankdata

from evenhand.metrics.statistics.ranking import marginal_ranks, rank_sets


def brute_rank_sets(theta, draws):
    """The procedure of section 2.9, pair by pair."""
    m = len(theta)
    pairs = [(i, j) for i in range(m) for j in range(m) if i != j]
    error = {p: (draws[:, p[0]] - draws[:, p[1]]).std(ddof=1) for p in pairs}
    largest = [
        max(abs(row[i] - row[j] - (draws[:, i] - draws[:, j]).mean()) / error[i, j] for i, j in pairs)
        for row in draws
    ]
    c = np.quantile(largest, 0.95)
    worse = {p for p in pairs if (theta[p[0]] - theta[p[1]]) / error[p] > c}
    low = [1 + sum((i, j) in worse for j in range(m)) for i in range(m)]
    high = [m - sum((j, i) in worse for j in range(m)) for i in range(m)]
    return low, high


def test_rank_sets_match_a_direct_implementation():
    rng = np.random.default_rng(0)
    theta = np.array([0.1, 0.12, 0.4, 0.9])
    draws = theta + rng.normal(0, 0.05, (300, 1)) + rng.normal(0, [0.02, 0.02, 0.15, 0.05], (300, 4))
    found = rank_sets(theta, draws)
    assert (found.low.tolist(), found.high.tolist()) == brute_rank_sets(theta, draws)
    assert found.worse.sum(axis=1).tolist() == (found.low - 1).tolist()
    assert found.worse[3, :2].all() and not found.worse[:2, 3].any()
    assert found.tie[:2] == ("A", "A") and found.tie[3] not in found.tie[:3]


def test_rank_sets_cover_all_true_ranks_at_once():
    rng, truth, missed = np.random.default_rng(1), np.array([0.0, 0.0, 0.3, 1.0]), 0
    ranks = np.array([1.5, 1.5, 3, 4])
    for _ in range(200):
        estimate = truth + rng.normal(0, 0.1, 4)
        found = rank_sets(estimate, estimate + rng.normal(0, 0.1, (200, 4)))
        missed += bool(((found.low > np.floor(ranks)) | (found.high < np.ceil(ranks))).any())
    assert missed / 200 <= 0.08


@pytest.mark.parametrize(("concepts", "methods"), [(35, 11), (10, 5), (4, 2)])
def test_equal_methods_are_rarely_told_apart_if_concepts_are_resampled(concepts, methods):
    """Without the expansion, some method of 11 would be called worse in 14 % of the repetitions."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(300):
        shared = rng.gamma(1.5, 0.1, size=(1, concepts))
        squares = shared + rng.normal(0, 0.1, size=(methods, concepts)) * (0.5 + shared)
        picks = rng.integers(concepts, size=(400, concepts))
        draws = squares[:, picks].mean(axis=2).T
        wrong += rank_sets(squares.mean(axis=1), draws, clusters=concepts).worse.any()
    assert wrong / 300 <= 0.08


def test_identical_methods_share_their_ranks():
    draws = np.random.default_rng(0).normal(size=(100, 1)) * 0.01 + [[1.0, 1.0, 2.0]]
    draws[:, 2] += np.random.default_rng(1).normal(size=100) * 0.01
    found = rank_sets(np.array([1.0, 1.0, 2.0]), draws)
    assert found.tie == ("A", "A", "B")
    assert found.low.tolist() == [1, 1, 3] and found.high.tolist() == [2, 2, 3]


def test_a_certain_difference_separates_ranks():
    found = rank_sets(np.array([0.0, 0.5]), np.tile([0.0, 0.5], (50, 1)))
    assert found.low.tolist() == found.high.tolist() == [1, 2]


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
