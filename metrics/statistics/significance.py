"""Tests of single occupations and of single images, and what many of them at once are worth.

All of these are descriptive beside the one primary metric (measurement.md 2.8).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, chisquare
from statsmodels.stats.contingency_tables import SquareTable, mcnemar

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import ALPHA, wilson

EXACT_DISCORDANT = 25
"""Below so many discordant pairs McNemar's test is the exact binomial one."""

EXPECTED = 5
"""Below so many expected images in a group the chi-square approximation is not used."""

MULTINOMIAL_DRAWS = 10_000
"""Random tables of the exact multinomial test."""


@dataclass(frozen=True)
class Flips:
    """How often an edit changes who is drawn, at one prompt and seed.

    Attributes:
        table: ``(K, K)`` images, by label before and after.
        changed: Share of the images whose label changes.
        low: Lower end of its 95 % Wilson interval.
        high: Upper end.
        n: Images decided on both sides.
        p: That as many change one way as the other; ``nan`` if none changes.
    """

    table: NDArray[np.int64]
    changed: float
    low: float
    high: float
    n: int
    p: float


def label_flips(before: NDArray[np.int64], after: NDArray[np.int64], groups: int) -> Flips:
    """McNemar's test on label flips of same-seed images; Stuart-Maxwell's for more than two groups.

    Two groups with under 25 flips are tested exactly. A change that goes both ways equally often leaves the
    shares as they are and is not significant: look at ``changed`` for how much is redrawn. Images count as
    independent. Source: McNemar 1947; Stuart 1955; Maxwell 1970; measurement.md 2.5.

    Args:
        before: ``(n,)`` group indices of the base; ``groups`` and above is undetermined.
        after: ``(n,)``, those of the same prompts and seeds under the method.
        groups: The ``K`` groups.
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
        return float(mcnemar(table, exact=moved < EXACT_DISCORDANT).pvalue)
    # A group that never flips says nothing, and makes the test's covariance singular.
    flipped = table - np.diag(np.diag(table))
    active = np.flatnonzero(flipped.sum(axis=0) + flipped.sum(axis=1))
    if len(active) == 2:
        return _symmetry(table[np.ix_(active, active)], moved)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        square = SquareTable(table[np.ix_(active, active)], shift_zeros=False)
        return float(square.homogeneity(method="stuart_maxwell").pvalue)


def share_test(counts: ArrayLike, target: FloatArray, *, rng: np.random.Generator) -> float:
    """p-value that images of one occupation follow the target.

    The exact binomial test for two groups; chi-square for more if every expected count reaches 5, else the
    exact multinomial test by 10,000 random tables ordered by chi-square. Images count as independent: where
    they cluster by template it rejects too often. No image gives ``nan``. Source: measurement.md 2.8.

    Args:
        counts: ``(K,)`` decided images.
        target: ``(K,)`` shares.
        rng: Random stream of the multinomial test.

    Raises:
        EvenhandError: The target gives a group nothing.
    """
    counts = np.asarray(counts, int)
    n = int(counts.sum())
    if (target <= 0).any():
        raise EvenhandError(f"target {target.tolist()} gives a group nothing; drop that group and flag it")
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
    """Benjamini-Hochberg adjusted p-values; missing ones stay missing and do not count.

    ``min_{j >= i} m p_(j) / j``: flagging those at most 5 % keeps the expected share of false flags at 5 %.
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
        p: Of :func:`share_test`.
        p_adjusted: Adjusted over all occupations and attributes of the model.
        flagged: Whether it is at most 5 %.
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

    The family of tests is occupations x attributes (measurement.md 2.8). A judge's error is not in it: use
    labels of a judge that may be taken at its word, or say so.

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
