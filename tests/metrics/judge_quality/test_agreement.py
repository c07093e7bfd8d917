"""Agreement of judges: published values and independent implementations."""

from functools import partial

import krippendorff
import numpy as np
import pytest
from helpers.metrics import read
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score
from statsmodels.stats import inter_rater

from evenhand.metrics.judge_quality.agreement import (
    by_class,
    by_stratum,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    majority,
    votes_of,
)

MISSING = 3


UNITS = st.lists(st.lists(st.integers(0, MISSING), min_size=3, max_size=3), min_size=4, max_size=12).map(
    lambda units: np.array(units).T
)
"""Labels of three judges on a few units, some missing."""


def sampled(statistic, codes, groups=MISSING, **options):
    return statistic(np.array(codes), groups, draws=200, rng=np.random.default_rng(0), **options)


alpha = partial(sampled, krippendorff_alpha)


def compared(codes):
    """Groups among units with two labels: with fewer than two there is nothing to agree on."""
    paired = [set(unit) - {MISSING} for unit in codes.T if (unit != MISSING).sum() > 1]
    return set().union(*paired)


def by_the_krippendorff_package(codes, level):
    data = np.where(codes == MISSING, np.nan, codes).astype(float)
    return krippendorff.alpha(reliability_data=data, level_of_measurement=level, value_domain=range(3))


def test_alpha_of_the_worked_example():
    codes = [[1, 1, 0, 3, 2], [1, 0, 0, 1, 2], [3, 1, 0, 1, 2]]
    found = alpha(codes)
    assert found.value == pytest.approx(0.777778, abs=1e-6) and found.n == 5
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
@given(UNITS)
def test_alpha_matches_the_krippendorff_package(level, codes):
    found = alpha(codes, level=level).value
    if len(compared(codes)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(by_the_krippendorff_package(codes, level), abs=1e-9)


def test_ordinal_alpha_penalises_neighbours_less():
    near, far = [[0, 1, 2, 0, 1, 2], [1, 1, 2, 0, 2, 2]], [[0, 1, 2, 0, 1, 2], [2, 1, 2, 0, 1, 0]]
    assert alpha(near, level="ordinal").value > alpha(near).value > alpha(far, level="ordinal").value


@given(UNITS)
def test_fleiss_kappa_agrees_with_statsmodels(codes):
    full = codes[:, (codes < MISSING).all(axis=0)]
    found = sampled(fleiss_kappa, codes)
    assert found.n == full.shape[1]
    if len(np.unique(full)) < 2:
        assert np.isnan(found.value)
    else:
        assert found.value == pytest.approx(inter_rater.fleiss_kappa(votes_of(full, MISSING)), abs=1e-9)


def test_fleiss_kappa_of_three_of_many_raters_uses_their_votes():
    rng = np.random.default_rng(0)
    codes = np.full((6, 40), MISSING)
    for unit in range(40):
        shown = rng.permutation(6)[: 3 if unit < 30 else 2]
        codes[shown, unit] = rng.integers(0, 3, len(shown))
    found = sampled(fleiss_kappa, codes, raters=3)
    assert found.n == 30
    expected = inter_rater.fleiss_kappa(votes_of(codes[:, :30], MISSING))
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert np.isnan(sampled(fleiss_kappa, codes).value), "no unit has six labels"


GWET_EXAMPLE = """
11.1 2232 3333 3333 2222 1234 4444 1121 2222 .555 ..11 ..3.
"""
"""Twelve units, four raters, five categories, some missing: the worked example of Gwet's handbook."""


def gwet_example():
    unrated = 5
    units = [[unrated if sign == "." else int(sign) - 1 for sign in unit] for unit in GWET_EXAMPLE.split()]
    return np.array(units).T


def test_ac1_and_alpha_match_the_handbook_example():
    assert sampled(gwet_ac1, gwet_example(), 5).value == pytest.approx(0.77544, abs=5e-6)
    assert alpha(gwet_example(), 5).value == pytest.approx(0.74342, abs=5e-6)
    assert sampled(gwet_ac1, gwet_example(), 5).n == 11


def test_ac1_stays_high_where_a_dominant_group_lowers_kappa():
    first = np.array([0] * 95 + [1] * 5)
    codes = np.array([first, np.roll(first, 5)])
    agreed = 0.9
    share = 0.95
    chance = 2 * share * (1 - share)
    assert sampled(gwet_ac1, codes, 2).value == pytest.approx((agreed - chance) / (1 - chance))
    assert cohen_kappa(*codes, 2).value < 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=40))
def test_specific_agreement_of_two_judges_is_the_f1_score(pairs):
    codes = np.array(pairs).T
    expected = f1_score(*codes, labels=[0, 1, 2], average=None, zero_division=np.nan)
    found = [each.value for each in sampled(by_class, codes)]
    assert found == pytest.approx(expected.tolist(), nan_ok=True)


def test_agreement_by_class_shows_the_disputed_group():
    table = read("judge_testbed_fairface3k")
    codes = np.array([(table[f"{name}_gender"] == "Male").to_numpy(int) for name in ("deepface", "facellm")])
    women, men = sampled(by_class, codes, 2)
    assert women.high < men.low and women.low < women.value < women.high


def test_agreement_by_stratum_uses_the_images_of_the_stratum():
    rng = np.random.default_rng(0)
    codes, strata = rng.integers(0, 3, (2, 60)), ["nurse", "guard", "nurse"] * 20
    found = by_stratum(codes, 3, strata=strata, statistic=alpha)
    assert list(found) == ["guard", "nurse"] and found["guard"].n == 20
    assert found["guard"] == alpha(codes[:, 1::3], 3)


