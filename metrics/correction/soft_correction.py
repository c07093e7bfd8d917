"""Corrections that use a judge's probabilities instead of its labels, and their recalibration.

Posteriors ``(n, K)`` have one column per group; the caller leaves out (and counts) images on which the judge
abstains. Raw scores of deep networks are not calibrated probabilities: with DeepFace on 2,398 FairFace
images, SLD estimates a female share of 0.145 from raw scores and 0.467 after recalibration on 600 anchors;
the true share is 0.475.
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
"""Posteriors are clipped to this distance from 0 and 1, so that one error cannot exclude a group."""

SLD_TOLERANCE = 1e-8
SLD_STEPS = 10_000


def pcc_shares(posteriors: FloatArray) -> FloatArray:
    """Probabilistic classify and count (PCC), ``(K,)``: the mean posterior, uncorrected.

    ``nan`` without images. Source: Bella et al. 2010.
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
        raise EvenhandError(
            f"group {lacking[0]} of {groups} has no anchor; label an image of it, or merge groups"
        )
    return np.stack([posteriors[truth == group].mean(axis=0) for group in range(groups)])


def pacc_shares(posteriors: FloatArray, matrix: FloatArray) -> FloatArray:
    """Probabilistic adjusted classify and count (PACC), ``(K,)`` on the simplex.

    Solves ``mean posterior = transpose(Mbar) pi``, by constrained least squares if the solution leaves the
    simplex. For two groups ``pi = (mean p - m0) / (m1 - m0)``. With informative posteriors the variance is
    lower than that of counting labels. The assumption is the same: ``Mbar`` holds for the audited images.
    Source: Bella et al. 2010.

    Args:
        posteriors: ``(n, K)``.
        matrix: ``(K, K)``, see :func:`soft_matrix`.

    Raises:
        EvenhandError: The matrix is singular: the judge's posteriors do not distinguish the groups.
    """
    if np.linalg.cond(matrix) > SINGULAR:
        raise EvenhandError(
            f"soft confusion matrix has condition number {np.linalg.cond(matrix):.3g}: the judge's "
            "probabilities do not distinguish the groups; use another judge or merge groups"
        )
    mean = pcc_shares(posteriors)
    solved = np.linalg.solve(matrix.T, mean)
    return np.asarray(solved / solved.sum()) if (solved >= 0).all() else least_squares_shares(mean, matrix)


def sld_shares(posteriors: FloatArray, prevalence: FloatArray) -> FloatArray:
    """Maximum-likelihood shares ``(K,)`` under label shift (Saerens, Latinne and Decaestecker; SLD or EMQ).

    Starting from ``q = prevalence``, repeats ``R[i][k]`` proportional to ``P[i][k] q_k / prevalence_k`` and
    ``q = mean R``. Valid for calibrated posteriors only (:func:`recalibrate`).
    Source: Saerens, Latinne and Decaestecker 2002.

    Args:
        posteriors: ``(n, K)``.
        prevalence: ``(K,)`` shares under which the posteriors are calibrated, all positive.

    Raises:
        EvenhandError: There is no image, or a prevalence is not positive.
    """
    if not len(posteriors) or (prevalence <= 0).any():
        raise EvenhandError(
            "SLD needs at least 1 image and a positive prevalence for every group, "
            f"got {len(posteriors)} images and prevalences {prevalence.tolist()}"
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
    """Bias-corrected temperature scaling (BCTS): ``softmax(log P / temperature + biases)``.

    Attributes:
        temperature: Above 1 for an overconfident judge; negative for a judge that is wrong on average.
        biases: ``(K,)`` class biases; the last is 0.
        prevalence: ``(K,)`` shares of the anchors of the fit, to be passed to :func:`sld_shares`.
    """

    temperature: float
    biases: FloatArray
    prevalence: FloatArray

    def of(self, posteriors: FloatArray) -> FloatArray:
        """Calibrated posteriors ``(n, K)``."""
        return np.asarray(softmax(_logs(posteriors) / self.temperature + self.biases, axis=1))


def recalibrate(posteriors: FloatArray, truth: NDArray[np.int64]) -> Recalibration:
    """Temperature and class biases, fitted on anchors by maximum likelihood (BCTS).

    For two groups it is a logistic regression on the log-odds. Source: Alexandari, Kundaje and Shrikumar,
    arXiv 1901.06852.

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
