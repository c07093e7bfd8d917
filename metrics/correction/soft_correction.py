"""Corrections that use a judge's probabilities instead of its labels, and the recalibration they need.

Posteriors ``(n, K)`` are the columns of the groups; images on which the judge abstains are left out by the
caller and counted there. A deep network's raw scores are no probabilities: on the public test bed SLD gives
0.145 for a true 0.475 on raw scores and 0.467 after recalibration on 600 anchors (measurement.md 3.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.correction import SINGULAR, least_squares_shares
from evenhand.metrics.representation import FloatArray

SMALLEST_POSTERIOR = 1e-6
"""Posteriors are kept this far from 0 and 1, so that one sure mistake cannot rule out a group."""

SLD_TOLERANCE = 1e-8
SLD_STEPS = 10_000


def pcc_shares(posteriors: FloatArray) -> FloatArray:
    """Probabilistic classify and count, ``(K,)``: the mean posterior, uncorrected. ``nan`` for no image.

    Source: measurement.md 3.4.
    """
    return posteriors.mean(axis=0) if len(posteriors) else np.full(posteriors.shape[1], np.nan)


def soft_matrix(posteriors: FloatArray, truth: NDArray[np.int64]) -> FloatArray:
    """``Mbar[y][k]``, the mean posterior of group ``k`` over anchors of truth ``y``: ``(K, K)``.

    Args:
        posteriors: ``(n, K)`` of the anchors.
        truth: ``(n,)`` group indices.

    Raises:
        EvenhandError: A group has no anchor.
    """
    groups = posteriors.shape[1]
    lacking = sorted(set(range(groups)) - set(truth.tolist()))
    if lacking:
        raise EvenhandError(f"group {lacking[0]} of {groups} has no anchor; label one, or merge groups")
    return np.stack([posteriors[truth == group].mean(axis=0) for group in range(groups)])


def pacc_shares(posteriors: FloatArray, matrix: FloatArray) -> FloatArray:
    """Probabilistic adjusted classify and count, ``(K,)`` on the simplex.

    Solves ``mean posterior = transpose(Mbar) pi``; where the solution leaves the simplex, by constrained
    least squares. For two groups ``pi = (mean p - m0) / (m1 - m0)``. Varies less than counting labels where
    posteriors are informative, and supposes as much: that ``Mbar`` holds for these images.
    Source: Bella et al. 2010; measurement.md 3.4.

    Args:
        posteriors: ``(n, K)``.
        matrix: ``(K, K)``, see :func:`soft_matrix`.

    Raises:
        EvenhandError: The matrix is singular: the judge's posteriors do not tell the groups apart.
    """
    if np.linalg.cond(matrix) > SINGULAR:
        raise EvenhandError(
            f"soft confusion matrix has condition number {np.linalg.cond(matrix):.3g}: the judge's "
            "probabilities do not tell the groups apart; use another judge or merge groups"
        )
    mean = pcc_shares(posteriors)
    solved = np.linalg.solve(matrix.T, mean)
    return np.asarray(solved / solved.sum()) if (solved >= 0).all() else least_squares_shares(mean, matrix)


def sld_shares(posteriors: FloatArray, prevalence: FloatArray) -> FloatArray:
    """Saerens-Latinne-Decaestecker: maximum-likelihood shares ``(K,)`` under a shift of the shares alone.

    ``R[i][k]`` proportional to ``P[i][k] q_k / prevalence_k``, ``q = mean R``, from ``q = prevalence``. Right
    for calibrated posteriors only (:class:`Recalibration`); wrong, and sure of it, on raw network scores.
    Source: Saerens et al. 2002; measurement.md 3.5.

    Args:
        posteriors: ``(n, K)``.
        prevalence: ``(K,)``, shares under which the posteriors are calibrated, all positive.

    Raises:
        EvenhandError: There is no image, or a prevalence is not positive.
    """
    if not len(posteriors) or (prevalence <= 0).any():
        raise EvenhandError(
            f"SLD got {len(posteriors)} images and prevalences {prevalence.tolist()}; give some images "
            "and a positive prevalence for every group"
        )
    weighted = np.clip(posteriors, SMALLEST_POSTERIOR, 1 - SMALLEST_POSTERIOR) / prevalence
    shares = prevalence
    for _ in range(SLD_STEPS):
        responsible = weighted * shares
        new = (responsible / responsible.sum(axis=1, keepdims=True)).mean(axis=0)
        moved = np.abs(new - shares).max()
        shares = new
        if moved < SLD_TOLERANCE:
            break
    return np.asarray(shares)


class Recalibration(NamedTuple):
    """Bias-corrected temperature scaling: ``softmax(log P / temperature + biases)``.

    Attributes:
        temperature: Above 1 for a judge that is too sure of itself; below 0 for one that is wrong on average.
        biases: ``(K,)``, the last 0.
        prevalence: ``(K,)``, shares of the anchors it was fitted on: the prevalence for :func:`sld_shares`.
    """

    temperature: float
    biases: FloatArray
    prevalence: FloatArray

    def of(self, posteriors: FloatArray) -> FloatArray:
        """Calibrated posteriors ``(n, K)``."""
        return np.asarray(softmax(_logs(posteriors) / self.temperature + self.biases, axis=1))


def recalibrate(posteriors: FloatArray, truth: NDArray[np.int64]) -> Recalibration:
    """Fits temperature and class biases on anchors by maximum likelihood (BCTS).

    For two groups it is a logistic regression on the log-odds. Source: Alexandari, Kundaje and Shrikumar
    2020; measurement.md 3.5.

    Args:
        posteriors: ``(n, K)`` of the anchors.
        truth: ``(n,)`` group indices.

    Raises:
        EvenhandError: A group has no anchor, or the fit does not converge.
    """
    prevalence = np.bincount(truth, minlength=posteriors.shape[1]) / len(truth)
    soft_matrix(posteriors, truth)
    logs, rows = _logs(posteriors), np.arange(len(truth))
    shown = np.eye(posteriors.shape[1])[truth]

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        scores = log_softmax(logs * parameters[0] + np.append(parameters[1:], 0.0), axis=1)
        excess = np.exp(scores) - shown
        slope = np.append((excess * logs).sum(), excess[:, :-1].sum(axis=0)) / len(truth)
        return -float(scores[rows, truth].mean()), slope

    start = np.append(1.0, np.zeros(posteriors.shape[1] - 1))
    found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    if np.abs(found.jac).max() > 1e-6:
        raise EvenhandError(
            f"recalibration did not converge on {len(truth)} anchors ({found.message}); label more anchors"
        )
    return Recalibration(1 / float(found.x[0]), np.append(found.x[1:], 0.0), prevalence)


def _logs(posteriors: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.clip(posteriors, SMALLEST_POSTERIOR, 1 - SMALLEST_POSTERIOR)))
