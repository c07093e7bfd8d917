"""Association tests on embeddings: WEAT on texts, iEAT on images, T2IAT on generated ones.

Two sets of targets (images of women and of men) and two sets of attributes (science and arts words): does
the encoder place the first targets nearer to the first attributes? It audits the judge's own embedding, in
which the occupation may already carry a gender (measurement.md 1.16).
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
from scipy.stats import permutation_test

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray

PERMUTATIONS = 10_000
"""Partitions of the targets that are tried; all of them if there are no more."""


class AssociationTest(NamedTuple):
    """Effect size, one-sided permutation p-value, and whether all partitions were tried."""

    effect: float
    p: float
    exact: bool


def differential_association(
    targets: FloatArray, *, first_attributes: FloatArray, second_attributes: FloatArray
) -> FloatArray:
    """``s(x) = mean cos(x, A) - mean cos(x, B)`` of every target; -2 to 2, above 0 is nearer to ``A``.

    T2IAT's association is the same with images of attribute prompts as ``A`` and ``B``.

    Args:
        targets: ``(n, d)``.
        first_attributes: ``(a, d)``.
        second_attributes: ``(b, d)``.

    Returns:
        ``(n,)``.
    """
    units = _unit(targets)
    toward, away = (units @ _unit(each).mean(axis=0) for each in (first_attributes, second_attributes))
    return np.asarray(toward - away)


def association_test(
    first_targets: FloatArray,
    second_targets: FloatArray,
    *,
    first_attributes: FloatArray,
    second_attributes: FloatArray,
    rng: np.random.Generator,
) -> AssociationTest:
    """Effect size ``d = (mean_X s - mean_Y s) / std of s over X and Y`` and its permutation test.

    ``d`` is -2 to 2 for sets of equal size, 0 is no association; the standard deviation divides by ``n - 1``.
    The p-value is the share of partitions of the targets whose mean difference reaches the one seen. A large
    ``d`` says how cleanly two sets separate, not how far apart they are; it depends on the words chosen.
    Source: Caliskan et al., arXiv 1608.07187; Steed and Caliskan, arXiv 2010.15052 (iEAT).

    Args:
        first_targets: ``(n, d)`` embeddings, ``X``.
        second_targets: ``(m, d)``, ``Y``.
        first_attributes: ``(a, d)``, ``A``.
        second_attributes: ``(b, d)``, ``B``.
        rng: Random stream, used if there are more partitions than are tried.

    Raises:
        EvenhandError: A set of targets has fewer than two members.
    """
    sides = [
        differential_association(each, first_attributes=first_attributes, second_attributes=second_attributes)
        for each in (first_targets, second_targets)
    ]
    if min(map(len, sides)) < 2:
        raise EvenhandError(
            f"targets of {len(sides[0])} and {len(sides[1])}; an association test needs two of each"
        )
    exact = comb(sum(map(len, sides)), len(sides[0])) <= PERMUTATIONS
    spread = np.concatenate(sides).std(ddof=1)
    found = permutation_test(
        sides,
        _difference,
        vectorized=True,
        n_resamples=PERMUTATIONS,
        alternative="greater",
        random_state=rng,
    )
    effect = _difference(sides[0], sides[1], axis=0) / spread
    return AssociationTest(float(effect), float(found.pvalue), exact)


def _difference(first: FloatArray, second: FloatArray, axis: int) -> FloatArray:
    return np.asarray(first.mean(axis=axis) - second.mean(axis=axis))


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
