"""Tests of occupations, label flips and the false discovery rate, against scipy and statsmodels."""

import numpy as np
import pytest
from helpers.metrics import read
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2, chisquare
from statsmodels.stats.contingency_tables import SquareTable, mcnemar
from statsmodels.stats.multitest import multipletests

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import representation as r
from evenhand.metrics.statistics import significance as s
from evenhand.metrics.statistics.uncertainty import stream


def pairs(table):
    """Labels before and after that make this table."""
    table = np.asarray(table)
    before, after = np.indices(table.shape)
    return np.repeat(before.ravel(), table.ravel()), np.repeat(after.ravel(), table.ravel())


@pytest.mark.parametrize(("table", "exact"), [([[40, 18], [6, 36]], True), ([[40, 19], [6, 36]], False)])
def test_flips_of_two_groups_are_tested_by_mcnemar_exactly_below_25(table, exact):
    found = s.label_flips(*pairs(table), 2)
    assert found.table.tolist() == table and found.n == np.sum(table)
    assert found.p == pytest.approx(mcnemar(table, exact=exact).pvalue, rel=1e-12)
    assert found.p != pytest.approx(mcnemar(table, exact=not exact).pvalue, rel=1e-3)


def test_the_exact_test_of_flips_is_binomial():
    assert s.label_flips(*pairs([[10, 9], [2, 10]]), 2).p == pytest.approx(binomtest(2, 11).pvalue)


def test_flips_of_three_groups_are_tested_by_stuart_and_maxwell():
    table = [[30, 12, 5], [3, 40, 8], [2, 4, 50]]
    expected = SquareTable(np.array(table, float), shift_zeros=False).homogeneity().pvalue
    assert s.label_flips(*pairs(table), 3).p == pytest.approx(expected)


def test_groups_without_flips_do_not_enter_the_test():
    two, three = [[40, 18], [6, 36]], [[40, 0, 18], [0, 7, 0], [6, 0, 36]]
    assert s.label_flips(*pairs(three), 3).p == s.label_flips(*pairs(two), 2).p


def test_parts_of_groups_without_flips_between_them_are_tested_together():
    """The statistics of independent parts add up, and so do their degrees of freedom."""
    one, other = (
        SquareTable(np.array(part, float), shift_zeros=False) for part in ([[9, 7], [2, 8]], [[6, 1], [8, 5]])
    )
    statistic = sum(part.homogeneity().statistic for part in (one, other))
    table = [[9, 7, 0, 0], [2, 8, 0, 0], [0, 0, 6, 1], [0, 0, 8, 5]]
    assert s.label_flips(*pairs(table), 4).p == pytest.approx(chi2.sf(statistic, 2))


def test_undetermined_images_do_not_count_as_flips():
    before, after = np.array([0, 1, 2, 0]), np.array([1, 1, 0, 2])
    found = s.label_flips(before, after, 2)
    assert found.n == 2 and found.changed == 0.5 and found.low < 0.5 < found.high


def test_without_flips_there_is_no_p_value():
    same = np.array([0, 1, 1])
    assert np.isnan(s.label_flips(same, same, 2).p) and s.label_flips(same, same, 2).changed == 0


def test_two_groups_are_tested_exactly():
    found = s.share_test([12, 38], r.uniform(2), rng=stream(0, "x"))
    assert found == binomtest(12, 50).pvalue


def test_many_groups_are_tested_by_chi_square_where_counts_allow():
    counts, target = [30, 20, 50], np.array([0.3, 0.3, 0.4])
    expected = chisquare(counts, 100 * target).pvalue
    assert s.share_test(counts, target, rng=stream(0, "x")) == pytest.approx(expected)


def test_few_images_of_many_groups_get_a_monte_carlo_test():
    """Enumerates all 15 tables of four images in three groups."""
    target, seen = np.array([0.5, 0.3, 0.2]), np.array([0, 1, 3])
    tables = np.array([(a, b, 4 - a - b) for a in range(5) for b in range(5 - a)])
    factorial = np.array([1, 1, 2, 6, 24])
    mass = 24 / factorial[tables].prod(axis=1) * (target**tables).prod(axis=1)
    far = ((tables - 4 * target) ** 2 / (4 * target)).sum(axis=1)
    exact = mass[far >= ((seen - 4 * target) ** 2 / (4 * target)).sum() - 1e-9].sum()
    assert s.share_test(seen, target, rng=stream(0, "x")) == pytest.approx(exact, abs=0.01)


def test_no_image_gives_no_p_value_and_a_zero_target_is_an_error():
    assert np.isnan(s.share_test([0, 0], r.uniform(2), rng=stream(0, "x")))
    with pytest.raises(EvenhandError, match="target shares must be positive"):
        s.share_test([3, 2], np.array([1.0, 0.0]), rng=stream(0, "x"))


@settings(max_examples=25)  # statsmodels collects garbage at every call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_false_discovery_rate_agrees_with_statsmodels(p_values):
    expected = multipletests(p_values, method="fdr_bh")[1]
    assert s.benjamini_hochberg(np.array(p_values)) == pytest.approx(expected)


def test_missing_tests_are_left_out_of_the_family():
    found = s.benjamini_hochberg(np.array([0.02, np.nan, 0.03]))
    assert found == pytest.approx([0.03, np.nan, 0.03], nan_ok=True)


def test_released_counts_are_flagged_with_one_family_of_all_occupations():
    table = read("fair_diffusion_fairface_counts")
    names = table.iloc[:, 0].tolist()
    counts = {key: table[[f"{key}_woman", f"{key}_man"]].to_numpy(int) for key in ("sd15", "fd")}
    for key, seen in counts.items():
        flags = s.flag_concepts(
            {"gender": seen}, {"gender": r.uniform(2)}, concepts=names, rng=stream(0, "x")
        )
        p_values = [binomtest(int(woman), int(woman + man)).pvalue for woman, man in seen]
        expected = multipletests(p_values, method="fdr_bh")[0]
        assert [flag.flagged for flag in flags] == expected.tolist()
        assert [flag.n for flag in flags] == seen.sum(axis=1).tolist()
        assert (np.mean(expected) > 0.8) == (key == "sd15")


def test_attributes_are_one_family():
    even, far = [[25, 25]] * 3, [[50, 0], [40, 10], [35, 15]]
    counts, targets = {"gender": far, "age": even}, {"gender": r.uniform(2), "age": r.uniform(2)}
    flags = s.flag_concepts(counts, targets, concepts=["a", "b", "c"], rng=stream(0, "x"))
    assert [(flag.attributes, flag.flagged) for flag in flags] == [("gender", True)] * 3 + [
        ("age", False)
    ] * 3
    assert flags[2].p_adjusted == pytest.approx(flags[2].p * 6 / 3)
