"""Tests of equal errors: known answers in both directions."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, fisher_exact, random_table

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction import calibration as cal
from evenhand.metrics.correction import transport

JUDGE = np.array([[0.90, 0.05, 0.05], [0.08, 0.90, 0.02]])


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


def answers_of(rng, truth, matrix):
    return np.array([rng.choice(matrix.shape[1], p=matrix[group]) for group in truth])


def test_large_tables_match_scipys_chi_square():
    table = [[90, 10, 20], [70, 30, 20]]
    found = transport.homogeneity(table, rng=np.random.default_rng(0))
    expected = chi2_contingency(table)
    assert (found.statistic, found.freedom, found.p_value) == (near(expected[0]), 2, near(expected[1]))


def test_small_tables_get_a_simulated_p_value():
    table = [[1, 9], [6, 4]]
    found = transport.homogeneity(table, rng=np.random.default_rng(0))
    # For equal margins the chi-square orders tables as Fisher's two-sided test does.
    assert found.p_value == near(fisher_exact(table)[1], 0.01)
    assert found.p_value != near(chi2_contingency(table, correction=False)[1], 0.005)


def test_two_small_strata_with_two_outcomes_get_the_p_value_of_all_tables():
    found = transport.homogeneity([[998, 2], [74, 3]], rng=np.random.default_rng(0))
    drawn = random_table([1000, 77], [1072, 5], seed=1).rvs(200_000)
    share = (drawn[:, 0, 1] <= 2).mean()  # the expected count is 4.6 of 5
    assert found.p_value == near(share, 0.001)


def test_empty_strata_and_outcomes_give_no_p_value():
    found = transport.homogeneity([[5, 0], [0, 0]], rng=np.random.default_rng(0))
    assert found.freedom == 0 and np.isnan(found.p_value)
    padded = transport.homogeneity([[90, 10, 0], [70, 30, 0], [0, 0, 0]], rng=np.random.default_rng(0))
    assert padded.p_value == near(chi2_contingency([[90, 10], [70, 30]], correction=False)[1])


def test_a_judge_with_stereotyped_errors_is_detected():
    rng = np.random.default_rng(0)
    truth, strata = rng.integers(0, 2, 1200), rng.integers(0, 2, 1200)
    even = answers_of(rng, truth, JUDGE)
    leaning = np.where((truth == 0) & (strata == 1) & (rng.random(1200) < 0.2), 1, even)
    tests = transport.errors_by_stratum(truth, leaning, strata, groups=2, rng=rng)
    assert tests[0].p_value < 0.001 < 0.05 < tests[1].p_value
    assert tests[0].table.sum() + tests[1].table.sum() == 1200
    assert tests[0].table[1, transport.WRONG] > 2 * tests[0].table[0, transport.WRONG]
    again = transport.errors_by_stratum(truth, even, strata, groups=2, rng=rng)
    assert min(test.p_value for test in again) > 0.05


def test_the_test_of_strata_keeps_its_level():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(100):
        truth, strata = np.zeros(120, int), rng.integers(0, 3, 120)
        answers = answers_of(rng, truth, JUDGE)
        found.append(transport.errors_by_stratum(truth, answers, strata, groups=1, rng=rng)[0].p_value)
    assert np.mean(np.array(found) < 0.05) <= 0.10


def chosen_by_answer(rng, *, judges):
    """Anchors of two strata; in the first, answers of group 0 are taken a quarter as often as all others."""
    truth, strata = rng.integers(0, 2, 1600), np.repeat([0, 1], 800)
    matrices = np.stack(judges)[strata, truth]
    answers = (rng.random(1600)[:, None] > matrices.cumsum(axis=1)).sum(axis=1)
    chance = np.where((strata == 0) & (answers == 0), 0.2, 0.8)
    kept = rng.random(1600) < chance
    return truth[kept], answers[kept], strata[kept], 1 / chance[kept]


def rejections(judges, *, weighed, repetitions):
    """How often the test rejects equal error rates of two strata in some true group."""
    rng, found = np.random.default_rng(0), []
    for _ in range(repetitions):
        *anchors, weights = chosen_by_answer(rng, judges=judges)
        given = weights if weighed else None
        tests = transport.errors_by_stratum(*anchors, groups=2, rng=rng, weights=given)
        found.append(min(test.p_value for test in tests) < 0.025)
    return np.mean(found)


def test_anchors_sampled_by_the_judges_label_are_weighted_in_the_test_of_strata(monkeypatch):
    monkeypatch.setattr(transport, "TABLES", 499)
    same, unlike = [JUDGE, JUDGE], [JUDGE, np.array([[0.75, 0.2, 0.05], [0.08, 0.9, 0.02]])]
    assert rejections(same, weighed=True, repetitions=100) <= 0.10
    assert rejections(same, weighed=False, repetitions=30) > 0.5, "unweighed, the choice looks like an error"
    assert rejections(unlike, weighed=True, repetitions=30) > 0.9


def test_equal_weights_give_the_unweighted_test():
    rng = np.random.default_rng(2)
    truth, strata = rng.integers(0, 2, 900), rng.integers(0, 3, 900)
    answers = answers_of(rng, truth, JUDGE)
    plain = transport.errors_by_stratum(truth, answers, strata, groups=2, rng=rng)
    weighed = transport.errors_by_stratum(
        truth, answers, strata, groups=2, rng=rng, weights=np.full(900, 4.0)
    )
    for one, other in zip(plain, weighed, strict=True):
        assert other.statistic == near(one.statistic) and other.freedom == one.freedom
        assert other.table == near(4 * one.table) and other.p_value == near(one.p_value, 0.05)


def test_weighted_strata_without_errors_give_no_p_value():
    truth, strata = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    tests = transport.errors_by_stratum(
        truth, truth, strata, groups=2, rng=np.random.default_rng(0), weights=np.array([1.0, 2, 3, 4])
    )
    assert all(np.isnan(test.p_value) and test.freedom == 0 for test in tests)


def stratum(rng, *, matrix, share, anchors=150, pool=3000):
    truth = (rng.random(anchors) > share).astype(int)
    shown = rng.multinomial(pool, (share, 1 - share))
    counts = sum(rng.multinomial(n, row) for n, row in zip(shown, matrix, strict=True)).astype(float)
    return {"truth": truth, "answers": answers_of(rng, truth, matrix), "pool": counts, "rng": rng}


def table(rng, anchors=400):
    counts = np.array([rng.multinomial(anchors, row) for row in JUDGE]).astype(float)
    return cal.confusion_matrix(counts), cal.draw_matrices(counts, draws=300, rng=rng)


def test_inversion_and_prediction_powered_shares_differ_only_if_the_judge_changed():
    rng = np.random.default_rng(0)
    known = table(rng)
    same = transport.inversion_against_powered(*known, **stratum(rng, matrix=JUDGE, share=0.3))
    assert same.p_value > 0.05 and same.inverted.sum() == near(1)
    drifted = np.array([[0.55, 0.40, 0.05], [0.08, 0.90, 0.02]])
    other = transport.inversion_against_powered(*known, **stratum(rng, matrix=drifted, share=0.5))
    assert other.p_value < 0.05 and abs(other.powered[0] - 0.5) < 0.1 < abs(other.inverted[0] - 0.5)


@pytest.mark.parametrize("anchors", [10, 150])
def test_the_comparison_of_corrections_keeps_its_level(anchors):
    rng = np.random.default_rng(0)
    p = [
        transport.inversion_against_powered(
            *table(rng), **stratum(rng, matrix=JUDGE, share=0.3, anchors=anchors, pool=600)
        ).p_value
        for _ in range(200)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.08


def test_a_missed_group_is_detected_where_the_noise_of_the_images_is_larger_than_the_error():
    """A tenth of the images show group 0, of which 15 % are missed; the images' own noise is as large."""
    rng, found = np.random.default_rng(0), []
    sharp, missing = np.array([[0.998, 0.002, 0], [0.001, 0.999, 0]]), np.array([[0.85, 0.15, 0], [0, 1, 0]])
    counts = sharp * 1000
    known = cal.confusion_matrix(counts), cal.draw_matrices(counts, draws=300, rng=rng)
    for _ in range(40):
        part = stratum(rng, matrix=missing, share=0.1, anchors=600, pool=600)
        found.append(transport.inversion_against_powered(*known, **part).p_value < 0.05)
    assert np.mean(found) > 0.6


