"""Whether errors of judges are independent, against log-linear models."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction import calibration as cal
from evenhand.metrics.judge_quality import error_independence as ind
from evenhand.metrics.judge_quality.latent_class import MISSING, dawid_skene

JUDGE = np.array([[0.90, 0.05, 0.05], [0.08, 0.90, 0.02]])


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


def table(rng, anchors=400):
    counts = np.array([rng.multinomial(anchors, row) for row in JUDGE]).astype(float)
    return cal.confusion_matrix(counts), cal.draw_matrices(counts, draws=300, rng=rng)


TONE = np.array([[0.9, 0.06, 0.04, 0], [0.1, 0.8, 0.1, 0], [0.05, 0.15, 0.8, 0]])
GENDER = np.array([[0.9, 0.1, 0], [0.05, 0.95, 0]])


def joint_counts(rng, law, n):
    return np.array([rng.multinomial(n, row) for row in law]).astype(float)


def test_product_test_matches_the_deviance_of_a_loglinear_model():
    rng = np.random.default_rng(0)
    counts = joint_counts(rng, cal.kronecker([GENDER, TONE])[:, :6], 60)
    table = pd.DataFrame(list(np.ndindex(2, 3, 2, 3)), columns=["y1", "y2", "j1", "j2"]).astype(str)
    fit = smf.glm(
        "n ~ C(y1):C(y2) + C(y1):C(j1) + C(y2):C(j2)",
        table.assign(n=counts.reshape(-1)),
        family=sm.families.Poisson(),
    ).fit()
    found = ind.product_test(counts, shape=(2, 3), rng=rng)
    assert found.statistic == near(fit.deviance, 1e-5)
    assert found.freedom == len(table) - np.linalg.matrix_rank(fit.model.exog)
    assert found.p_value == near(found.asymptotic, 0.08)


def test_errors_that_depend_on_the_other_attribute_are_detected():
    rng = np.random.default_rng(0)
    law = cal.kronecker([GENDER, TONE])[:, :6]
    even = [
        ind.product_test(joint_counts(rng, law, 80), shape=(2, 3), rng=rng, tables=199).p_value
        for _ in range(100)
    ]
    assert np.mean(np.array(even) <= 0.05) <= 0.10 and 0.35 < np.median(even) < 0.65
    # Women of the darkest tone are called men three times as often as other women.
    leaning = law.copy()
    leaning[2] = np.kron([0.7, 0.3], TONE[2, :3])
    assert ind.product_test(joint_counts(rng, leaning, 80), shape=(2, 3), rng=rng).p_value < 0.01


def test_cells_without_anchors_do_not_count_as_degrees_of_freedom():
    rng = np.random.default_rng(0)
    counts = joint_counts(rng, cal.kronecker([GENDER, GENDER])[:, :4], 50)
    full = ind.product_test(counts, shape=(2, 2), rng=rng)
    counts[3] = 0
    assert (full.freedom, ind.product_test(counts, shape=(2, 2), rng=rng).freedom) == (8, 5)
    with pytest.raises(EvenhandError, match="0 anchors"):
        ind.product_test(np.zeros((4, 4)), shape=(2, 2), rng=rng)


def four_judges(rng, *, shared):
    """Answers of four judges; on a share of the images two of them make the same mistake."""
    truth = (rng.random(4000) < 0.4).astype(int)
    answers = np.stack([np.where(rng.random(4000) < 0.08, 1 - truth, truth) for _ in range(4)], axis=1)
    hard = rng.random(4000) < shared
    answers[hard, :2] = (1 - truth[hard])[:, None]
    answers[:50, 3] = MISSING
    return answers


def test_judges_with_dependent_errors_have_large_residuals():
    rng = np.random.default_rng(0)
    for shared, dependent in ((0.0, False), (0.08, True)):
        answers = four_judges(rng, shared=shared)
        fit = dawid_skene(answers, classes=2, starts=2, smoothing=0)
        found = ind.pair_residuals(answers, shares=fit.shares[0], errors=fit.errors)
        assert len(found) == 6 and found[0].dependent is dependent
    largest = [np.abs(pair.residuals).max() for pair in found]
    assert largest == sorted(largest, reverse=True)
