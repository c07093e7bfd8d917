"""Intervals, floors and tests: reference values and independent implementations."""

import warnings
from itertools import product

import numpy as np
import pytest
from helpers.metrics import read
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, permutation_test, sem, skew, t
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from evenhand.metrics import representation as r
from evenhand.metrics.fairness.intersectional import unseen_bound, worst_cell_share
from evenhand.metrics.statistics import uncertainty as u
from evenhand.metrics.statistics.resampling import Resamples, arrange


def near(value):
    return pytest.approx(value, abs=1e-6)


def test_intervals_of_one_share():
    assert u.wilson(66, 250) == (near(0.213228), near(0.321915))
    assert u.clopper_pearson(66, 250) == (near(0.210451), near(0.323240))
    assert u.wilson(0, 50) == (near(0), near(0.071348))
    assert np.isnan(u.wilson(0, 0)).all()


@pytest.mark.parametrize(("interval", "method"), [(u.wilson, "wilson"), (u.clopper_pearson, "beta")])
def test_intervals_agree_with_statsmodels(interval, method):
    n = np.arange(1, 40)[:, None]
    count = np.minimum(np.arange(40), n)
    expected = proportion_confint(count, np.broadcast_to(n, count.shape), method=method)
    assert interval(count, n) == (
        pytest.approx(expected[0], abs=1e-12),
        pytest.approx(expected[1], abs=1e-12),
    )


def test_the_bound_on_unseen_groups_is_the_exact_one_sided_bound():
    assert unseen_bound([1, 50]) == near(beta.ppf(0.95, 1, [1, 50]))


FLOORS = read("finite_sample_floor")


@pytest.mark.parametrize(("k", "n"), FLOORS[["K", "n"]].to_numpy().tolist())
def test_floor_of_a_fair_model_matches_the_published_table(k, n):
    published = FLOORS.query("K == @k and n == @n").iloc[0]
    tables = u.fair_tables([n], r.uniform(k), draws=10_000, rng=u.stream(0, "floor"))
    shares = r.shares_of(tables[:, 0])
    means = {
        "delta_mean": r.worst_deviation(shares, r.uniform(k)),
        "fd_l2_mean": r.fd_l2(shares, r.uniform(k)),
        "tv_mean": r.total_variation(shares, r.uniform(k)),
        "kl_nats_mean": r.kl_divergence(shares, r.uniform(k)),
        "norm_entropy_mean": r.normalised_entropy(shares),
        "shen_mean": r.shen_bias(shares),
        "min_max_ratio_mean": r.min_max_ratio(shares),
        "share_passing_80pct_rule": (r.min_max_ratio(shares) >= 0.8).astype(float),
    }
    for name, metric in means.items():
        # The published means have an error of their own: 40,000 draws, four digits.
        error = 4 * metric.std() * np.sqrt(1 / 10_000 + 1 / 40_000) + 1e-4
        assert metric.mean() == pytest.approx(published[name], abs=error), name
    for name, metric in {"delta_q95": means["delta_mean"], "shen_q95": means["shen_mean"]}.items():
        around = np.quantile(metric, [0.935, 0.965])
        assert around[0] - 1e-4 <= published[name] <= around[1] + 1e-4, name


def test_binary_floor_is_the_exact_binomial_mean():
    from scipy.stats import binom

    exact = (binom.pmf(range(51), 50, 0.5) * np.abs(2 * np.arange(51) / 50 - 1)).sum()
    tables = u.fair_tables([50], r.uniform(2), draws=u.FLOOR_DRAWS, rng=u.stream(0, "x"))
    assert r.delta_tv(r.shares_of(tables), r.uniform(2)).mean() == pytest.approx(exact, rel=0.05)


def test_a_fair_model_often_has_an_empty_cell():
    tables = u.fair_tables([20], r.uniform(12), draws=500, rng=u.stream(0, "x"))
    assert worst_cell_share(r.shares_of(tables), r.uniform(12)).mean() < 0.1


def signs(pairs):
    return u.random_signs(pairs, rng=u.stream(0, "flips"))


