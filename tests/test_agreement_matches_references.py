"""Agreement of judges: published values and independent implementations."""

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_kit import read
from sklearn.metrics import cohen_kappa_score

from evenhand.metrics.agreement import cohen_kappa, krippendorff_alpha

MISSING = 3


def alpha(codes, groups=MISSING):
    return krippendorff_alpha(np.array(codes), groups, draws=200, rng=np.random.default_rng(0))


def test_alpha_of_the_worked_example():
    codes = [[1, 1, 0, 3, 2], [1, 0, 0, 1, 2], [3, 1, 0, 1, 2]]
    found = alpha(codes)
    assert found.value == pytest.approx(0.777778, abs=1e-6) and found.n == 5
    assert found.low <= found.value <= found.high


@given(st.lists(st.lists(st.integers(0, MISSING), min_size=3, max_size=3), min_size=4, max_size=12))
def test_alpha_agrees_with_the_krippendorff_package(units):
    codes = np.array(units).T
    data = np.where(codes == MISSING, np.nan, codes).astype(float)
    paired = [set(unit) - {MISSING} for unit in units if sum(code != MISSING for code in unit) > 1]
    if len(set().union(*paired)) < 2:
        assert np.isnan(alpha(codes).value)
        return
    expected = krippendorff.alpha(
        reliability_data=data, level_of_measurement="nominal", value_domain=range(3)
    )
    assert alpha(codes).value == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=40))
def test_kappa_agrees_with_sklearn(pairs):
    first, second = np.array(pairs).T
    if len({*first, *second}) < 2:
        assert np.isnan(cohen_kappa(first, second, 3).value)
    else:
        assert cohen_kappa(first, second, 3).value == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_leaves_out_what_either_judge_does_not_decide():
    first, second = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 1, 0, 2])
    found = cohen_kappa(first, second, 2)
    assert found.n == 3 and found.value == pytest.approx(cohen_kappa_score(first[:3], second[:3]))


def test_judges_with_opposite_biases_agree_badly_though_each_is_better_than_that():
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


def test_no_pair_of_labels_has_no_agreement():
    nothing = alpha([[3, 3], [3, 0]])
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all() and nothing.n == 0
    assert np.isnan(cohen_kappa(np.array([2]), np.array([0]), 2).value)
