"""Tests of single occupations and of same-seed images, with corrections for multiple testing.

These tests are descriptive; claims about methods rest on the one primary metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, binomtest, chi2, chisquare

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import ALPHA, wilson

EXACT_DISCORDANT = 25
"""Below this number of discordant pairs, McNemar's test uses the exact binomial distribution."""

EXPECTED = 5
"""Below this expected number of images in a group, the chi-square approximation is not used."""

MULTINOMIAL_DRAWS = 10_000
"""Random tables of the exact multinomial test."""


@dataclass(frozen=True)
class Flips:
    """How often an edit changes the depicted group at the same prompt and seed.

    Attributes:
        table: ``(K, K)`` images by label before and after.
        changed: Share of images whose label changes.
        low: Lower end of the 95 % Wilson interval of ``changed``.
        high: Upper end of that interval.
        n: Images decided on both sides.
        p: p-value of the hypothesis that changes in both directions are equally frequent; ``nan`` without
            changes.
    """

    table: NDArray[np.int64]
    changed: float
    low: float
    high: float
    n: int
    p: float


def label_flips(before: NDArray[np.int64], after: NDArray[np.int64], groups: int) -> Flips:
    """McNemar's test on label flips of same-seed images; Stuart-Maxwell's for more than two groups.

    Two groups with fewer than 25 flips are tested exactly. Flips that are equally frequent in both directions
    leave the shares unchanged and are not significant; ``changed`` shows how many images change. Images count
    as independent. Source: McNemar 1947; Stuart 1955; Maxwell 1970.

    Args:
        before: ``(n,)`` group indices of the baseline; ``groups`` and above is undetermined.
        after: ``(n,)`` group indices of the same prompts and seeds under the method.
        groups: Number of groups ``K``.
    """
    both = (before < groups) & (after < groups)
    table = np.zeros((groups, groups), np.int64)
    np.add.at(table, (before[both], after[both]), 1)
    n, moved = int(table.sum()), int(table.sum() - np.trace(table))
    low, high = wilson(moved, n)
    changed = moved / n if n else float("nan")
    return Flips(table, changed, float(low), float(high), n, _symmetry(table, moved))


def _symmetry(table: NDArray[np.int64], moved: int) -> float:
    if moved == 0:
        return float("nan")
    if len(table) == 2:
        return _mcnemar(int(table[0, 1]), int(table[1, 0]))
    flipped = table - np.diag(np.diag(table))
    active = np.flatnonzero(flipped.sum(axis=0) + flipped.sum(axis=1))
    if len(active) == 2:
        return _symmetry(table[np.ix_(active, active)], moved)
    return _stuart_maxwell(table)


def _mcnemar(there: int, back: int) -> float:
    """p-value of as many flips in one direction as in the other; above 25 with continuity correction."""
    moved = there + back
    if moved < EXACT_DISCORDANT:
        return min(1.0, 2 * float(binom.cdf(min(there, back), moved, 0.5)))
    return float(chi2.sf((abs(there - back) - 1) ** 2 / moved, 1))


def _stuart_maxwell(table: NDArray[np.int64]) -> float:
    """p-value of equal margins, by ``d' V^+ d`` of their differences ``d`` and the covariance ``V`` of these.

    ``V`` loses one rank, and the test one degree of freedom, for each part of the groups that no flips leave.
    """
    before, after = table.sum(axis=1), table.sum(axis=0)
    covariance = np.diag(before + after) - table - table.T
    distance = (after - before) @ np.linalg.pinv(covariance, hermitian=True) @ (after - before)
    return float(chi2.sf(distance, np.linalg.matrix_rank(covariance, hermitian=True)))


def share_test(counts: ArrayLike, target: FloatArray, *, rng: np.random.Generator) -> float:
    """p-value of the hypothesis that the images of one occupation follow the target.

    Two groups: exact binomial test. More groups: chi-square test if every expected count is at least 5, else
    a Monte Carlo multinomial test with 10,000 tables ordered by chi-square. Images count as independent; if
    they cluster by template, the test rejects too often. ``nan`` without images.

    Args:
        counts: ``(K,)`` decided images.
        target: ``(K,)`` shares.
        rng: Random stream of the multinomial test.

    Raises:
        EvenhandError: A target share is 0.
    """
    counts = np.asarray(counts, int)
    n = int(counts.sum())
    if (target <= 0).any():
        raise EvenhandError(f"target shares must be positive, got {target.tolist()}; drop that group")
    if n == 0:
        return float("nan")
    if len(counts) == 2:
        return float(binomtest(int(counts[0]), n, float(target[0])).pvalue)
    expected = n * target
    if expected.min() >= EXPECTED:
        return float(chisquare(counts, expected).pvalue)
    tables = rng.multinomial(n, target, size=MULTINOMIAL_DRAWS)
    drawn, seen = (((one - expected) ** 2 / expected).sum(axis=-1) for one in (tables, counts))
    return float((1 + (drawn >= seen - 1e-9).sum()) / (1 + MULTINOMIAL_DRAWS))


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Benjamini-Hochberg adjusted p-values, ``min_{j >= i} m p_(j) / j``; missing values stay missing.

    Flagging adjusted values of at most 5 % controls the false discovery rate at 5 %.
    Source: Benjamini and Hochberg 1995.
    """
    order = np.argsort(p_values, kind="stable")[: int(np.isfinite(p_values).sum())]
    steps = len(order) * p_values[order] / np.arange(1, len(order) + 1)
    adjusted = np.full(len(p_values), np.nan)
    adjusted[order] = np.minimum.accumulate(steps[::-1])[::-1]
    return adjusted


@dataclass(frozen=True)
class Flag:
    """Whether one occupation deviates from its target under one attribute.

    Attributes:
        concept: The occupation.
        attributes: Attribute or joint attribute.
        n: Decided images.
        p: p-value of :func:`share_test`.
        p_adjusted: p-value adjusted over all occupations and attributes of the model.
        flagged: Whether the adjusted p-value is at most 5 %.
    """

    concept: str
    attributes: str
    n: int
    p: float
    p_adjusted: float
    flagged: bool


def flag_concepts(
    counts: Mapping[str, ArrayLike],
    targets: Mapping[str, FloatArray],
    *,
    concepts: Sequence[str],
    rng: np.random.Generator,
) -> list[Flag]:
    """Occupations that deviate from their target, at a false discovery rate of 5 % within one model.

    The family of tests is occupations x attributes. The tests ignore the judge's errors: use labels of an
    accurate judge, or report that the labels are uncorrected.

    Args:
        counts: Attribute to ``(O, K)`` decided images.
        targets: Attribute to ``(K,)`` or ``(O, K)`` shares.
        concepts: The ``O`` occupations.
        rng: Random stream.
    """
    named = [
        (concept, name, np.asarray(table)[row], np.broadcast_to(targets[name], np.shape(table))[row])
        for name, table in counts.items()
        for row, concept in enumerate(concepts)
    ]
    p_values = np.array([share_test(seen, target, rng=rng) for _, _, seen, target in named])
    return [
        Flag(concept, name, int(seen.sum()), float(p), float(adjusted), bool(adjusted <= ALPHA))
        for (concept, name, seen, _), p, adjusted in zip(
            named, p_values, benjamini_hochberg(p_values), strict=True
        )
    ]
