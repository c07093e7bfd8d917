"""Corrected shares when the confusion matrix itself is uncertain: jointly fitted, or drawn.

Both take the anchors' counts ``F (K, J)`` instead of a matrix. The default elsewhere is the matrix as
estimated with resampled anchors in the interval (:mod:`evenhand.metrics.correction.calibration`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evenhand.metrics.correction.calibration import SMOOTHING, confusion_matrix
from evenhand.metrics.correction.correction import EM_STEPS, EM_TOLERANCE, em_shares
from evenhand.metrics.representation import FloatArray, shares_of
from evenhand.metrics.statistics.uncertainty import ALPHA

DRAW_TOLERANCE = 1e-8
"""EM tolerance of a posterior draw: far below the draws' own scatter."""


class JointFit(NamedTuple):
    """Shares ``(K,)`` and matrix ``(K, J)`` of the highest likelihood, rows of the matrix summing to one."""

    shares: FloatArray
    matrix: FloatArray


def joint_likelihood(counts: FloatArray, anchors: FloatArray) -> JointFit:
    """Shares and matrix fitted together to unlabelled images and anchors, by EM.

    ``M[y][j]`` proportional to ``F[y][j] + N pi_y M[y][j] c_j / (sum_y' pi_y' M[y'][j])``, ``pi`` as in
    :func:`evenhand.metrics.correction.correction.em_shares`. The images may move the matrix: use it only where the
    anchors are a random sample of the same pool, otherwise a drift of the judge is read as a drift of the
    images. Source: measurement.md 3.3.6.

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
        mean: ``(K,)``.
        low: ``(K,)``, 2.5 % quantile.
        high: ``(K,)``, 97.5 % quantile.
        draws: ``(B, K)``, each on the simplex.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    draws: FloatArray


def drawn_shares(
    counts: FloatArray, anchors: FloatArray, *, draws: int, rng: np.random.Generator
) -> ShareDraws:
    """Draws of corrected shares: a matrix from the anchors, label counts from the labels, then the fit.

    Rows of the matrix follow ``Dirichlet(F + 0.5)``, label shares a multinomial of the counts, and each draw
    is fitted by EM. Unlike a full posterior, the unlabelled images never move the matrix. Its interval
    stays in [0, 1] and is skewed where it must be. Source: measurement.md 3.3.7.

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
