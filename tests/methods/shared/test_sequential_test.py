"""The anytime-valid bounds equal their definition and hold however often they are checked."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import beta, dirichlet

from evenhand.bench.errors import EvenhandError
from evenhand.methods.shared.sequential_test import log_ratio, share_bounds, verdict

COUNTS = [(3, 7), (0, 12), (40, 60), (1, 0, 5), (10, 0, 0, 3), (2, 9, 30, 4, 0, 1, 7, 8, 0, 3, 2, 1)]


def density_ratio(counts, category, share):
    """``ln f_0(p) - ln f_n(p)`` from scipy's own densities."""
    k, n, seen = len(counts), sum(counts), counts[category]
    return beta.logpdf(share, 1, k - 1) - beta.logpdf(share, 1 + seen, k - 1 + n - seen)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_bounds_are_the_roots_of_the_ratio_of_scipy_densities(counts, alpha):
    low, high = share_bounds(counts, alpha)
    n, tests = sum(counts), 1 if len(counts) == 2 else len(counts)
    for k, seen in enumerate(counts):

        def excess(share, k=k):
            return density_ratio(counts, k, share) - np.log(tests / alpha)

        if seen == 0:
            assert low[k] == 0
        else:
            assert low[k] == pytest.approx(brentq(excess, 1e-12, seen / n, xtol=1e-14), abs=1e-10)
        if seen == n:
            assert high[k] == 1
        else:
            assert high[k] == pytest.approx(
                brentq(excess, seen / n + 1e-15, 1 - 1e-12, xtol=1e-14), abs=1e-10
            )


def test_the_prior_is_the_marginal_of_the_uniform_distribution_on_the_simplex():
    draws = dirichlet.rvs([1] * 4, size=200_000, random_state=0)[:, 0]
    at = np.linspace(0.05, 0.9, 8)
    observed = [(draws <= x).mean() for x in at]
    np.testing.assert_allclose(beta.cdf(at, 1, 3), observed, atol=0.005)
    # log_ratio's prior term is that density
    counts = np.array([2.0, 1.0, 0.0, 4.0])
    shares = np.array([0.2, 0.3, 0.1, 0.4])
    expected = [density_ratio(counts, k, share) for k, share in enumerate(shares)]
    np.testing.assert_allclose(log_ratio(counts, shares), expected, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.4, 0.3, 0.2, 0.1), (1 / 12,) * 12])
def test_the_bounds_contain_the_true_shares_at_all_times_at_once(shares):
    # 300 images, checked after every one; each run counts as at most one failure
    alpha, runs, images = 0.1, 400, 300
    rng = np.random.default_rng(1)
    shares = np.array(shares)
    limit = np.log((1 if len(shares) == 2 else len(shares)) / alpha)
    failures = 0
    for _ in range(runs):
        seen = np.eye(len(shares))[rng.choice(len(shares), size=images, p=shares)].cumsum(axis=0)
        failures += any((log_ratio(counts, shares) >= limit).any() for counts in seen)
    assert failures / runs <= alpha


@pytest.mark.slow
def test_repeated_checks_break_a_fixed_sample_interval_but_not_the_confidence_sequence():
    # checking after every image breaks the usual 95 % interval
    rng = np.random.default_rng(2)
    seen = (rng.random((400, 300)) < 0.5).cumsum(axis=1)
    n = np.arange(1, 301)
    low, high = beta.ppf(0.025, seen, n - seen + 1), beta.ppf(0.975, seen + 1, n - seen)
    outside = (np.nan_to_num(low, nan=0.0) > 0.5) | (np.nan_to_num(high, nan=1.0) < 0.5)
    assert outside.any(axis=1).mean() > 0.15
    fair, limit = np.array([0.5, 0.5]), np.log(1 / 0.05)
    broken = [
        any(log_ratio(np.array([x, m - x]), fair)[0] >= limit for x, m in zip(run, n, strict=True))
        for run in seen
    ]
    assert np.mean(broken) <= 0.05


def test_bounds_shrink_with_images_and_grow_with_confidence():
    widths = []
    for n in (10, 100, 1000):
        low, high = share_bounds([n // 2, n // 2], 0.05)
        widths.append(high[0] - low[0])
    assert widths[0] > 2 * widths[1] > 4 * widths[2]
    strict, loose = (share_bounds([30, 70], alpha) for alpha in (0.01, 0.2))
    assert (strict[0] < loose[0]).all() and (strict[1] > loose[1]).all()


def test_the_bounds_of_two_categories_are_complements():
    low, high = share_bounds([17, 83], 0.05)
    np.testing.assert_allclose(low, 1 - high[::-1], atol=1e-12)


def test_bounds_are_zero_and_one_before_the_first_image():
    low, high = share_bounds([0, 0, 0], 0.05)
    assert low.tolist() == [0, 0, 0]
    assert high.tolist() == [1, 1, 1]
    assert verdict([0, 0], np.array([0.5, 0.5]), tolerance=0.1, significance_level=0.05) == "open"


@pytest.mark.parametrize(
    ("counts", "target", "expected"),
    [
        ((500, 500), (0.5, 0.5), "balanced"),
        ((10, 10), (0.5, 0.5), "open"),
        ((19, 1), (0.5, 0.5), "unbalanced"),
        ((700, 300), (0.7, 0.3), "balanced"),
        ((700, 300), (0.5, 0.5), "unbalanced"),
        ((0, 60, 60, 60), (0.25, 0.25, 0.25, 0.25), "unbalanced"),
    ],
)
def test_a_verdict_needs_bounds_inside_or_outside_the_band(counts, target, expected):
    assert verdict(counts, np.array(target), tolerance=0.1, significance_level=0.05) == expected


def test_invalid_counts_and_levels_raise_an_error():
    for counts in ([5], [3, -1], [[1, 2], [3, 4]]):
        with pytest.raises(EvenhandError, match="for at least two categories, got"):
            share_bounds(counts, 0.05)
    for alpha in (0, 1, 2):
        with pytest.raises(EvenhandError, match=r"significance_level .* 0\.05 is 95 % confidence"):
            share_bounds([1, 2], alpha)
