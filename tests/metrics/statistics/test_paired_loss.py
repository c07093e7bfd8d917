"""Bounds of a paired loss against published intervals, closed forms and simulations."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.statistics.paired_loss import (
    LOOKS,
    clusters_to_decide,
    level_at,
    loss_lower,
    loss_upper,
    mean_loss,
    pairs_to_decide,
    share_upper,
)


@pytest.mark.parametrize(
    ("lost", "gained", "n", "level", "low", "high", "digits"),
    [
        # Airway hyper-responsiveness and complete response: Fagerland, Lydersen and Laake, Statistical
        # Analysis of Contingency Tables, 2017, chapter 8.
        (1, 7, 21, 0.025, -0.517, -0.026, 3),
        (6, 16, 161, 0.025, -0.1240, -0.0054, 4),
        # R package PropCIs, scoreci.mp(25, 28, 618, 0.9), mirrored.
        (25, 28, 618, 0.05, -0.0247, 0.0148, 4),
    ],
)
def test_bounds_equal_published_score_intervals(lost, gained, n, level, low, high, digits):
    assert round(float(loss_lower(lost, gained, n, level=level)), digits) == low
    assert round(float(loss_upper(lost, gained, n, level=level)), digits) == high


@pytest.mark.parametrize("n", [1, 10, 420])
def test_without_a_discordant_pair_the_bound_is_exact(n):
    assert float(loss_upper(0, 0, n)) == pytest.approx(1 - 0.05 ** (1 / n))
    assert float(loss_lower(0, 0, n, level=0.01)) == pytest.approx(0.01 ** (1 / n) - 1)


def test_bounds_of_shares_are_those_of_clopper_and_pearson():
    exact = binomtest(7, 60).proportion_ci(confidence_level=0.9, method="exact")
    assert float(share_upper(7, 60)) == pytest.approx(exact.high) and float(share_upper(9, 9)) == 1.0


def test_bounds_stay_in_range_are_mirrored_and_missing_without_pairs():
    lost, gained = np.meshgrid(np.arange(11), np.arange(11))
    keep = lost + gained <= 10
    low, high = (of(lost[keep], gained[keep], 10) for of in (loss_lower, loss_upper))
    value = (lost - gained)[keep] / 10
    assert (low >= -1).all() and (high <= 1).all() and (low <= value).all() and (value <= high).all()
    assert np.allclose(low, -loss_upper(gained[keep], lost[keep], 10))
    assert math.isnan(loss_upper(0, 0, 0)) and math.isnan(share_upper(0, 0))


@pytest.mark.parametrize(("lose", "gain", "n"), [(0.05, 0.0, 100), (0.07, 0.02, 300), (0.3, 0.25, 60)])
def test_upper_bound_misses_the_true_loss_in_at_most_about_five_percent(lose, gain, n):
    counts = np.random.default_rng(1).multinomial(n, [lose, gain, 1 - lose - gain], size=4000)
    missed = (loss_upper(counts[:, 0], counts[:, 1], n) < lose - gain - 1e-9).mean()
    assert missed < 0.06


def test_relative_mean_loss_is_a_t_bound_where_all_clusters_weigh_the_same():
    losses = np.array([1.0, 2.0, 4.0, 1.0])
    value, low, high, spread = mean_loss(losses, np.full(4, 10.0), levels=(0.05, 0.05))
    # t at 95 % with 3 degrees of freedom, from its table: 2.353.
    reach = 2.353 * losses.std(ddof=1) / 10 / 2
    assert (value, low, high) == pytest.approx((0.2, 0.2 - reach, 0.2 + reach), abs=1e-4)
    assert spread == pytest.approx(losses.std(ddof=1) / 10)


def test_relative_mean_loss_is_missing_with_one_cluster_or_without_a_whole():
    value, *bounds = mean_loss([1.0], [10.0], levels=(0.05, 0.05))
    assert value == pytest.approx(0.1) and all(math.isnan(bound) for bound in bounds)
    assert all(math.isnan(number) for number in mean_loss([1.0, 1.0], [0.0, 0.0], levels=(0.05, 0.05)))


def test_relative_mean_loss_covers_the_truth_over_random_clusters():
    rng, misses = np.random.default_rng(2), 0
    for _ in range(1000):
        wholes = rng.normal(10, 2, 30)
        _, _, high, _ = mean_loss(0.1 * wholes + rng.normal(0, 2, 30), wholes, levels=(0.05, 0.05))
        misses += high < 0.1
    assert 30 <= misses <= 70


@pytest.mark.parametrize(("lose", "gain"), [(0.04, 0.03), (0.02, 0.01), (0.13, 0.02)])
def test_the_number_of_pairs_that_decides_does_so_in_about_80_percent(lose, gain):
    margin = 0.05
    n = int(pairs_to_decide(1000 * lose, 1000 * gain, 1000, margin=margin))
    lost, gained, _ = np.random.default_rng(3).multinomial(n, [lose, gain, 1 - lose - gain], size=4000).T
    harmless = lose - gain < margin
    decided = loss_upper(lost, gained, n) < margin if harmless else loss_lower(lost, gained, n) > margin
    assert 0.72 < decided.mean() < 0.88


@pytest.mark.parametrize("lose", [0.01, 0.0167, 0.02])
def test_without_gains_the_number_is_close_to_that_of_the_exact_bound(lose):
    """The exact bound is passed with at most ``k`` losses; the chance of these must reach 80 %."""
    counts = np.arange(10)
    sizes = np.arange(40, 400)
    passed = loss_upper(counts[:, None], 0, sizes) < 0.05
    enough = [n for n, k in zip(sizes, passed.sum(axis=0) - 1, strict=True) if binom.cdf(k, n, lose) >= 0.8]
    n = float(pairs_to_decide(10_000 * lose, 0, 10_000, margin=0.05))
    assert n == pytest.approx(enough[0], rel=0.1)


def test_a_loss_without_spread_needs_the_pairs_of_the_exact_bound():
    n = int(pairs_to_decide(0, 0, 50, margin=0.05))
    assert float(loss_upper(0, 0, n)) < 0.05 <= float(loss_upper(0, 0, n - 1))


def test_no_number_of_pairs_decides_a_loss_of_exactly_the_margin():
    assert np.isinf(pairs_to_decide([5, 0], [0, 0], [100, 0], margin=0.05)).all()


@pytest.mark.parametrize(("loss", "spread"), [(0.0, 0.02), (0.0, 0.1), (0.03, 0.2)])
def test_the_number_of_clusters_that_decides_does_so_in_about_80_percent(loss, spread):
    c = int(clusters_to_decide(loss, spread=spread, margin=0.1))
    rng = np.random.default_rng(5)
    highs = [mean_loss(rng.normal(loss, spread, c), np.ones(c), levels=(0.05, 0.05))[2] for _ in range(1000)]
    assert np.mean(np.array(highs) < 0.1) > 0.72


def test_few_clusters_decide_a_small_loss_that_hardly_varies():
    assert clusters_to_decide(0.0, spread=0.01, margin=0.1) <= 3
    assert math.isinf(clusters_to_decide(0.1, spread=0.01, margin=0.1))


def test_a_loss_next_to_the_margin_needs_very_many_clusters_or_more_than_any_number():
    rounded = 0.3 - 0.2
    assert rounded != 0.1
    assert math.isinf(clusters_to_decide(rounded, spread=0.3, margin=0.1))
    found = [clusters_to_decide(0.1 - near, spread=0.3, margin=0.1) for near in (1e-4, 1e-6, 1e-9, 1e-11)]
    normal = norm.ppf(0.95) + norm.ppf(0.8)
    expected = [(normal * 0.3 / near) ** 2 for near in (1e-4, 1e-6, 1e-9, 1e-11)]
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_levels_of_the_looks_add_up_and_follow_pocock():
    levels = [level_at(look) for look in range(1, LOOKS + 1)]
    assert sum(levels) == pytest.approx(0.05)
    # Lan and DeMets 1983: a quarter of the images has spent 0.05 ln(1 + (e - 1) / 4).
    assert levels[0] + levels[1] == pytest.approx(0.05 * math.log(1 + (math.e - 1) / 4))
    assert float(norm.ppf(1 - levels[0])) == pytest.approx(2.337, abs=0.001)
    with pytest.raises(EvenhandError, match="look must be from 1 to 4, got 5"):
        level_at(5)
