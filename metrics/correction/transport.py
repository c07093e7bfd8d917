"""Tests of transportability: does a judge make the same errors on anchors and on audited images?

A confusion matrix measured on some images is valid for others only if ``P(label | truth)`` is the same on
both. This fails if the judge uses the context: for a judge that labels a woman mechanic as a man, every
matrix from portraits is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2_contingency, random_table

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.calibration import confusion_matrix
from evenhand.metrics.correction.correction import corrected_shares, inverse_of
from evenhand.metrics.correction.prediction_powered import powered_mean
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.statistics.uncertainty import wilson

SMALL_EXPECTED = 5.0
"""Below this expected count, p-values come from simulated tables instead of the chi-square distribution."""

TABLES = 9_999
"""Simulated tables for a p-value."""

LARGEST_DISCREPANCY = 2.0
"""Largest accepted difference of inverted and prediction-powered shares, in combined standard errors."""

RIGHT, WRONG, ABSTAINED = range(3)


class HomogeneityTest(NamedTuple):
    """Test that strata have the same distribution of outcomes.

    Attributes:
        table: ``(S, C)`` counts, strata by outcome.
        statistic: Pearson's chi-square.
        freedom: Degrees of freedom; 0 if there is nothing to compare.
        p_value: From the chi-square distribution, or from simulated tables if an expected count is below 5 or
            the counts are weighted; ``nan`` if there is nothing to compare.
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
    if found.expected_freq.min() < SMALL_EXPECTED:
        drawn = random_table(kept.sum(axis=1), kept.sum(axis=0), seed=rng).rvs(size=TABLES)
        simulated = ((drawn - found.expected_freq) ** 2 / found.expected_freq).sum(axis=(1, 2))
        p_value = float((1 + (simulated >= found.statistic - 1e-9).sum()) / (1 + TABLES))
    return HomogeneityTest(np.asarray(counts, float), float(found.statistic), int(found.dof), p_value)


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
        inverted: ``(K,)`` shares by inversion of the matrix of all anchors.
        powered: ``(K,)`` shares by prediction-powered inference within the stratum.
        difference: ``(K,)`` differences in combined standard errors.
        failed: Whether a difference exceeds 2, so that the matrix does not hold in this stratum.
    """

    inverted: FloatArray
    powered: FloatArray
    difference: FloatArray
    failed: bool


def inversion_against_powered(
    counts: FloatArray,
    draws: FloatArray,
    *,
    truth: NDArray[np.int64],
    answers: NDArray[np.int64],
    pool: FloatArray,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> Discrepancy:
    """Compares the inversion of a given matrix with prediction-powered inference in one stratum.

    Prediction-powered inference makes no assumption on the judge, so a difference beyond chance shows that
    the matrix does not hold. The two errors are treated as independent. If the stratum's anchors are part of
    ``counts``, the true error is smaller and the test has less power.

    Args:
        counts: ``(K, K + 1)`` confusion counts of all anchors.
        draws: ``(B, K, K + 1)`` matrices of resampled anchors.
        truth: ``(n,)`` group indices of the stratum's anchors, a random sample of the stratum.
        answers: ``(n,)`` the judge's labels of these anchors, ``K`` where undetermined.
        pool: ``(K + 1,)`` label counts of the stratum's other images.
        rng: Random stream of the resampled images.
        weights: ``(n,)`` inverse inclusion probability of each anchor; equal if ``None``.
    """
    groups = len(counts)
    inverse = inverse_of(confusion_matrix(counts))
    decided = pool[:groups]
    found = corrected_shares(decided[None], inverse)[0]
    again = corrected_shares(np.broadcast_to(decided, (len(draws), 1, groups)), inverse_of(draws))[:, 0]
    resampled = rng.multinomial(int(decided.sum()), decided / decided.sum(), size=(len(draws), 1))
    images = corrected_shares(resampled.astype(float), inverse)[:, 0]
    spread = np.nanvar(again, axis=0, ddof=1) + np.nanvar(images, axis=0, ddof=1)
    said = np.eye(groups + 1)[:, :groups]
    own = powered_mean(
        np.eye(groups)[truth], said[answers], np.repeat(said, pool.astype(int), axis=0), weights=weights
    )
    difference = (found - own.value) / np.sqrt(spread + own.error**2)
    failed = bool((np.abs(difference) > LARGEST_DISCREPANCY).any())
    return Discrepancy(found, own.value, difference, failed)


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