def test_the_majority_label_needs_more_votes_than_any_other():
    assert majority(np.array([[0, 0, 1, 3], [0, 1, 2, 3], [1, 2, 2, 0]]), 3).tolist() == [0, 3, 2, 0]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=40))
def test_kappa_agrees_with_sklearn(pairs):
    first, second = np.array(pairs).T
    if len({*first, *second}) < 2:
        assert np.isnan(cohen_kappa(first, second, 3).value)
    else:
        assert cohen_kappa(first, second, 3).value == pytest.approx(cohen_kappa_score(first, second))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=4, max_size=40))
def test_quadratic_kappa_agrees_with_sklearn(pairs):
    first, second = np.array(pairs).T
    if len({*first, *second}) < 2:
        assert np.isnan(cohen_kappa(first, second, 4, quadratic=True).value)
    else:
        expected = cohen_kappa_score(first, second, weights="quadratic", labels=range(4))
        assert cohen_kappa(first, second, 4, quadratic=True).value == pytest.approx(expected)


def test_kappa_uses_images_that_both_judges_decide():
    first, second = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 1, 0, 2])
    found = cohen_kappa(first, second, 2)
    assert found.n == 3 and found.value == pytest.approx(cohen_kappa_score(first[:3], second[:3]))


def drawn_pairs(rng, *, n, accuracy, women, draws):
    """Pair tables of two judges with independent errors, and their true kappa."""
    errors = np.array([[accuracy, 1 - accuracy], [1 - accuracy, accuracy]])
    law = np.einsum("k,ki,kj->ij", [women, 1 - women], errors, errors)
    chance = (law.sum(axis=0) * law.sum(axis=1)).sum()
    return rng.multinomial(n, law.ravel(), size=draws), (np.trace(law) - chance) / (1 - chance)


def kappa_of(table):
    """Cohen's kappa of a pair table."""
    cells = np.repeat(np.arange(table.size), np.ravel(table))
    size = round(table.size**0.5)
    return cohen_kappa(cells // size, cells % size, size)


@pytest.mark.slow
def test_kappa_interval_stays_in_range_and_covers_the_truth():
    tables, true = drawn_pairs(np.random.default_rng(0), n=40, accuracy=0.95, women=0.3, draws=400)
    found = [kappa_of(table) for table in tables]
    assert all(-1 <= each.low <= each.value <= each.high <= 1 for each in found)
    usual = [inter_rater.cohens_kappa(table.reshape(2, 2)) for table in tables]
    assert np.mean([each.kappa_upp > 1 for each in usual]) > 0.3
    coverage = np.mean([each.low <= true <= each.high for each in found])
    # Of 400 intervals that cover 95 %, fewer than 92 % do so by chance once in 300 times.
    assert coverage > 0.92 > np.mean([each.kappa_low <= true <= each.kappa_upp for each in usual])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30), st.booleans())
def test_kappa_interval_is_in_range_whatever_the_labels(pairs, quadratic):
    found = cohen_kappa(*np.array(pairs).T, 3, quadratic=quadratic)
    if not np.isnan(found.value):
        assert -1 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("quadratic", [False, True])
def test_kappa_interval_of_many_images_matches_statsmodels(quadratic):
    rng = np.random.default_rng(1)
    first = rng.integers(0, 4, 4000)
    second = np.where(rng.random(4000) < 0.7, first, rng.integers(0, 4, 4000))
    found = cohen_kappa(first, second, 4, quadratic=quadratic)
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    usual = inter_rater.cohens_kappa(table, wt="quadratic" if quadratic else None)
    assert found.value == pytest.approx(usual.kappa)
    assert (found.low, found.high) == pytest.approx((usual.kappa_low, usual.kappa_upp), abs=1e-3)


def test_kappa_interval_has_a_width_if_judges_always_agree():
    found = cohen_kappa(np.array([0, 1] * 10), np.array([0, 1] * 10), 2)
    # Wilson's lower end of 20 of 20 is 0.8389; chance agreement is one half.
    assert found.low == pytest.approx((0.838875 - 0.5) / 0.5, abs=1e-5) and found.high == 1


def test_six_races_of_the_test_bed():
    table = read("judge_testbed_fairface3k")
    races = sorted({*table["deepface_race6"], *table["facellm_race6"]})
    first, second = (table[f"{name}_race6"].map(races.index).to_numpy() for name in ("deepface", "facellm"))
    assert cohen_kappa(first, second, len(races)).value == pytest.approx(0.529917, abs=1e-6)


def test_judges_with_opposite_biases_agree_less_with_each_other_than_with_the_truth():
    table = read("judge_testbed_fairface3k")
    codes = [
        (table[name] == "Female").to_numpy(int)
        for name in ("deepface_gender", "facellm_gender", "true_gender")
    ]
    kappa = [cohen_kappa(codes[i], codes[j], 2).value for i, j in ((0, 1), (0, 2), (1, 2))]
    assert kappa == pytest.approx([0.264754, 0.346415, 0.768051], abs=1e-6)
    assert alpha(codes[:2], 2).value == pytest.approx(0.151561, abs=1e-6)


def test_alpha_interval_covers_resamples_of_the_units():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    codes = np.array([np.where(rng.random(300) < 0.9, truth, 1 - truth) for _ in range(3)])
    found = alpha(codes, 2)
    expected = [alpha(codes[:, rng.integers(0, 300, 300)], 2).value for _ in range(200)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])), abs=0.02)


def test_agreement_is_missing_without_pairs_of_labels():
    nothing = alpha([[3, 3], [3, 0]])
    assert np.isnan(sampled(gwet_ac1, [[3, 3], [3, 0]]).value) and sampled(fleiss_kappa, [[3], [3]]).n == 0
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all() and nothing.n == 0
    assert np.isnan(cohen_kappa(np.array([2]), np.array([0]), 2).value)