def test_fair_diffusion_difference_has_the_published_interval():
    table = read("fair_diffusion_fairface_counts")
    delta = [
        r.delta_tv(r.shares_of(table[[f"{name}_woman", f"{name}_man"]].to_numpy(float)), r.uniform(2))
        for name in ("sd15", "fd")
    ]
    reduction = delta[0] - delta[1]
    assert reduction.mean() == pytest.approx(0.4132, abs=5e-5)
    picks = u.stream(0, "rows").integers(len(reduction), size=(5000, len(reduction)))
    low, high = u.interval(reduction[picks].mean(axis=1), clusters=len(reduction))
    assert (low, high) == (pytest.approx(0.372, abs=0.005), pytest.approx(0.453, abs=0.005))
    assert u.sign_flip(reduction, signs=signs) == pytest.approx(1e-4, abs=1e-4)


@pytest.mark.slow
@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=1, max_size=8))
def test_sign_flip_counts_all_flips(pairs):
    differences = np.array(pairs)
    sums = np.array([np.dot(flips, differences) for flips in product([-1, 1], repeat=len(pairs))])
    expected = (np.abs(sums) >= abs(differences.sum()) - 1e-12).mean()
    assert u.sign_flip(differences, signs=signs) == pytest.approx(expected)


def test_sign_flip_agrees_with_scipy():
    differences = np.random.default_rng(1).normal(0.3, 1, 12)
    expected = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert u.sign_flip(differences, signs=signs) == pytest.approx(expected)


def test_sampled_sign_flips_agree_with_the_exact_test():
    differences = np.random.default_rng(2).normal(0.2, 1, 21)
    sums = np.zeros(1)
    for pair in differences:
        sums = np.concatenate([sums + pair, sums - pair])
    exact = (np.abs(sums) >= abs(differences.sum()) - 1e-12).mean()
    assert u.sign_flip(differences, signs=signs) == pytest.approx(exact, abs=0.015)


def test_sign_flip_leaves_out_missing_pairs():
    with_gap = np.array([0.2, np.nan, 0.4, 0.3])
    assert u.sign_flip(with_gap, signs=signs) == pytest.approx(0.25)
    assert np.isnan(u.sign_flip(np.array([np.nan]), signs=signs))


@pytest.mark.slow
@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_agrees_with_statsmodels(p_values):
    expected = multipletests(p_values, method="holm")[1]
    assert u.holm(np.array(p_values)) == pytest.approx(expected)


def test_holm_leaves_missing_tests_out_of_the_family():
    assert u.holm(np.array([0.02, np.nan, 0.03])) == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)


def test_expanded_interval_of_a_mean_is_the_t_interval():
    values = np.random.default_rng(3).normal(size=6)
    draws = values[u.stream(0, "x").integers(6, size=(200_000, 6))].mean(axis=1)
    low, high = u.interval(draws, clusters=6)
    half = 2.5706 * values.std(ddof=1) / np.sqrt(6)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    plain = u.interval(draws)
    assert (plain[1] - plain[0]) / 2 < 0.75 * half


def test_interval_skips_missing_draws():
    draws = np.append(np.linspace(0, 1, 101), np.nan)
    assert u.interval(draws) == (pytest.approx(0.025), pytest.approx(0.975))
    assert np.isnan(u.interval(np.full((5, 2), np.nan))).all()


def layout(*, copies=1, templates=3, seeds=4):
    """Two rows; every image ``copies`` times, at its own row, template and seed."""
    place = [
        (row, template, seed)
        for row in "ab"
        for template in range(templates)
        for seed in range(seeds)
        for _ in range(copies)
    ]
    row, cluster, leaf = zip(*place, strict=True)
    return arrange(range(len(place)), row=row, cluster=[f"{c}" for c in cluster], leaf=[f"{x}" for x in leaf])


def spread(where, codes):
    resamples = Resamples.of(where, draws=500, rng=u.stream(0, "x"), rows=False)
    counts = resamples.within(where.counts(np.asarray(codes), 2))
    return r.shares_of(counts[..., :2])[..., 0]


def test_copies_of_an_image_do_not_shrink_the_interval():
    codes = np.random.default_rng(0).integers(0, 2, 24)
    once, five_times = spread(layout(), codes), spread(layout(copies=5), np.repeat(codes, 5))
    assert (once == five_times).all()


def test_images_that_share_a_template_are_resampled_together():
    by_template = np.tile(np.repeat([0, 1, 0], 4), 2)
    mixed = np.tile([0, 1, 0], 8)
    assert spread(layout(), by_template).std() > 1.3 * spread(layout(), mixed).std()


