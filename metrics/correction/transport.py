"""Tests of transportability: does a judge make the same errors on anchors and on audited images?

A confusion matrix measured on some images is valid for others only if ``P(label | truth)`` is the same on
both. This fails if the judge uses the context: for a judge that labels a woman mechanic as a man, every
matrix from portraits is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2_contingency, hypergeom, norm, random_table

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.correction import corrected_shares, inverse_of
from evenhand.metrics.correction.prediction_powered import powered_mean
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.statistics.uncertainty import wilson

SMALL_EXPECTED = 5.0
"""Below this expected count, p-values are not from the chi-square distribution.

They come from all tables of two strata and two outcomes, or from simulated larger tables.
"""

TABLES = 9_999
"""Simulated tables for a p-value."""

RIGHT, WRONG, ABSTAINED = range(3)


class HomogeneityTest(NamedTuple):
    """Test that strata have the same distribution of outcomes.

    Attributes:
        table: ``(S, C)`` counts, strata by outcome.
        statistic: Pearson's chi-square.
        freedom: Degrees of freedom; 0 if there is nothing to compare.
        p_value: From the chi-square distribution, or from other tables with the same margins if an expected
            count is below 5, or simulated if the counts are weighted; ``nan`` if there is nothing to compare.
    """

    table: FloatArray
    statistic: float
    freedom: int
    p_value: float


def homogeneity(table: ArrayLike, *, rng: np.random.Generator) -> HomogeneityTest:
    """Chi-square test that the rows of ``(S, C)`` counts have the same distribution, without empty rows.

    Args:
        table: ``(S, C)`` integer counts.
        rng: Random stream of the simulated tables.
    """
    counts = np.asarray(table, int)
    kept = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(kept.shape, default=0) < 2:
        return HomogeneityTest(np.asarray(counts, float), 0.0, 0, float("nan"))
    found = chi2_contingency(kept, correction=False)
    p_value = float(found.pvalue)
    if found.expected_freq.min() < SMALL_EXPECTED and kept.shape == (2, 2):
        p_value = _exact(kept)
    elif found.expected_freq.min() < SMALL_EXPECTED:
        drawn = random_table(kept.sum(axis=1), kept.sum(axis=0), seed=rng).rvs(size=TABLES)
        simulated = ((drawn - found.expected_freq) ** 2 / found.expected_freq).sum(axis=(1, 2))
        p_value = float((1 + (simulated >= found.statistic - 1e-9).sum()) / (1 + TABLES))
    return HomogeneityTest(np.asarray(counts, float), float(found.statistic), int(found.dof), p_value)


def _exact(table: NDArray[np.int64]) -> float:
    """Share of all 2 x 2 tables with these margins that are as far from the expected one."""
    total, row, column = int(table.sum()), int(table[0].sum()), int(table[:, 0].sum())
    law = hypergeom(total, column, row)
    count = np.arange(max(0, row + column - total), min(row, column) + 1)
    expected = row * column / total
    far = np.abs(count - expected) >= abs(table[0, 0] - expected) - 1e-9
    return float(min(law.pmf(count[far]).sum(), 1.0))


def weighed_homogeneity(
    weights: FloatArray, typical: FloatArray, *, rng: np.random.Generator
) -> HomogeneityTest:
    """The homogeneity test for anchors sampled with unequal probabilities across strata and outcomes.

    ``W q`` images of the pool have an outcome in a stratum (``W``: weight of the stratum, ``q``: pooled share
    of the outcome). The number of anchors of weight ``r`` among them is Poisson with mean ``W q / r``. The
    statistic is therefore ``sum (w - W q)^2 / (W q r)``, which is Pearson's for equal weights; its null
    distribution is simulated. An outcome that happens to have no anchor in a stratum counts with the weight
    that its anchors would have had.

    Args:
        weights: ``(S, C)`` sums of the weights ``1 / probability``.
        typical: ``(S, C)`` weight ``r`` of one anchor, positive.
        rng: Random stream of the simulated tables.
    """
    kept = weights.sum(axis=1) > 0, weights.sum(axis=0) > 0
    if min(kept[0].sum(), kept[1].sum()) < 2:
        return HomogeneityTest(weights, 0.0, 0, float("nan"))
    table, weight = weights[kept[0]][:, kept[1]], typical[kept[0]][:, kept[1]]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = _distance(table, weight)
    drawn = rng.poisson(expected / weight, size=(TABLES, *table.shape)) * weight
    p_value = (1 + (_distance(drawn, weight) >= statistic - 1e-9).sum()) / (1 + TABLES)
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return HomogeneityTest(weights, float(statistic), freedom, float(p_value))


def _distance(tables: FloatArray, weight: FloatArray) -> FloatArray:
    """The statistic of tables ``(..., S, C)``; outcomes that do not occur add nothing."""
    rows, columns = tables.sum(axis=-1, keepdims=True), tables.sum(axis=-2, keepdims=True)
    expected = ratio(rows * columns, rows.sum(axis=-2, keepdims=True))
    return np.asarray(np.nansum(ratio((tables - expected) ** 2, expected * weight), axis=(-2, -1)))


def errors_by_stratum(
    truth: NDArray[np.int64],
    answers: NDArray[np.int64],
    strata: NDArray[np.int64],
    *,
    groups: int,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> list[HomogeneityTest]:
    """Tests within each true group that a judge has the same error rates in all strata.

    The outcomes are right, wrong and abstained. Typical strata are sides of a stereotype, kinds of prompts,
    or baseline and debiased model. If the p-value of any group is small after Holm's adjustment over the
    groups, one matrix does not serve all strata: estimate one per stratum. With few anchors a large p-value
    is weak evidence.

    Args:
        truth: ``(n,)`` group indices of the anchors.
        answers: ``(n,)`` labels of the judge, ``groups`` where undetermined.
        strata: ``(n,)`` indices from 0.
        groups: Number of groups ``K``.
        rng: Random stream of simulated p-values.
        weights: ``(n,)`` inverse inclusion probability of each anchor; equal if ``None``. The probability
            must be constant within a stratum and label of the judge.
    """
    outcome = np.where(answers == groups, ABSTAINED, np.where(answers == truth, RIGHT, WRONG))
    size, tests = int(strata.max(initial=0)) + 1, []
    for group in range(groups):
        own = truth == group
        table = _sums(strata[own], outcome[own], size, None if weights is None else weights[own])
        if weights is None:
            tests.append(homogeneity(table, rng=rng))
        else:
            # The weight depends on the judge's label, so anchors of all true groups inform its typical value.
            likewise = np.where(answers == groups, ABSTAINED, np.where(answers == group, RIGHT, WRONG))
            typical = _typical(strata, likewise, size, weights)
            tests.append(weighed_homogeneity(table, typical, rng=rng))
    return tests


def _sums(
    strata: NDArray[np.int64], outcome: NDArray[np.int64], size: int, weights: FloatArray | None
) -> FloatArray:
    """Number of anchors, or sum of their weights, by stratum and outcome, ``(S, 3)``."""
    table = np.zeros((size, 3))
    np.add.at(table, (strata, outcome), 1.0 if weights is None else weights)
    return table


def _typical(
    strata: NDArray[np.int64], outcome: NDArray[np.int64], size: int, weights: FloatArray
) -> FloatArray:
    """Mean weight by stratum and outcome, ``(S, 3)``; where empty, that of the outcome or of all anchors."""
    count, total = _sums(strata, outcome, size, None), _sums(strata, outcome, size, weights)
    found, over = ratio(total, count), ratio(total.sum(axis=0), count.sum(axis=0))
    return np.where(np.isnan(found), np.where(np.isnan(over), weights.mean(), over), found)


class Discrepancy(NamedTuple):
    """Two corrections of the same shares.

    Attributes:
        inverted: ``(K,)`` shares by inversion of a given matrix.
        powered: ``(K,)`` shares by prediction-powered inference.
        difference: ``(K,)`` differences in combined standard errors; ``nan`` where neither has an error.
        p_value: Two-sided p-value of the largest difference, times ``K`` (Bonferroni), at most 1.
    """

    inverted: FloatArray
    powered: FloatArray
    difference: FloatArray
    p_value: float


def inversion_against_powered(
    matrix: FloatArray,
    draws: FloatArray,
    *,
    truth: NDArray[np.int64],
    answers: NDArray[np.int64],
    pool: FloatArray,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> Discrepancy:
    """Compares the inversion of a given matrix with prediction-powered inference on the same images.

    Prediction-powered inference (with power 1) adds the mean error of the labels of the anchors to the
    judge's shares; it makes no assumption on the judge. A difference beyond chance shows that the matrix does
    not hold for these images. Both use the judge's labels of the pool, so that these mostly cancel: the
    combined error is that of the matrix, and that of the anchors' mean error. The latter is at least what
    the matrix implies, so that a few anchors without an error are no evidence. If the anchors are part of
    those of the matrix, the test has less power.

    Args:
        matrix: ``(K, K + 1)`` confusion matrix.
        draws: ``(B, K, K + 1)`` matrices of resampled anchors.
        truth: ``(n,)`` group indices of anchors that are a random sample of the images.
        answers: ``(n,)`` the judge's labels of these anchors, ``K`` where undetermined.
        pool: ``(K + 1,)`` label counts of the other images; of all images if anchors are weighted.
        rng: Random stream of the resampled images.
        weights: ``(n,)`` inverse inclusion probability of each anchor; equal if ``None``.

    Raises:
        EvenhandError: There are fewer than two anchors.
    """
    groups, total = len(matrix), pool.sum()
    said = np.eye(groups + 1)[:, :groups]
    none = np.zeros((len(truth), groups))
    own = powered_mean(np.eye(groups)[truth] - said[answers], none, none, power=0, weights=weights)
    inverted = corrected_shares(pool[None, :groups], inverse_of(matrix))[0]
    again = rng.multinomial(round(total), pool / total, size=(len(draws), 1))[..., :groups].astype(float)
    errors = corrected_shares(again, inverse_of(draws))[:, 0] - again[:, 0] / total
    given = np.ones(len(truth)) if weights is None else weights
    size = given.sum() ** 2 / (given**2).sum()
    least = _error_variance(inverted, matrix) / size
    spread = np.nanvar(errors, axis=0, ddof=1) + np.maximum(own.error**2, least)
    powered = pool[:groups] / total + own.value
    difference = ratio(inverted - powered, np.sqrt(spread))
    p_value = float(np.nanmin(2 * norm.sf(np.abs(difference)), initial=1)) * groups
    return Discrepancy(inverted, powered, difference, min(p_value, 1.0))


def _error_variance(shares: FloatArray, matrix: FloatArray) -> FloatArray:
    """Variance ``(K,)`` of the truth's indicator minus the label's, which a matrix implies for an image."""
    true = np.clip(shares, 0, None)
    joint = (true / true.sum())[:, None] * matrix
    of_truth, of_label = joint.sum(axis=1), joint[:, :-1].sum(axis=0)
    return np.asarray(of_truth + of_label - 2 * joint.diagonal() - (of_truth - of_label) ** 2)


class ContextEffect(NamedTuple):
    """How often a judge gives different labels to the face crop and to the full image.

    Attributes:
        disagreement: ``(S,)`` share of differing labels in each stratum; ``nan`` without images.
        low: ``(S,)`` lower Wilson limits.
        high: ``(S,)`` upper Wilson limits.
        effect: Largest minus smallest disagreement over the strata.
        test: Test that the strata have the same disagreement.
    """

    disagreement: FloatArray
    low: FloatArray
    high: FloatArray
    effect: float
    test: HomogeneityTest


def context_effect(
    crop: NDArray[np.int64], full: NDArray[np.int64], strata: NDArray[np.int64], *, rng: np.random.Generator
) -> ContextEffect:
    """Whether the surroundings change the judge's labels more in some strata; needs no true labels.

    Args:
        crop: ``(n,)`` labels of the face crops; "undetermined" is one more code.
        full: ``(n,)`` labels of the full images.
        strata: ``(n,)`` indices from 0.
        rng: Random stream of a simulated p-value.

    Raises:
        EvenhandError: There is no image.
    """
    if not len(crop):
        raise EvenhandError("context effect needs at least 1 image, got 0; judge images as crop and in full")
    differ = crop != full
    n = np.bincount(strata)
    times = np.bincount(strata, weights=differ)
    low, high = wilson(times, n)
    share = np.divide(times, n, out=np.full(len(n), np.nan), where=n > 0)
    test = homogeneity(np.column_stack([n - times, times]), rng=rng)
    return ContextEffect(share, low, high, float(np.nanmax(share) - np.nanmin(share)), test)