def test_few_anchors_without_an_error_are_no_evidence_against_a_judge_that_errs():
    rng = np.random.default_rng(0)
    right = np.zeros(8, int)
    pool = np.array([500.0, 60, 40])
    known = table(rng)
    found = transport.inversion_against_powered(*known, truth=right, answers=right, pool=pool, rng=rng)
    assert found.p_value > 0.2


def test_context_effect_is_the_difference_of_disagreements():
    rng, strata = np.random.default_rng(0), np.repeat([0, 1], 500)
    crop = rng.integers(0, 2, 1000)
    full = np.where(rng.random(1000) < np.where(strata, 0.25, 0.05), 1 - crop, crop)
    found = transport.context_effect(crop, full, strata, rng=rng)
    shares = [(crop != full)[strata == part].mean() for part in (0, 1)]
    assert found.disagreement == near(shares) and found.effect == near(shares[1] - shares[0])
    assert found.test.p_value < 1e-6
    assert (found.low < found.disagreement).all() and (found.disagreement < found.high).all()
    none = transport.context_effect(crop, crop, strata, rng=rng)
    assert none.effect == 0 and np.isnan(none.test.p_value)
    with pytest.raises(EvenhandError, match="got 0"):
        transport.context_effect(crop[:0], full[:0], strata[:0], rng=rng)
