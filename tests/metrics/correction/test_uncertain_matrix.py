"""Intervals cover if they include the sampling error of the anchors, and are too short otherwise."""

import numpy as np
import pytest
from scipy.optimize import minimize

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction import calibration as cal
from evenhand.metrics.correction.correction import em_shares
from evenhand.metrics.correction.prediction_powered import powered_mean
from evenhand.metrics.correction.rogan_gladen import cleam_point, lang_reiczigel, rogan_gladen
from evenhand.metrics.correction.uncertain_matrix import drawn_shares, joint_likelihood

SIMS = 2000


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


def covers(low, high, truth):
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize(
    ("se", "sp", "n", "anchors", "cleam", "fixed", "full", "naive"),
    [
        (0.947, 0.983, 2000, 500, 0.464, 0.901, 0.948, 0.263),
        (0.947, 0.983, 250, 500, 0.206, 0.937, 0.941, 0.860),
        (0.870, 0.885, 2000, 500, 0.403, 0.841, 0.952, 0.028),
        # Printed as 0.446; a bias of 0.028 with an error of 0.0308 gives Phi(1.05) - Phi(-2.87) = 0.851.
        (0.900, 0.900, 250, 200, 0.190, 0.900, 0.953, 0.851),
        (0.947, 0.983, 9000, 3300, 0.749, 0.918, 0.949, 0.000),
    ],
)
def test_intervals_that_ignore_anchor_error_do_not_cover(se, sp, n, anchors, cleam, fixed, full, naive):
    """The reference coverage table; anchors of each group; two standard errors each way."""
    rng, truth = np.random.default_rng(0), 0.64
    seen = rng.binomial(n, truth * se + (1 - truth) * (1 - sp), SIMS) / n
    batches = rng.binomial(400, np.repeat(seen[:, None], 30, axis=1)) / 400
    mean, reach = batches.mean(axis=1), 1.96 * batches.std(axis=1) / np.sqrt(30)
    right = {
        "sensitivity": rng.binomial(anchors, se, SIMS) / anchors,
        "specificity": rng.binomial(anchors, sp, SIMS) / anchors,
    }
    alphas = {"alpha_0": right["sensitivity"], "alpha_1": right["specificity"]}
    found = rogan_gladen(seen, n, positives=anchors, negatives=anchors, **right)
    known = rogan_gladen(seen, n, positives=1e12, negatives=1e12, **right)
    wide = 1.96 * np.sqrt(seen * (1 - seen) / n)
    coverage = [
        covers(cleam_point(mean - reach, **alphas), cleam_point(mean + reach, **alphas), truth),
        covers(known.low, known.high, truth),
        covers(found.low, found.high, truth),
        covers(seen - wide, seen + wide, truth),
    ]
    for value, expected in zip(coverage, (cleam, fixed, full, naive), strict=True):
        assert value == near(expected, 2 * np.sqrt(2 * max(expected * (1 - expected), 0.01) / SIMS))


def test_lang_reiczigel_covers_for_small_counts():
    rng, truth, n, anchors = np.random.default_rng(0), 0.02, 500, 30
    judge = {
        "sensitivity": rng.binomial(anchors, 0.99, SIMS) / anchors,
        "positives": anchors,
        "specificity": rng.binomial(anchors, 0.99, SIMS) / anchors,
        "negatives": anchors,
    }
    seen = rng.binomial(n, truth * 0.99 + 0.98 * 0.01, SIMS) / n
    plain, small = rogan_gladen(seen, n, **judge), lang_reiczigel(seen, n, **judge)
    assert covers(plain.low, plain.high, truth) < 0.90
    assert covers(small.low, small.high, truth) >= 0.95
    assert (small.value == plain.value).all() and (small.high > small.low).all()


def test_lang_reiczigel_tends_to_rogan_gladen_for_large_counts():
    judge = {"sensitivity": 0.93, "positives": 1e6, "specificity": 0.95, "negatives": 1e6}
    plain, small = rogan_gladen(0.3, 1e6, **judge), lang_reiczigel(0.3, 1e6, **judge)
    assert [small.low, small.high] == near([float(plain.low), float(plain.high)], 1e-5)
    with pytest.raises(EvenhandError, match="no better than chance"):
        lang_reiczigel(0.5, 10, sensitivity=0.5, positives=9, specificity=0.5, negatives=9)


def test_prediction_powered_intervals_cover_at_their_nominal_rate():
    """Measurement.md 7.7: (se, sp) = (.93, .95), share .3, 500 images, 200 anchors of the same pool."""
    rng, truth = np.random.default_rng(0), 0.3
    cells = [truth * 0.93, truth * 0.07, (1 - truth) * 0.05, (1 - truth) * 0.95]
    y, f = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 1, 0])
    inside = {1: [], None: []}
    for _ in range(SIMS):
        anchors, others = rng.multinomial(200, cells), rng.multinomial(500, cells)
        for power in inside:
            found = powered_mean(
                np.repeat(y, anchors), np.repeat(f, anchors), np.repeat(f, others), power=power
            )
            inside[power].append(found.low <= truth <= found.high)
    assert all(0.93 <= np.mean(hits) <= 0.97 for hits in inside.values())


