"""What a judge's own errors do to shares, and how to take them out.

A judge with confusion matrix ``M[y][j] = P(label j | truth y)`` sees ``c = transpose(M) pi`` where the truth
is ``pi``. Uncorrected, a noisy judge makes good methods look worse and bad methods look better, and more
images do not help (measurement.md 3.14). Matrices are rectangular, ``(K, K + 1)``: the last column is
"undetermined", because judges and face detectors abstain more often on some groups.

Every correction here works on the decided images and then weighs each group by how often the judge
abstains on it. Fitting the abstain column itself (least squares on ``K + 1`` columns) would let a method that
draws more unreadable images than the anchors look *fairer*: the unexplained abstentions are spread evenly
over the groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from evenhand.metrics.representation import FloatArray, by_group, ratio, shares_of

SINGULAR = 1e6
"""Condition number from which a resampled matrix is taken as singular."""

EM_TOLERANCE = 1e-12
"""Largest change of a share at which EM is finished."""

EM_STEPS = 10_000

FEW = 8
"""Up to this many groups exchanging neighbours is the faster way to sort them."""


@dataclass(frozen=True)
class Inverse:
    """Inverted confusion matrices, and what of them the noise of corrected shares is made of.

    Attributes:
        matrix: ``(..., K, K)``.
        reach: ``(..., K, 1)``, sums of its rows.
        length: ``(..., K, 1)``, sums of their squares.
        along: ``(..., K, K)``, each row times its sum.
    """

    matrix: FloatArray
    reach: FloatArray
    length: FloatArray
    along: FloatArray

    def __getitem__(self, draws: slice) -> Inverse:
        """Those of some draws."""
        return Inverse(self.matrix[draws], self.reach[draws], self.length[draws], self.along[draws])

    def masses(self, observed: FloatArray) -> FloatArray:
        """What ``observed (..., R, K)`` decided shares stand for, per decided image: ``(..., R, K)``."""
        return by_group(observed @ self.matrix)


class Inverted(NamedTuple):
    """Corrected shares of decided images.

    Attributes:
        shares: ``(..., R, K)``, unbiased given the matrix, summing to one; may leave the simplex.
        noise: ``(..., R)``, trace of their covariance due to finite images.
        depicted: ``(..., R)``, images showing somebody per decided image, ``1 / P(decided)``.
        n: ``(..., R)``, decided images.
    """

    shares: FloatArray
    noise: FloatArray
    depicted: FloatArray
    n: FloatArray


def inverse_of(matrix: FloatArray) -> Inverse:
    """Inverses of confusion matrices ``(..., K, K + 1)`` without their abstain column.

    A singular matrix, which resampled anchors may give, becomes ``nan``.
    """
    square = matrix[..., :-1]
    singular = (np.linalg.cond(square) > SINGULAR)[..., None, None]
    inverse = np.linalg.inv(np.where(singular, np.eye(square.shape[-1]), square))
    inverse = np.where(singular, np.nan, inverse)
    reach = inverse.sum(axis=-1, keepdims=True)
    return Inverse(inverse, reach, (inverse**2).sum(axis=-1, keepdims=True), reach * inverse)


def invert(counts: FloatArray, inverse: Inverse) -> Inverted:
    """Adjusted classify and count: ``pi`` proportional to ``c inverse(M)``, ``M`` without its abstain column.

    Linear, and exactly unbiased given ``M``, when the judge abstains equally often on every group; otherwise
    the division by the sum is a ratio of two linear estimates, with a bias of order ``1/n``. The noise is
    ``trace(J Cov(c) transpose(J))`` with the ratio's derivative ``J``; ``J c = 0`` leaves one term of it.
    Source: measurement.md 3.3.1; Forman 2008 (ACC).

    Args:
        counts: ``(..., R, K)`` decided labels.
        inverse: Of one matrix, or of ``B`` for ``counts`` of shape ``(B, R, K)``.
    """
    n = counts.sum(axis=-1)
    observed = ratio(counts, n[..., None])
    masses = inverse.masses(observed)
    depicted = masses.sum(axis=-1)
    shares = masses / depicted[..., None]
    length = (observed @ inverse.length)[..., 0]
    along = (by_group(observed @ inverse.along) * shares).sum(axis=-1)
    across = (observed @ inverse.reach**2)[..., 0] * (shares**2).sum(axis=-1)
    noise = (length - 2 * along + across) / (depicted**2 * np.where(n >= 2, n - 1, np.nan))
    return Inverted(shares, noise, depicted, n)


def corrected_shares(counts: FloatArray, inverse: Inverse) -> FloatArray:
    """The shares of :func:`invert` without their noise."""
    masses = inverse.masses(shares_of(counts))
    return np.asarray(masses / masses.sum(axis=-1, keepdims=True))


def seen_by_judge(truth: FloatArray, matrix: FloatArray) -> FloatArray:
    """Label shares ``(K,)`` among decided images when the truth is ``truth``: the forward model."""
    seen = truth @ matrix[..., :-1]
    return np.asarray(seen / seen.sum(axis=-1, keepdims=True))


def likeliest_shares(counts: FloatArray, matrix: FloatArray) -> FloatArray:
    """Maximum-likelihood shares on the simplex, the ones to display, ``(R, K)``.

    Where :func:`invert` stays on the simplex its shares are the likeliest already; EM finds the others.

    Args:
        counts: ``(R, K)`` decided labels.
        matrix: ``(K, K + 1)``.
    """
    shares = corrected_shares(counts, inverse_of(matrix))
    outside = (shares < 0).any(axis=-1)
    decided = matrix[:, :-1].sum(axis=-1)
    found = em_shares(shares_of(counts[outside]), matrix[:, :-1] / decided[:, None]) / decided
    shares[outside] = found / found.sum(axis=-1, keepdims=True)
    return shares


def em_shares(observed: FloatArray, matrix: FloatArray, *, tolerance: float = EM_TOLERANCE) -> FloatArray:
    """Maximum-likelihood ``pi`` of ``c = transpose(M) pi`` on the simplex (Richardson-Lucy, EM).

    ``pi_y <- pi_y sum_j M[y][j] c_j / (sum_y' pi_y' M[y'][j])`` from uniform until no share moves. Works for
    any ``(K, J)``, such as the joint answer of two judges as one set of columns (:func:`pair_answers`). An
    observed label that the anchors never showed is left out. Source: measurement.md 3.3.5.

    Args:
        observed: ``(..., J)`` shares; rows of ``nan`` stay ``nan``.
        matrix: ``(K, J)``, or ``(..., K, J)`` with one matrix for each row of ``observed``.
        tolerance: Largest change of a share at which the iteration stops.
    """
    pi = np.full((*observed.shape[:-1], matrix.shape[-2]), 1 / matrix.shape[-2])
    pi = np.where(np.isnan(observed).any(axis=-1, keepdims=True), np.nan, pi)
    for _ in range(EM_STEPS):
        expected = _through(pi, matrix)
        ratio = np.divide(observed, expected, out=np.zeros_like(expected), where=expected > 0)
        new = pi * _through(ratio, np.swapaxes(matrix, -1, -2))
        new /= new.sum(axis=-1, keepdims=True)
        moved = np.abs(new - pi)
        pi = new
        if not (moved > tolerance).any():
            break
    return pi


def _through(shares: FloatArray, matrix: FloatArray) -> FloatArray:
    """``shares @ matrix``, with one matrix for all rows or one for each."""
    if matrix.ndim == 2:
        return np.asarray(shares @ matrix)
    return np.asarray((shares[..., None, :] @ matrix)[..., 0, :])


def pair_answers(first: ArrayLike, second: ArrayLike, *, columns: int) -> NDArray[np.int64]:
    """The answers of two judges as one label: column ``first * columns + second``.

    A matrix of these ``J1 x J2`` columns supposes nothing about how the judges' errors hang together.
    Source: measurement.md 3.3.

    Args:
        first: Answer codes of the first judge.
        second: Answer codes of the second judge, below ``columns``.
        columns: Possible answers of the second judge ``J2``, abstaining included.
    """
    return np.asarray(first, np.int64) * columns + np.asarray(second, np.int64)


def least_squares_shares(observed: FloatArray, matrix: FloatArray) -> FloatArray:
    """``pi`` on the simplex with the least ``||c - transpose(M) pi||^2``; also for rectangular ``M``.

    Weighs all labels alike, where the likelihood trusts frequent ones; for soft observations, which have no
    likelihood, it is the default. Source: measurement.md 3.3.4.

    Args:
        observed: ``(J,)`` shares, or mean posteriors.
        matrix: ``(K, J)``.
    """
    # On the simplex the residual is (transpose(M) - c 1^T) pi. Asking non-negative least squares for a sum of
    # one as well shrinks the solution and turns it no way: over the length s of x = s pi the loss is least at
    # r / (1 + r), which grows with the residual r of pi.
    system = np.vstack([matrix.T - observed[:, None], np.ones(len(matrix))])
    found, _ = nnls(system, np.append(np.zeros(len(observed)), 1.0))
    return np.asarray(found / found.sum())


def project_simplex(values: FloatArray) -> FloatArray:
    """Euclidean projection ``(..., K)`` onto the probability simplex. Source: measurement.md 3.3.3."""
    descending = _descending(values)
    # np.cumsum walks the short last axis and takes many times as long where groups lie together in memory.
    total = np.empty_like(descending)
    total[..., 0] = descending[..., 0]
    for group in range(1, values.shape[-1]):
        np.add(total[..., group - 1], descending[..., group], out=total[..., group])
    excess = (total - 1) / np.arange(1, values.shape[-1] + 1)
    last = np.maximum((descending > excess).sum(axis=-1, keepdims=True) - 1, 0)
    return np.maximum(values - np.take_along_axis(excess, last, axis=-1), 0)


def _descending(values: FloatArray) -> FloatArray:
    """Values ``(..., K)`` in falling order: few groups by exchanging neighbours, all rows at once."""
    groups = values.shape[-1]
    if groups > FEW:
        return np.asarray(-np.sort(-values, axis=-1))
    found = np.copy(values, order="K")
    for turn in range(groups):
        for group in range(turn % 2, groups - 1, 2):
            one, other = found[..., group], found[..., group + 1]
            larger = np.maximum(one, other)
            np.minimum(one, other, out=other)
            one[...] = larger
    return found
