"""Intervals beside the percentile bootstrap: clustered shares, few clusters, posteriors, plug-in metrics.

:mod:`evenhand.metrics.statistics.uncertainty` has the default of every estimate. What is here answers single questions:
how many independent images a clustered sample is worth, a share from fewer than 15 clusters, the worst of
several groups, a metric whose bootstrap is shifted because it cannot be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import ALPHA, wilson

FEW_CLUSTERS = 15
"""Below so many clusters a studentised interval over them replaces the bootstrap (measurement.md 2.4)."""

POSTERIOR_DRAWS = 5000
PRIOR = 0.5
"""Pseudo-images of each group in a Dirichlet posterior (Jeffreys' prior)."""


def intraclass_correlation(values: ArrayLike, clusters: Sequence[object]) -> float:
    """Share of the variance that lies between clusters, by one-way analysis of variance.

    ``rho = (MSB - MSW) / (MSB + (b - 1) MSW)``, ``b`` the (adjusted) images per cluster. At most 1; 0 if
    clusters do not matter, and it may come out negative then; ``nan`` where nothing varies or where there is
    only one cluster or one image in each. Source: Donner 1986; measurement.md 2.2.

    Args:
        values: ``(n,)`` numbers, 0 or 1 for a share.
        clusters: ``(n,)`` cluster of each, such as the template.
    """
    values = np.asarray(values, float)
    _, place = np.unique(np.asarray(clusters, str), return_inverse=True)
    sizes = np.bincount(place).astype(float)
    n, count = len(values), len(sizes)
    if not 1 < count < n:
        return float("nan")
    means = np.bincount(place, weights=values) / sizes
    between = (sizes * (means - values.mean()) ** 2).sum() / (count - 1)
    within = ((values - means[place]) ** 2).sum() / (n - count)
    size = (n - (sizes**2).sum() / n) / (count - 1)
    total = between + (size - 1) * within
    return float((between - within) / total) if total > 0 else float("nan")


def effective_n(n: float, *, cluster_size: float, correlation: float) -> float:
    """Independent images that ``n`` clustered ones are worth, ``n / (1 + (b - 1) rho)``; never above ``n``.

    Args:
        n: Images.
        cluster_size: Images per cluster ``b``.
        correlation: Intraclass correlation ``rho``; below 0 it counts as 0.
    """
    return n / (1 + (cluster_size - 1) * max(correlation, 0.0))


def clustered_wilson(labels: ArrayLike, clusters: Sequence[object]) -> tuple[float, float]:
    """Wilson interval of a share of clustered images, with the effective number of them.

    Where all images or all clusters are alike the correlation is unknown and the clusters themselves are
    counted: nothing shows that images of one cluster are independent.

    Args:
        labels: ``(n,)``, 1 where an image shows the group.
        clusters: ``(n,)`` cluster of each.
    """
    labels = np.asarray(labels, float)
    n, count = len(labels), len(set(clusters))
    correlation = intraclass_correlation(labels, clusters)
    known = np.isfinite(correlation)
    worth = effective_n(n, cluster_size=n / count, correlation=correlation) if known else float(count)
    low, high = wilson(labels.mean() * worth, worth)
    return float(low), float(high)


def cluster_t_interval(part: ArrayLike, whole: ArrayLike) -> tuple[float, float]:
    """Studentised interval of ``sum part / sum whole`` over clusters, with ``c - 1`` degrees of freedom.

    For fewer than 15 clusters, where resampling them is too short. The standard error is that of the ratio's
    linear part, ``c / (c - 1) sum_i (part_i - r whole_i)^2 / (sum whole)^2``. It may leave the range of a
    share. ``nan`` for one cluster. Source: Cochran 1977, section 6.3; measurement.md 2.4.

    Args:
        part: ``(c,)`` sums of each cluster, such as its images of a group.
        whole: ``(c,)``, such as its decided images.
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    c = len(part)
    if c < 2 or whole.sum() <= 0:
        return float("nan"), float("nan")
    ratio = part.sum() / whole.sum()
    error = np.sqrt(c / (c - 1) * ((part - ratio * whole) ** 2).sum()) / whole.sum()
    reach = t.ppf(1 - ALPHA / 2, c - 1) * error
    return float(ratio - reach), float(ratio + reach)


def dirichlet_interval(
    counts: ArrayLike, of: Callable[[FloatArray], FloatArray], *, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Posterior interval of a function of shares: quantiles over draws of ``Dirichlet(n + 0.5)``.

    The best default for what depends on rare groups (worst group, smallest over largest share, differential
    fairness): a group without an image has a posterior, where a resample would repeat its zero.
    Source: measurement.md 2.3.

    Args:
        counts: ``(..., K)`` decided images.
        of: From shares ``(..., K)`` to the metric; draws come first.
        rng: Random stream.
    """
    gamma = rng.standard_gamma(np.asarray(counts, float) + PRIOR, size=(POSTERIOR_DRAWS, *np.shape(counts)))
    drawn = of(gamma / gamma.sum(axis=-1, keepdims=True))
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return low, high


def basic_interval(draws: FloatArray, value: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Basic (reflected) bootstrap interval, ``2 value - quantiles`` of draws ``(B, ...)``.

    For plug-in distances: their draws lie above the value by as much as the value lies above the truth, and
    the reflection takes both out. It still covers less than 95 % on few images (83 % with 20 images of
    six groups, where percentiles cover nothing); the unbiased ``V`` needs none of it. Its lower end may leave
    the metric's range; clip it there.
    Source: Davison and Hinkley 1997, section 5.2; measurement.md 2.4.
    """
    low, high = np.nanquantile(draws, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return np.asarray(2 * value - high), np.asarray(2 * value - low)


def bca_interval(draws: FloatArray, value: float, *, jackknife: FloatArray) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval.

    The percentiles are moved by the draws' median bias and by the skewness of the leave-one-out values.
    Source: Efron 1987; measurement.md 2.4.

    Args:
        draws: ``(B,)`` bootstrap draws, not recentred.
        value: The estimate.
        jackknife: ``(c,)``, the estimate without each of the resampled units.

    Raises:
        EvenhandError: All draws lie on one side of the value, or nothing varies: there is no such interval.
    """
    below = ((draws < value).mean() + (draws <= value).mean()) / 2
    away = jackknife.mean() - jackknife
    spread = (away**2).sum()
    if below in (0, 1) or spread == 0:
        raise EvenhandError(
            f"the bootstrap of {value:g} lies on one side of it or does not vary; use the basic interval"
        )
    shift, skew = norm.ppf(below), (away**3).sum() / (6 * spread**1.5)
    z = shift + norm.ppf([ALPHA / 2, 1 - ALPHA / 2])
    low, high = np.quantile(draws, norm.cdf(shift + z / (1 - skew * z)))
    return float(low), float(high)


def leave_one_out(values: NDArray[np.float64], of: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """The function of all units but one, for each of them, ``(c,)``.

    Args:
        values: ``(c, ...)``, one row per unit.
        of: From units ``(c - 1, ...)`` to the estimate.
    """
    units = np.arange(len(values))
    return np.array([of(values[units != unit]) for unit in units])