ANCHORS = np.array([[80.0, 15, 5], [6, 110, 4]])


def test_drawn_shares_of_two_groups_match_rogan_gladen_with_drawn_rates():
    rng, draws = np.random.default_rng(0), 4000
    found = drawn_shares(np.array([150.0, 250, 0]), ANCHORS[:, :2] @ np.eye(2, 3), draws=draws, rng=rng)
    se = rng.beta(80.5, 15.5 + 0.5, draws)
    sp = rng.beta(110.5, 6.5 + 0.5, draws)
    seen = rng.binomial(400, 150 / 400, draws) / 400
    # The third column, never used, takes half an anchor from the others.
    assert found.draws[:, 0].mean() == near(np.clip((seen + sp - 1) / (se + sp - 1), 0, 1).mean(), 0.01)
    assert found.draws[:, 0].std() == pytest.approx(((seen + sp - 1) / (se + sp - 1)).std(), rel=0.06)
    assert (
        found.draws.sum(axis=1) == near(1)
        and (found.low < found.mean).all()
        and (found.mean < found.high).all()
    )


def test_drawn_intervals_cover_at_their_nominal_rate():
    rng, truth = np.random.default_rng(1), np.array([0.3, 0.7])
    matrix = np.array([[0.93, 0.07], [0.05, 0.95]])
    hits = []
    for _ in range(300):
        anchors = np.array([rng.multinomial(100, row) for row in matrix]).astype(float)
        counts = rng.multinomial(500, truth @ matrix).astype(float)
        found = drawn_shares(counts, anchors, draws=400, rng=rng)
        hits.append(found.low[0] <= truth[0] <= found.high[0])
    assert 0.92 <= np.mean(hits) <= 0.98


def test_joint_fit_has_the_highest_likelihood():
    counts = np.array([260.0, 120, 20])

    def loss(parameters):
        pi = np.exp(np.append(parameters[0], 0.0))
        rows = np.exp(np.column_stack([parameters[1:].reshape(2, 2), np.zeros(2)]))
        pi, rows = pi / pi.sum(), rows / rows.sum(axis=1, keepdims=True)
        return -(counts @ np.log(pi @ rows) + (ANCHORS * np.log(rows)).sum())

    best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
    shares, matrix = joint_likelihood(counts, ANCHORS)
    found = -(counts @ np.log(shares @ matrix) + (ANCHORS * np.log(matrix)).sum())
    assert found == near(best.fun, 1e-5)
    assert shares.sum() == near(1) and matrix.sum(axis=1) == near(1)


def test_images_change_the_jointly_fitted_matrix_less_with_more_anchors():
    counts, plain = np.array([260.0, 120, 20]), cal.confusion_matrix(ANCHORS)
    alone = em_shares(counts / counts.sum(), plain)
    many = joint_likelihood(counts, 1e6 * ANCHORS)
    few = joint_likelihood(counts, ANCHORS)
    assert many.shares == near(alone, 1e-4) and many.matrix == near(plain, 1e-4)
    assert np.abs(few.matrix - plain).max() > 1e-3


def test_effective_counts_have_the_variance_of_the_weighted_shares():
    """Anchors chosen by the judge's own answer: the count that the variance of the rates asks for."""
    rng, share, matrix = np.random.default_rng(1), 0.15, np.array([[0.8, 0.2], [0.05, 0.95]])
    rates, supposed = [], []
    for _ in range(1500):
        truth = (rng.random(4000) > share).astype(int)
        said = np.where(rng.random(4000) < matrix[truth, 0], 0, 1)
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(said == answer), 150, replace=False) for answer in (0, 1)]
        )
        weights = np.bincount(said)[said[chosen]] / 150
        sums, squares = np.zeros((2, 2)), np.zeros((2, 2))
        np.add.at(sums, (truth[chosen], said[chosen]), weights)
        np.add.at(squares, (truth[chosen], said[chosen]), weights**2)
        counts = np.stack([cal.effective_counts(*row) for row in zip(sums, squares, strict=True)])
        rate = counts.diagonal() / counts.sum(axis=1)
        rates.append(rate)
        supposed.append(rate * (1 - rate) / counts.sum(axis=1))
    assert np.mean(rates, axis=0) == near(matrix.diagonal(), 0.008)
    assert np.mean(supposed, axis=0)[0] == pytest.approx(np.var(rates, axis=0)[0], rel=0.15)
    # Never less than the truth: anchors of one answer were a fixed number, which the count does not know.
    assert (np.mean(supposed, axis=0) > 0.9 * np.var(rates, axis=0)).all()


def test_equal_weights_give_plain_counts():
    counts = np.array([17.0, 2, 1])
    assert cal.effective_counts(3 * counts, 9 * counts) == near(counts, 1e-8)
    assert cal.effective_counts(3 * counts, 9 * counts).sum() >= cal.SMALL_ROW
    assert cal.effective_counts(np.array([0.0, 12.0]), np.array([0.0, 48.0])) == near([0, 3])
