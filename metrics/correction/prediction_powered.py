"""Prediction-powered inference: totals from a few true labels and many of a judge, whatever the judge is.

It needs anchors drawn at random from the audited pool itself (or weighed by the inverse of their chance), and
then supposes nothing about the judge. It estimates linear totals: overall shares, fidelity, the undetermined
rate. One pooled correction must not be added to each occupation's shares: it depends on that occupation's
truth, and distances computed from such shares stay biased (measurement.md 3.7, 3.14).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import ALPHA


class PoweredMean(NamedTuple):
    """A mean and its 95 % interval, ``(...)`` for values of shape ``(n, ...)``.

    Attributes:
        value: The estimate; not clipped, as means of several groups must add up.
        low: Lower end.
        high: Upper end.
        error: Standard error.
        power: ``lambda``: 1 trusts the judge as PPI does, 0 ignores it.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    error: FloatArray
    power: FloatArray


def powered_mean(
    truth: ArrayLike,
    judged: ArrayLike,
    unlabelled: ArrayLike,
    *,
    power: float | None = None,
    weights: ArrayLike | None = None,
) -> PoweredMean:
    """PPI and PPI++: ``lambda mean_u(f) + mean_l(Y - lambda f)``.

    ``SE^2 = lambda^2 Var_u(f) / N + Var_l(Y - lambda f) / n``. PPI++ takes the ``lambda`` of least variance,
    ``Cov_l(Y, f) / ((1 + n / N) Var(f))`` in [0, 1], and so is never worse than the anchors alone for large
    ``n``. Weighted means are Hajek's, with their linearised variance.
    Source: Angelopoulos et al. 2023, Angelopoulos, Duchi and Zrnic 2023; measurement.md 3.7.

    Args:
        truth: ``Y (n, ...)`` of the anchors: indicators of a group, or one column for each group.
        judged: ``f (n, ...)`` of the anchors: the judge's label or its posterior, in the same form.
        unlabelled: ``f (N, ...)`` of the other images; of all images, anchors included, where the judge's
            own answer chose the anchors, because the others are then no image of the pool.
        power: ``lambda``; that of PPI++ if ``None``, 1 for plain PPI, 0 for the anchors alone.
        weights: ``(n,)``, the inverse of each anchor's chance of being chosen; equal if ``None``.

    Raises:
        EvenhandError: There are fewer than two anchors or other images, or a weight is not positive.
    """
    y, f, u = (np.asarray(part, float) for part in (truth, judged, unlabelled))
    n, others = len(y), len(u)
    if n < 2 or others < 2:
        raise EvenhandError(
            f"prediction-powered inference got {n} anchors and {others} other images; it needs two of each"
        )
    given = np.ones(n) if weights is None else np.asarray(weights, float)
    if not (given > 0).all():
        raise EvenhandError(f"anchor weight {given.min()} is not positive; give 1 / probability of choosing")
    share = (given / given.sum()).reshape(-1, *[1] * (y.ndim - 1))
    # The divisors n - 1 and N - 1 of unbiased variances; with weights n is their effective number.
    size = 1 / (share**2).sum()
    trust = _best_power(y, f, u, share) if power is None else np.full(y.shape[1:], float(power))
    rest = y - trust * f
    correction = (share * rest).sum(axis=0)
    value = trust * u.mean(axis=0) + correction
    of_anchors = (share**2 * (rest - correction) ** 2).sum(axis=0) * size / (size - 1)
    of_images = trust**2 * u.var(axis=0, ddof=1) / others
    error = np.sqrt(of_images + of_anchors)
    reach = norm.ppf(1 - ALPHA / 2) * error
    return PoweredMean(value, value - reach, value + reach, error, trust)


def _best_power(y: FloatArray, f: FloatArray, u: FloatArray, share: FloatArray) -> FloatArray:
    size = 1 / (share**2).sum()
    centred_y, centred_f = y - (share * y).sum(axis=0), f - (share * f).sum(axis=0)
    covariance = (share * centred_y * centred_f).sum(axis=0) * size / (size - 1)
    variance = np.concatenate([f, u]).var(axis=0, ddof=1)
    scale = (1 + size / len(u)) * variance
    best = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.asarray(np.clip(best, 0, 1))


def stratified_mean(parts: Sequence[PoweredMean], weights: ArrayLike) -> PoweredMean:
    """One mean from those of strata: ``sum W_s theta_s`` with ``SE^2 = sum W_s^2 SE_s^2``.

    Anchors need to be random within a stratum only. Source: Fisch et al. 2024; measurement.md 3.7.

    Args:
        parts: One mean for each stratum (stereotype side, family of methods).
        weights: Share of the pool in each stratum, in the same order.

    Raises:
        EvenhandError: There is not one weight for each stratum, or they do not add up to 1.
    """
    shares = np.asarray(weights, float)
    if len(shares) != len(parts) or abs(shares.sum() - 1) > 1e-9:
        raise EvenhandError(
            f"{len(parts)} strata have weights {shares.tolist()}; give each its share of the images, which "
            "add up to 1"
        )
    value, power = (
        np.tensordot(shares, np.stack([getattr(part, name) for part in parts]), axes=1)
        for name in ("value", "power")
    )
    error = np.sqrt(np.tensordot(shares**2, np.stack([part.error**2 for part in parts]), axes=1))
    reach = norm.ppf(1 - ALPHA / 2) * error
    return PoweredMean(value, value - reach, value + reach, error, power)
