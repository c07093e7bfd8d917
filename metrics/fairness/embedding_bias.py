"""Bias of an embedding itself: association tests (WEAT, iEAT, T2IAT) and skew of retrieval results.

Use these functions to audit a judge's encoder. :func:`association_test` takes two sets of targets (images of
women and of men) and two sets of attributes (science and arts words) and asks whether the first targets lie
nearer to the first attributes. :func:`max_skew` and :func:`ndkl` take the images of a labelled collection,
ranked by their similarity to a text such as "a photo of a kind person".
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray, kl_divergence, shares_of

PERMUTATIONS = 10_000
"""Partitions of the targets that the permutation test draws; it tries all of them if there are fewer."""


class AssociationTest(NamedTuple):
    """Effect size, one-sided permutation p-value, and whether the test tried every partition."""

    effect: float
    p: float
    exact: bool


def differential_association(
    targets: FloatArray, *, first_attributes: FloatArray, second_attributes: FloatArray
) -> FloatArray:
    """``s(x) = mean cos(x, A) - mean cos(x, B)`` of every target ``x``; above 0 is nearer to ``A``.

    Range -2 to 2. T2IAT (arXiv 2306.00905) uses the same association with images of attribute prompts as
    ``A`` and ``B``.

    Args:
        targets: ``(n, d)`` embeddings.
        first_attributes: ``(a, d)`` embeddings, ``A``.
        second_attributes: ``(b, d)`` embeddings, ``B``.

    Returns:
        ``(n,)`` associations.
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

    ``d`` ranges from -2 to 2 for sets of equal size; 0 means no association. The standard deviation divides
    by ``n - 1``. The p-value is the share of partitions of the targets whose mean difference reaches the
    observed one. ``d`` measures how cleanly the two sets separate, not how far apart they lie, and depends on
    the chosen words. Source: Caliskan et al., arXiv 1608.07187 (WEAT); Steed and Caliskan, arXiv 2010.15052
    (iEAT).

    Args:
        first_targets: ``(n, d)`` embeddings, ``X``.
        second_targets: ``(m, d)`` embeddings, ``Y``.
        first_attributes: ``(a, d)`` embeddings, ``A``.
        second_attributes: ``(b, d)`` embeddings, ``B``.
        rng: Random stream, used if there are more than :data:`PERMUTATIONS` partitions.

    Raises:
        EvenhandError: A set of targets has fewer than two members.
    """
    sides = [
        differential_association(each, first_attributes=first_attributes, second_attributes=second_attributes)
        for each in (first_targets, second_targets)
    ]
    if min(map(len, sides)) < 2:
        raise EvenhandError(
            "an association test needs at least 2 targets on each side, "
            f"got {len(sides[0])} and {len(sides[1])}"
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


def max_skew(ranked: NDArray[np.int64], target: FloatArray, *, k: int) -> float:
    """``MaxSkew@k = max_g ln(share of g in the top k / q_g)``; 0 is fair, lower is better.

    The maximum is ``-ln min q``. A group without an image in the top ``k`` counts as one image, as in the
    released code, so that the logarithm is defined. Only the most favoured group determines the value.
    Source: Berg et al., arXiv 2203.11933, code.

    Args:
        ranked: ``(n,)`` group indices of the images, best match first.
        target: ``(K,)`` shares in the whole collection, all positive.
        k: Number of top images to look at.

    Raises:
        EvenhandError: The ranking is shorter than ``k``, or a target share is 0.
    """
    _check(ranked, target, k)
    counts = np.bincount(ranked[:k], minlength=len(target))
    return float(np.log(np.maximum(counts, 1) / k / target).max())


def ndkl(ranked: NDArray[np.int64], target: FloatArray) -> float:
    """``NDKL = (1/Z) sum_i KL(top-i shares || q) / log2(i + 1)``, ``Z = sum_i 1 / log2(i + 1)``, in nats.

    Lower is better; top ranks have the largest weight. A fair ranking does not score 0, because the top 1 is
    a single image: compare with shuffled rankings. Source: Geyik et al., arXiv 1905.01989; Berg et al.,
    arXiv 2203.11933, code.

    Args:
        ranked: ``(n,)`` group indices of the images, best match first.
        target: ``(K,)`` shares in the whole collection, all positive.
    """
    _check(ranked, target, 1)
    tops = shares_of(np.cumsum(np.eye(len(target))[ranked], axis=0))
    discount = 1 / np.log2(np.arange(2, len(ranked) + 2))
    return float((discount * kl_divergence(tops, target)).sum() / discount.sum())


def _check(ranked: NDArray[np.int64], target: FloatArray, k: int) -> None:
    if not 1 <= k <= len(ranked):
        raise EvenhandError(f"k must be between 1 and {len(ranked)} (the number of ranked images), got {k}")
    if (target <= 0).any():
        raise EvenhandError(
            f"target shares must be positive, got {target.tolist()}; remove groups that the collection lacks"
        )
