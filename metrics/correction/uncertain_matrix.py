"""Corrected shares with an uncertain confusion matrix: fitted jointly, or drawn from its posterior.

Both functions take the anchors' counts ``F (K, J)`` instead of a matrix. Runs use the estimated matrix, with
resampled anchors in the interval (:mod:`evenhand.metrics.correction.calibration`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evenhand.metrics.correction.calibration import SMOOTHING, confusion_matrix
from evenhand.metrics.correction.correction import EM_STEPS, EM_TOLERANCE, em_shares
from evenhand.metrics.representation import FloatArray, shares_of
from evenhand.metrics.statistics.uncertainty import ALPHA

DRAW_TOLERANCE = 1e-8
"""EM tolerance of a posterior draw, far below the standard deviation of the draws."""


class JointFit(NamedTuple):
    """Maximum-likelihood shares ``(K,)`` and matrix ``(K, J)``; the rows of the matrix sum to 1."""

    shares: FloatArray
    matrix: FloatArray


def joint_likelihood(counts: FloatArray, anchors: FloatArray) -> JointFit:
    """Shares and confusion matrix fitted jointly to unlabelled images and anchors, by EM.

    ``M[y][j]`` is proportional to ``F[y][j] + N pi_y M[y][j] c_j / (sum_y' pi_y' M[y'][j])``; ``pi`` follows
    :func:`evenhand.metrics.correction.correction.em_shares`. The unlabelled images change the matrix, so use
    this only if the anchors are a random sample of the same images. Source: EM for partially classified data,
    Dempster, Laird and Rubin 1977.

    Args:
        counts: ``(J,)`` labels of the unlabelled images.
        anchors: ``(K, J)`` counts of truth and label.
    """
    matrix = confusion_matrix(anchors)
    pi = np.full(len(matrix), 1 / len(matrix))
    for _ in range(EM_STEPS):
        expected = pi @ matrix
        per_label = np.divide(counts, expected, out=np.zeros_like(expected), where=expected > 0)
        share = pi[:, None] * matrix * per_label
        new = share.sum(axis=1) / share.sum()
        fitted = anchors + share
        matrix = fitted / fitted.sum(axis=1, keepdims=True)
        moved = np.abs(new - pi).max()
        pi = new
        if moved <= EM_TOLERANCE:
            break
    return JointFit(pi, matrix)


class ShareDraws(NamedTuple):
    """Posterior of corrected shares.

    Attributes:
        mean: ``(K,)`` posterior means.
        low: ``(K,)`` 2.5 % quantiles.
        high: ``(K,)`` 97.5 % quantiles.
        draws: ``(B, K)`` draws, each on the simplex.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    draws: FloatArray


def drawn_shares(
    counts: FloatArray, anchors: FloatArray, *, draws: int, rng: np.random.Generator
) -> ShareDraws:
    """Posterior draws of corrected shares, with an interval that stays in [0, 1] and may be skewed.

    Every draw takes the rows of the matrix from ``Dirichlet(F + 0.5)``, label counts from a multinomial, and
    fits the shares by EM. Unlike in a full posterior (BayesianCC in QuaPy), the unlabelled images do not
    change the matrix.

    Args:
        counts: ``(J,)`` labels of the unlabelled images.
        anchors: ``(K, J)`` counts of truth and label.
        draws: Number of draws ``B``.
        rng: Random stream.
    """
    matrices = np.stack([rng.dirichlet(row + SMOOTHING, size=draws) for row in anchors], axis=1)
    seen = rng.multinomial(int(counts.sum()), shares_of(counts), size=draws) / counts.sum()
    found = em_shares(seen, matrices, tolerance=DRAW_TOLERANCE)
    low, high = np.quantile(found, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return ShareDraws(found.mean(axis=0), low, high, found)
