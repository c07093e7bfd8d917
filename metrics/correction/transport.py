"""Whether a judge errs alike on anchors and audited images, so that its matrix may be carried over.

A matrix measured on some images is right for others only if ``P(judge | truth)`` is the same on both. It is
not where the judge reads the context: a judge that calls a woman mechanic a man makes any matrix from
portraits wrong (measurement.md 3.9).
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
"""Below this expected count the chi-square law is not trusted and p-values are simulated."""

TABLES = 9_999
"""Simulated tables of a p-value."""

LARGEST_DISCREPANCY = 2.0
"""Combined standard errors by which inversion and prediction-powered shares may differ."""

RIGHT, WRONG, ABSTAINED = range(3)


class HomogeneityTest(NamedTuple):
    """A test that strata behave alike.

    Attributes:
        table: ``(S, C)`` counts, strata by outcome.
        statistic: Pearson's chi-square.
        freedom: Degrees of freedom; 0 where there is nothing to compare.
        p_value: From the chi-square law, or from simulated tables of the same margins where a count of under
            5 is expected or the counts are no whole numbers; ``nan`` where there is nothing to compare.
    """

    table: FloatArray
    statistic: float
    freedom: int
    p_value: float


def homogeneity(table: ArrayLike, *, rng: np.random.Generator) -> HomogeneityTest:
    """Chi-square test that the rows of ``(S, C)`` counts have the same law; empty ones are left out.

    Args:
        table: Whole counts.
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
    """The same for anchors that were chosen with unequal chances, which differ between strata and outcomes.

    Of an outcome's images in a stratum, ``W q`` of the pool, about ``W q / r`` come to be anchors of weight
    ``r``, a Poisson number. So the statistic is ``sum (w - W q)^2 / (W q r)`` with the pooled shares ``q``,
    Pearson's where all weights are equal, and its law is that of tables drawn so. An outcome that by chance
    has no anchor in a stratum counts with the weight that it would have had.

    Args:
        weights: ``(S, C)`` sums of the weights ``1 / probability``.
        typical: ``(S, C)`` weight ``r`` of an anchor, above 0.
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
    """The statistic of tables ``(..., S, C)``; what does not occur adds nothing."""
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
    """Whether a judge errs alike in all strata, one test within each true group.

    The outcomes are right, wrong and abstained; the strata are sides of a stereotype, kinds of prompts, or
    the base model against a debiased one. A small p-value in any group, after Holm's adjustment over the
    groups, says that one matrix does not serve all strata: estimate one for each. A large one says little
    where anchors are few. Source: measurement.md 3.9.

    Args:
        truth: ``(n,)`` group indices of the anchors.
        answers: ``(n,)`` what the judge said, ``groups`` where it abstained.
        strata: ``(n,)`` indices from 0.
        groups: Number of groups ``K``.
        rng: Random stream of simulated p-values.
        weights: ``(n,)``, the inverse of each anchor's chance of being chosen; equal if ``None``. Strata must
            not part what was chosen together: chances may depend on the stratum and on the judge's answer.
    """
    outcome = np.where(answers == groups, ABSTAINED, np.where(answers == truth, RIGHT, WRONG))
    size, tests = int(strata.max(initial=0)) + 1, []
    for group in range(groups):
        own = truth == group
        table = _sums(strata[own], outcome[own], size, None if weights is None else weights[own])
        if weights is None:
            tests.append(homogeneity(table, rng=rng))
        else:
            # What an outcome's anchors weigh shows in all anchors of its answers, whatever they truly show.
            likewise = np.where(answers == groups, ABSTAINED, np.where(answers == group, RIGHT, WRONG))
            typical = _typical(strata, likewise, size, weights)
            tests.append(weighed_homogeneity(table, typical, rng=rng))
    return tests


def _sums(
    strata: NDArray[np.int64], outcome: NDArray[np.int64], size: int, weights: FloatArray | None
) -> FloatArray:
    """Anchors, or their weights, by stratum and outcome, ``(S, 3)``."""
    table = np.zeros((size, 3))
    np.add.at(table, (strata, outcome), 1.0 if weights is None else weights)
    return table


def _typical(
    strata: NDArray[np.int64], outcome: NDArray[np.int64], size: int, weights: FloatArray
) -> FloatArray:
    """Mean weight by stratum and outcome, ``(S, 3)``: of the outcome or of all, where a stratum has none."""
    count, total = _sums(strata, outcome, size, None), _sums(strata, outcome, size, weights)
    found, over = ratio(total, count), ratio(total.sum(axis=0), count.sum(axis=0))
    return np.where(np.isnan(found), np.where(np.isnan(over), weights.mean(), over), found)


class Discrepancy(NamedTuple):
    """Two corrections of the same shares.

    Attributes:
        inverted: ``(K,)`` by the matrix of all anchors.
        powered: ``(K,)`` by prediction-powered inference within the stratum.
        difference: ``(K,)`` in combined standard errors.
        failed: Whether a difference is above 2: the matrix does not hold in this stratum.
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
    """Inversion with a matrix from elsewhere, against anchors of the stratum itself.

    Prediction-powered inference supposes nothing about the judge, so a difference beyond chance is the
    matrix's fault. Errors are taken as independent; where the stratum's anchors are part of ``counts`` the
    true error is smaller and the test misses more. Source: measurement.md 3.9.

    Args:
        counts: ``(K, K + 1)`` confusion counts of all anchors.
        draws: ``(B, K, K + 1)`` the same resampled, as matrices.
        truth: ``(n,)`` group indices of the stratum's anchors, chosen at random in it.
        answers: ``(n,)`` what the judge said of them, ``K`` where it abstained.
        pool: ``(K + 1,)`` labels of the stratum's other images.
        rng: Random stream of the images' scatter.
        weights: ``(n,)``, the inverse of each anchor's chance of being chosen; equal if ``None``.
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
    """How often a judge contradicts itself between the face crop and the full image.

    Attributes:
        disagreement: ``(S,)`` shares of each stratum; ``nan`` for none.
        low: ``(S,)`` lower Wilson limits.
        high: ``(S,)`` upper Wilson limits.
        effect: Largest less smallest disagreement: what the context does, and to whom.
        test: Whether strata differ.
    """

    disagreement: FloatArray
    low: FloatArray
    high: FloatArray
    effect: float
    test: HomogeneityTest


def context_effect(
    crop: NDArray[np.int64], full: NDArray[np.int64], strata: NDArray[np.int64], *, rng: np.random.Generator
) -> ContextEffect:
    """Whether the surroundings move the judge in some strata more than in others; needs no true labels.

    Source: measurement.md 3.9.

    Args:
        crop: ``(n,)`` answers on the face crops, abstaining being one more code.
        full: ``(n,)`` answers on the full images.
        strata: ``(n,)`` indices from 0.
        rng: Random stream of a simulated p-value.

    Raises:
        EvenhandError: There is no image.
    """
    if not len(crop):
        raise EvenhandError("context effect got 0 images; judge some as crop and in full")
    differ = crop != full
    n = np.bincount(strata)
    times = np.bincount(strata, weights=differ)
    low, high = wilson(times, n)
    share = np.divide(times, n, out=np.full(len(n), np.nan), where=n > 0)
    test = homogeneity(np.column_stack([n - times, times]), rng=rng)
    return ContextEffect(share, low, high, float(np.nanmax(share) - np.nanmin(share)), test)
