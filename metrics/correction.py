"""What a judge's own errors do to shares, and how to take them out.

A judge with confusion matrix ``M[y][j] = P(label j | truth y)`` sees ``c = transpose(M) pi`` where the truth
is ``pi``. Uncorrected, a noisy judge makes good methods look worse and bad methods look better, and more
pictures do not help (measurement.md 3.14). Matrices are rectangular, ``(K, K + 1)``: the last column is
"undetermined", because judges and face detectors abstain more often on some groups.

Every correction here works on the decided pictures and then weighs each group by how often the judge
abstains on it. Fitting the abstain column itself (least squares on ``K + 1`` columns) would let a method that
draws more unreadable pictures than the anchors look *fairer*: the unexplained abstentions are spread evenly
over the groups.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray, by_group, shares_of
from evenhand.metrics.uncertainty import ALPHA

SINGULAR = 1e6
"""Condition number from which a resampled matrix is taken as singular."""

EM_TOLERANCE = 1e-12
EM_STEPS = 10_000


class Inverted(NamedTuple):
    """Corrected shares of decided pictures.

    Attributes:
        shares: ``(..., R, K)``, unbiased given the matrix, summing to one; may leave the simplex.
        noise: ``(..., R)``, trace of their covariance due to finite pictures.
        depicted: ``(..., R)``, pictures showing somebody per decided picture, ``1 / P(decided)``.
    """

    shares: FloatArray
    noise: FloatArray
    depicted: FloatArray


def inverse_of(matrix: FloatArray) -> FloatArray:
    """Inverses ``(..., K, K)`` of confusion matrices ``(..., K, K + 1)`` without their abstain column.

    A singular matrix, which resampled anchors may give, becomes ``nan``.
    """
    square = matrix[..., :-1]
    singular = (np.linalg.cond(square) > SINGULAR)[..., None, None]
    inverse = np.linalg.inv(np.where(singular, np.eye(square.shape[-1]), square))
    return np.asarray(np.where(singular, np.nan, inverse))


def invert(counts: FloatArray, inverse: FloatArray) -> Inverted:
    """Adjusted classify and count: ``pi`` proportional to ``c inverse(M)``, ``M`` without its abstain column.

    Linear, and exactly unbiased given ``M``, when the judge abstains equally often on every group; otherwise
    the division by the sum is a ratio of two linear estimates, with a bias of order ``1/n``. The noise is
    ``trace(J Cov(c) transpose(J))`` with the ratio's derivative ``J``; ``J c = 0`` leaves one term of it.
    Source: measurement.md 3.3.1; Forman 2008 (ACC).

    Args:
        counts: ``(..., R, K)`` decided labels.
        inverse: ``(K, K)``, or ``(B, K, K)`` for ``counts`` of shape ``(B, R, K)``; see :func:`inverse_of`.
    """
    observed = shares_of(counts)
    masses = by_group(observed @ inverse)
    depicted = masses.sum(axis=-1)
    shares = masses / depicted[..., None]
    reach = inverse.sum(axis=-1, keepdims=True)
    length = (observed @ (inverse**2).sum(axis=-1, keepdims=True))[..., 0]
    along = (by_group(observed @ (reach * inverse)) * shares).sum(axis=-1)
    across = (observed @ reach**2)[..., 0] * (shares**2).sum(axis=-1)
    n = counts.sum(axis=-1)
    noise = (length - 2 * along + across) / (depicted**2 * np.where(n >= 2, n - 1, np.nan))
    return Inverted(shares, noise, depicted)


def seen_by_judge(truth: FloatArray, matrix: FloatArray) -> FloatArray:
    """Label shares ``(K,)`` among decided pictures when the truth is ``truth``: the forward model."""
    seen = truth @ matrix[..., :-1]
    return np.asarray(seen / seen.sum(axis=-1, keepdims=True))


def likeliest_shares(counts: FloatArray, matrix: FloatArray) -> FloatArray:
    """Maximum-likelihood shares on the simplex, the ones to display, ``(R, K)``.

    Where :func:`invert` stays on the simplex its shares are the likeliest already; EM finds the others.

    Args:
        counts: ``(R, K)`` decided labels.
        matrix: ``(K, K + 1)``.
    """
    shares = invert(counts, inverse_of(matrix)).shares
    outside = (shares < 0).any(axis=-1)
    decided = matrix[:, :-1].sum(axis=-1)
    found = em_shares(shares_of(counts[outside]), matrix[:, :-1] / decided[:, None]) / decided
    shares[outside] = found / found.sum(axis=-1, keepdims=True)
    return shares


def em_shares(observed: FloatArray, matrix: FloatArray) -> FloatArray:
    """Maximum-likelihood ``pi`` of ``c = transpose(M) pi`` on the simplex (Richardson-Lucy, EM).

    ``pi_y <- pi_y sum_j M[y][j] c_j / (sum_y' pi_y' M[y'][j])`` from uniform until no share moves. Works for
    any ``(K, J)``, such as the joint answer of two judges as one set of columns. An observed label that the
    anchors never showed is left out. Source: measurement.md 3.3.5.

    Args:
        observed: ``(..., J)`` shares; rows of ``nan`` stay ``nan``.
        matrix: ``(K, J)``.
    """
    pi = np.full((*observed.shape[:-1], len(matrix)), 1 / len(matrix))
    pi = np.where(np.isnan(observed).any(axis=-1, keepdims=True), np.nan, pi)
    for _ in range(EM_STEPS):
        expected = pi @ matrix
        ratio = np.divide(observed, expected, out=np.zeros_like(expected), where=expected > 0)
        new = pi * (ratio @ matrix.T)
        new /= new.sum(axis=-1, keepdims=True)
        moved = np.abs(new - pi)
        pi = new
        if not (moved > EM_TOLERANCE).any():
            break
    return pi


def project_simplex(values: FloatArray) -> FloatArray:
    """Euclidean projection ``(..., K)`` onto the probability simplex. Source: measurement.md 3.3.3."""
    descending = -np.sort(-values, axis=-1)
    excess = (np.cumsum(descending, axis=-1) - 1) / np.arange(1, values.shape[-1] + 1)
    last = np.maximum((descending > excess).sum(axis=-1, keepdims=True) - 1, 0)
    return np.maximum(values - np.take_along_axis(excess, last, axis=-1), 0)


class RoganGladen(NamedTuple):
    """Corrected share of one group: ``value`` and its 95 % interval, clipped to [0, 1]; variance; a flag."""

    value: FloatArray
    low: FloatArray
    high: FloatArray
    variance: FloatArray
    clipped: ArrayLike


def rogan_gladen(
    observed: ArrayLike,
    n: ArrayLike,
    *,
    sensitivity: ArrayLike,
    positives: ArrayLike,
    specificity: ArrayLike,
    negatives: ArrayLike,
) -> RoganGladen:
    """``pi = (c + sp - 1) / (se + sp - 1)`` with the sampling error of pictures and anchors.

    ``Var = [c (1 - c) / N + pi^2 se (1 - se) / n1 + (1 - pi)^2 sp (1 - sp) / n0] / (se + sp - 1)^2``.
    It is the inversion for two groups. Source: Rogan and Gladen 1978; measurement.md 3.2.

    Args:
        observed: Share that the judge calls positive.
        n: Pictures.
        sensitivity: Share of positive anchors called positive.
        positives: Positive anchors.
        specificity: Share of negative anchors called negative.
        negatives: Negative anchors.

    Raises:
        EvenhandError: The judge is no better than chance (``se + sp <= 1``).
    """
    c, se, sp = (np.asarray(part, float) for part in (observed, sensitivity, specificity))
    slope = se + sp - 1
    if (slope <= 0).any():
        raise EvenhandError(
            f"sensitivity {se} plus specificity {sp} is at most 1: the judge is no better than chance; "
            "use another judge"
        )
    pi = (c + sp - 1) / slope
    pictures = c * (1 - c) / np.asarray(n, float)
    anchors = pi**2 * se * (1 - se) / np.asarray(positives, float)
    anchors = anchors + (1 - pi) ** 2 * sp * (1 - sp) / np.asarray(negatives, float)
    variance = (pictures + anchors) / slope**2
    reach = norm.ppf(1 - ALPHA / 2) * np.sqrt(variance)
    value, low, high = (np.clip(part, 0, 1) for part in (pi, pi - reach, pi + reach))
    return RoganGladen(value, low, high, variance, (pi < 0) | (pi > 1))


def cleam_point(mean: ArrayLike, *, alpha_0: float, alpha_1: float) -> FloatArray:
    """CLEAM's point estimate of the share of class 0, ``(mu - (1 - alpha_1)) / (alpha_0 + alpha_1 - 1)``.

    It is Rogan-Gladen under another name, offered for comparability. CLEAM's interval is not: it redraws its
    batches from one pool and takes the accuracies as known, and covers 20 to 75 % at nominal 95 %.
    Source: Teo, Abdollahzadeh and Cheung, arXiv 2310.19297.
    """
    return np.asarray((np.asarray(mean, float) - (1 - alpha_1)) / (alpha_0 + alpha_1 - 1))