def test_every_resample_has_as_many_images_as_the_original():
    where = layout()
    resamples = Resamples.of(where, draws=200, rng=u.stream(0, "x"), rows=True)
    within = resamples.within(where.counts(np.zeros(24, int), 2))
    assert (within.sum(axis=-1) == 12).all() and (resamples.across(within).sum(axis=-1) == 12).all()


def test_uneven_templates_keep_their_weight_on_average():
    where = arrange(range(5), row=["a"] * 5, cluster=list("xxxyz"), leaf=list("12311"))
    resamples = Resamples.of(where, draws=20_000, rng=u.stream(0, "x"), rows=True)
    shares = r.shares_of(resamples.within(where.counts(np.array([0, 0, 0, 1, 1]), 2))[..., :2])
    weights = resamples.weights[0].mean(axis=0)
    assert weights == pytest.approx(np.ones(5), abs=0.05)
    assert 0.4 < shares[:, 0, 0].mean() < 0.7


def test_a_row_drawn_twice_contributes_two_resamples():
    values = np.arange(20.0).reshape(10, 2)
    both = u.resample_rows(values, rows=np.zeros((10, 2), int))
    assert (both[:, 0] != both[:, 1]).all()
    assert set(both.ravel()) == set(values[:, 0])


def test_recentred_draws_have_the_estimate_as_their_mean():
    draws = np.array([[1.0, np.nan], [3.0, 5.0]])
    assert np.nanmean(u.recentred(draws, np.array([7.0, 1.0])), axis=0) == pytest.approx([7, 1])


def test_streams_are_separate_and_reproducible():
    same = [u.stream(1, "a", "b").random() for _ in range(2)]
    assert same[0] == same[1] != u.stream(1, "a", "c").random() != u.stream(2, "a", "b").random()


def skewed_coverage(skew_of, *, concepts=35, repetitions=2000):
    """Share of intervals that cover the true mean of values of which most are near 0."""
    rng = np.random.default_rng(3)
    weights = rng.multinomial(concepts, np.full(concepts, 1 / concepts), 1500) / concepts
    hits = 0
    for values in rng.beta(0.2, 2, (repetitions, concepts)):
        low, high = u.interval(weights @ values, clusters=concepts, skew=skew_of(values))
        hits += low <= 0.2 / 2.2 <= high
    return hits / repetitions


@pytest.mark.slow
def test_intervals_of_skewed_concepts_cover_more_often_with_acceleration():
    assert skewed_coverage(lambda values: 0.0) < 0.935
    assert 0.935 <= skewed_coverage(u.skewness) <= 0.965


def test_skewness_equals_that_of_scipy():
    values = np.array([0.1, 0.2, 0.2, 0.9, np.nan])
    assert u.skewness(values) == pytest.approx(skew(values[:-1]))
    assert u.skewness(np.full(5, 0.3)) == u.skewness(np.array([1.0, 2.0])) == 0.0


def test_interval_of_concepts_without_skewness_is_student_s():
    rows = np.random.default_rng(0).normal(2, 1, 12)
    error = rows.std() / np.sqrt(12)
    found = u.transformed_interval(2 + error * np.array([-1, 1.0]), 2.0, clusters=12, skew=0.0)
    assert found == pytest.approx(t.interval(0.95, 11, loc=2, scale=sem(rows)))


def test_transformed_interval_of_draws_without_a_value_has_no_ends_and_gives_no_warning():
    with warnings.catch_warnings(action="error"):
        ends = u.transformed_interval(np.full(5, np.nan), 0.3, clusters=12, skew=0.0)
    assert np.isnan(ends).all()


def test_transformed_interval_covers_a_rare_group_more_often_than_percentiles():
    """Shares of a group that most concepts hardly show, from 30 images each."""
    rng, concepts, times = np.random.default_rng(0), 35, 400
    weights = rng.multinomial(concepts, np.full(concepts, 1 / concepts), size=1000) / concepts
    hits = np.zeros(2)
    for _ in range(times):
        rows = rng.binomial(30, rng.beta(0.2, 11, concepts)) / 30
        draws, value, slant = weights @ rows, rows.mean(), u.skewness(rows)
        ends = (
            u.interval(u.recentred(draws, value), clusters=concepts, skew=slant),
            u.transformed_interval(draws, value, clusters=concepts, skew=slant),
        )
        hits += [low <= 0.2 / 11.2 <= high for low, high in ends]
    percentiles, transformed = hits / times
    assert percentiles < 0.93 <= transformed
