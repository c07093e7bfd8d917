"""Correction of label shares for a judge's errors, given its confusion matrix.

A judge with the confusion matrix ``M[y][j] = P(label j | truth y)`` reports ``c = transpose(M) pi`` if the
true shares are ``pi``. Without a correction a noisy judge makes good methods look worse and bad methods look
better, and more images do not help: in a simulation with 8 cells, true RMSDeltas of 0.071 and 0.468 are
measured as 0.12 and 0.43. Matrices have the shape ``(K, K + 1)``; the last column is "undetermined", because
judges and face detectors abstain more often on some groups.

Every correction works on the decided images and then weights each group by the rate at which the judge
abstains on it. Fitting the last column as well (least squares on ``K + 1`` columns) would make a method look
*fairer* if it draws more unreadable images than the anchors have: the fit spreads unexplained abstentions
evenly over the groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from evenhand.metrics.representation import FloatArray, by_group, ratio, shares_of

SINGULAR = 1e6
"""Condition number from which a resampled matrix counts as singular."""

EM_TOLERANCE = 1e-12
"""Largest change of a share at which EM stops."""

EM_STEPS = 10_000

FEW = 24
"""Largest number of groups for which insertion sorts faster than a general sort."""


@dataclass(frozen=True)
class Inverse:
    """Inverted confusion matrices, with the terms from which the noise of corrected shares is computed.

    Attributes:
        terms: ``(K, 2 K + 2)``, or ``(B, K, 2 K + 2)`` for ``B`` matrices: the inverse, each of its rows
            times the row's sum, the sum of squares of the row, and the square of its sum.
    """

    terms: FloatArray

    def __getitem__(self, draws: slice) -> Inverse:
        """The inverses of some draws."""
        return Inverse(self.terms[draws])

    def of_shares(self, observed: FloatArray, *, noise: bool = True) -> FloatArray:
        """Decided shares ``(..., R, K)`` times the terms, or without ``noise`` times the inverse alone."""
        terms = self.terms if noise else self.terms[..., : self.terms.shape[-2]]
        if terms.ndim == 2:
            return np.asarray(np.tensordot(terms.T, observed.T, axes=1).T)
        if observed.ndim == 2:
            return np.asarray((observed @ terms.T).T)
        return np.asarray(np.einsum("...rj,...jk->...rk", observed, terms))


class Inverted(NamedTuple):
    """Corrected shares of decided images.

    Attributes:
        shares: ``(..., R, K)``, unbiased given the matrix and summing to 1; may leave the simplex.
        noise: ``(..., R)``, trace of their covariance due to the finite number of images.
        depicted: ``(..., R)``, images that show a person per decided image, ``1 / P(decided)``.
        n: ``(..., R)`` decided images.
    """

    shares: FloatArray
    noise: FloatArray
    depicted: FloatArray
    n: FloatArray


def inverse_of(matrix: FloatArray) -> Inverse:
    """Inverses of confusion matrices ``(..., K, K + 1)`` without their last column.

    Singular matrices, which can occur among resampled anchors, become ``nan``.
    """
    square = matrix[..., :-1]
    singular = (np.linalg.cond(square) > SINGULAR)[..., None, None]
    inverse = np.linalg.inv(np.where(singular, np.eye(square.shape[-1]), square))
    inverse = np.where(singular, np.nan, inverse)
    reach = inverse.sum(axis=-1, keepdims=True)
    length = (inverse**2).sum(axis=-1, keepdims=True)
    return Inverse(by_group(np.concatenate([inverse, reach * inverse, length, reach**2], axis=-1)))


def invert(counts: FloatArray, inverse: Inverse) -> Inverted:
    """Adjusted classify and count (ACC): ``pi`` proportional to ``c inverse(M)``.

    ``M`` is the confusion matrix without its last column. If the judge abstains equally often on every group,
    the estimate is linear and exactly unbiased given ``M``. Otherwise the division by the sum makes it a
    ratio of two linear estimates with a bias of order ``1/n``. The noise is ``trace(J Cov(c) transpose(J))``
    with the derivative ``J`` of the ratio and ``Cov(c) = (diag(c) - c transpose(c)) / (n - 1)``; as
    ``J c = 0``, only the first term remains. Source: Forman 2008 (ACC).

    Args:
        counts: ``(..., R, K)`` decided labels.
        inverse: Inverse of one matrix, or of ``B`` matrices for ``counts`` of shape ``(B, R, K)``, or
            ``(R, K)`` if they are the same for all of them.
    """
    n, groups = counts.sum(axis=-1), counts.shape[-1]
    terms = inverse.of_shares(ratio(counts, n[..., None]))
    masses = terms[..., :groups]
    depicted = masses.sum(axis=-1)
    shares = masses / depicted[..., None]
    along = (terms[..., groups : 2 * groups] * shares).sum(axis=-1)
    across = terms[..., -1] * (shares**2).sum(axis=-1)
    noise = (terms[..., -2] - 2 * along + across) / (depicted**2 * np.where(n >= 2, n - 1, np.nan))
    return Inverted(shares, noise, depicted, n)


def corrected_shares(counts: FloatArray, inverse: Inverse) -> FloatArray:
    """The shares of :func:`invert` without their noise."""
    masses = inverse.of_shares(shares_of(counts), noise=False)
    return np.asarray(masses / masses.sum(axis=-1, keepdims=True))


def seen_by_judge(truth: FloatArray, matrix: FloatArray) -> FloatArray:
    """Expected label shares ``(K,)`` among decided images, given the true shares: the forward model."""
    seen = truth @ matrix[..., :-1]
    return np.asarray(seen / seen.sum(axis=-1, keepdims=True))


def likeliest_shares(counts: FloatArray, matrix: FloatArray, *, inverse: Inverse | None = None) -> FloatArray:
    """Maximum-likelihood shares ``(R, K)`` on the simplex, for display.

    If the shares of :func:`invert` are on the simplex, they maximise the likelihood; EM computes the others.

    Args:
        counts: ``(R, K)`` decided labels.
        matrix: ``(K, K + 1)``.
        inverse: Its inverse; computed if ``None``.
    """
    shares = corrected_shares(counts, inverse_of(matrix) if inverse is None else inverse)
    outside = (shares < 0).any(axis=-1)
    decided = matrix[:, :-1].sum(axis=-1)
    found = em_shares(shares_of(counts[outside]), matrix[:, :-1] / decided[:, None]) / decided
    shares[outside] = found / found.sum(axis=-1, keepdims=True)
    return shares


def em_shares(observed: FloatArray, matrix: FloatArray, *, tolerance: float = EM_TOLERANCE) -> FloatArray:
    """Maximum-likelihood ``pi`` of ``c = transpose(M) pi`` on the simplex (Richardson-Lucy, EM).

    Starting from uniform shares, repeats ``pi_y <- pi_y sum_j M[y][j] c_j / (sum_y' pi_y' M[y'][j])`` until
    no share changes. Works for any shape ``(K, J)``, for example the paired labels of two judges as one set
    of columns (:func:`pair_answers`). Observed labels that never occur among the anchors are left out.
    Source: Richardson 1972; Lucy 1974; EM by Dempster, Laird and Rubin 1977.

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
    """``shares @ matrix``, with one matrix for all rows or one per row."""
    if matrix.ndim == 2:
        return np.asarray(shares @ matrix)
    return np.asarray((shares[..., None, :] @ matrix)[..., 0, :])


def pair_answers(first: ArrayLike, second: ArrayLike, *, columns: int) -> NDArray[np.int64]:
    """The labels of two judges as one code, ``first * columns + second``.

    A confusion matrix with these ``J1 x J2`` columns makes no assumption on the dependence of the judges'
    errors. Solve it with :func:`em_shares`.

    Args:
        first: Label codes of the first judge.
        second: Label codes of the second judge, below ``columns``.
        columns: Number of labels ``J2`` of the second judge, including "undetermined".
    """
    return np.asarray(first, np.int64) * columns + np.asarray(second, np.int64)


def least_squares_shares(observed: FloatArray, matrix: FloatArray) -> FloatArray:
    """``pi`` on the simplex that minimises ``||c - transpose(M) pi||^2``; also for rectangular ``M``.

    All labels have equal weight, whereas the likelihood trusts frequent ones more. Use it for mean
    posteriors, which have no likelihood. Source: constrained least squares by Lawson and Hanson 1974 (NNLS).

    Args:
        observed: ``(J,)`` shares, or mean posteriors.
        matrix: ``(K, J)``.
    """
    # On the simplex the residual is (transpose(M) - c 1^T) pi. The extra row that asks for a sum of 1 shrinks
    # the solution but does not change its direction: over the length s of x = s pi, the smallest loss is
    # r / (1 + r), which increases with the residual r of pi.
    system = np.vstack([matrix.T - observed[:, None], np.ones(len(matrix))])
    found, _ = nnls(system, np.append(np.zeros(len(observed)), 1.0))
    return np.asarray(found / found.sum())


def project_simplex(values: FloatArray) -> FloatArray:
    """Euclidean projection ``(..., K)`` onto the probability simplex, ``max(values - theta, 0)``.

    ``theta`` is the largest ``(sum of the k largest values - 1) / k``. Source: Duchi et al. 2008, "Efficient
    projections onto the l1-ball", figure 1, whose number of positive values is this ``k``.
    """
    total = np.zeros_like(values[..., 0])
    theta = total - np.inf
    for count, value in enumerate(_descending(values), start=1):
        total = total + value
        theta = np.maximum(theta, (total - 1) / count)
    return np.asarray(np.maximum(values - theta[..., None], 0))


def _descending(values: FloatArray) -> Sequence[FloatArray]:
    """The largest value of each row ``(...)``, the second largest, and so on, from values ``(..., K)``.

    Few groups are sorted by insertion, in all rows at once.
    """
    groups = np.moveaxis(values, -1, 0)
    if len(groups) > FEW:
        return list(-np.sort(-groups, axis=0))
    found: list[FloatArray] = []
    for value in groups:
        for place, larger in enumerate(found):
            found[place], value = np.maximum(larger, value), np.minimum(larger, value)
        found.append(value)
    return found
