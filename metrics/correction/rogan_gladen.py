"""Closed-form correction of a binary share, with intervals: Rogan-Gladen, Lang-Reiczigel, CLEAM."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import ALPHA


class RoganGladen(NamedTuple):
    """Corrected share of one of two groups.

    Attributes:
        value: The share, clipped to [0, 1].
        low: Lower end of the 95 % interval, clipped to [0, 1].
        high: Upper end of the 95 % interval, clipped to [0, 1].
        variance: Variance behind the interval.
        clipped: Whether the unclipped share lies outside [0, 1].
    """

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
    """Rogan-Gladen estimate ``pi = (c + sp - 1) / (se + sp - 1)``, with the error of images and anchors.

    ``Var = [c (1 - c) / N + pi^2 se (1 - se) / n1 + (1 - pi)^2 sp (1 - sp) / n0] / (se + sp - 1)^2``.
    For two groups it equals the inversion of the confusion matrix. Source: Rogan and Gladen 1978.

    Args:
        observed: Share that the judge calls positive.
        n: Images.
        sensitivity: Share of positive anchors called positive.
        positives: Positive anchors.
        specificity: Share of negative anchors called negative.
        negatives: Negative anchors.

    Raises:
        EvenhandError: The judge is no better than chance (``se + sp <= 1``).
    """
    c, se, sp = (np.asarray(part, float) for part in (observed, sensitivity, specificity))
    _check_better_than_chance(se, sp)
    pi = (c + sp - 1) / (se + sp - 1)
    variance = _prevalence_variance(c, n, pi, se, positives, sp, negatives)
    reach = norm.ppf(1 - ALPHA / 2) * np.sqrt(variance)
    value, low, high = (np.clip(part, 0, 1) for part in (pi, pi - reach, pi + reach))
    return RoganGladen(value, low, high, variance, (pi < 0) | (pi > 1))


def lang_reiczigel(
    observed: ArrayLike,
    n: ArrayLike,
    *,
    sensitivity: ArrayLike,
    positives: ArrayLike,
    specificity: ArrayLike,
    negatives: ArrayLike,
) -> RoganGladen:
    """Rogan-Gladen estimate with the interval of Lang and Reiczigel, which is valid for small counts.

    The interval is that of :func:`rogan_gladen` with one added success and failure for ``se`` and ``sp`` and
    ``z^2 / 2`` added successes and failures for ``c``, shifted by ``2 z^2 [pi Var(se) - (1 - pi) Var(sp)]``.
    The value remains Rogan-Gladen's; ``variance`` belongs to the interval. Source: Lang and Reiczigel 2014.

    Args:
        observed: Share that the judge calls positive.
        n: Images.
        sensitivity: Share of positive anchors called positive.
        positives: Positive anchors.
        specificity: Share of negative anchors called negative.
        negatives: Negative anchors.

    Raises:
        EvenhandError: The judge is no better than chance (``se + sp <= 1``).
    """
    c, se, sp = (np.asarray(part, float) for part in (observed, sensitivity, specificity))
    _check_better_than_chance(se, sp)
    pi = (c + sp - 1) / (se + sp - 1)
    z = norm.ppf(1 - ALPHA / 2)
    (c, n), (se, n1), (sp, n0) = (
        ((share * np.asarray(size, float) + more) / (size + 2 * more), size + 2 * more)
        for share, size, more in (
            (c, np.asarray(n, float), z**2 / 2),
            (se, np.asarray(positives, float), 1.0),
            (sp, np.asarray(negatives, float), 1.0),
        )
    )
    middle = (c + sp - 1) / (se + sp - 1)
    variance = _prevalence_variance(c, n, middle, se, n1, sp, n0)
    middle_moved = middle + 2 * z**2 * (middle * se * (1 - se) / n1 - (1 - middle) * sp * (1 - sp) / n0)
    reach = z * np.sqrt(variance)
    value, low, high = (np.clip(part, 0, 1) for part in (pi, middle_moved - reach, middle_moved + reach))
    return RoganGladen(value, low, high, variance, (pi < 0) | (pi > 1))


def _check_better_than_chance(sensitivity: FloatArray, specificity: FloatArray) -> None:
    if (sensitivity + specificity <= 1).any():
        raise EvenhandError(
            f"sensitivity {sensitivity} plus specificity {specificity} is at most 1: the judge is no better "
            "than chance; use another judge"
        )


def _prevalence_variance(
    c: FloatArray, n: ArrayLike, pi: FloatArray, se: FloatArray, n1: ArrayLike, sp: FloatArray, n0: ArrayLike
) -> FloatArray:
    images = c * (1 - c) / np.asarray(n, float)
    anchors = pi**2 * se * (1 - se) / np.asarray(n1, float)
    anchors = anchors + (1 - pi) ** 2 * sp * (1 - sp) / np.asarray(n0, float)
    return np.asarray((images + anchors) / (se + sp - 1) ** 2)


def cleam_point(mean: ArrayLike, *, alpha_0: float, alpha_1: float) -> FloatArray:
    """CLEAM's point estimate of the share of class 0, ``(mu - (1 - alpha_1)) / (alpha_0 + alpha_1 - 1)``.

    The same as Rogan-Gladen; provided for comparability. CLEAM's interval is left out: it resamples batches
    from one pool and treats the accuracies as known, so that it covers only 20 to 75 % at nominal 95 %.
    Source: Teo, Abdollahzadeh and Cheung, arXiv 2310.19297.
    """
    return np.asarray((np.asarray(mean, float) - (1 - alpha_1)) / (alpha_0 + alpha_1 - 1))
