"""How far the depicted shares of one attribute are from a target: pure functions, vectorised.

``shares`` and ``counts`` have shape ``(..., K)``, a target ``(K,)`` or one row for each occupation,
``(R, K)`` for shares ``(..., R, K)``. ``K`` is always the size of the taxonomy, never the number
of groups that happened to be seen (measurement.md 0.2). No decided image gives ``nan``, never 0. Every
function here looks at one distribution at a time: take it per occupation and average afterwards, because
opposite stereotypes cancel in a pooled distribution (0.103 instead of 0.623 on released counts).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, rel_entr

FloatArray = NDArray[np.float64]


def uniform(groups: int) -> FloatArray:
    """The target that gives each of ``groups`` groups the same share."""
    return np.full(groups, 1.0 / groups)


def shares_of(counts: ArrayLike) -> FloatArray:
    """Observed shares ``n_k / n``; ``nan`` where no image was decided."""
    counts = np.asarray(counts, float)
    return ratio(counts, counts.sum(axis=-1, keepdims=True))


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """``part / whole``, and ``nan`` where the whole is not positive: nothing there is missing, not 0."""
    part, there = np.asarray(part, float), np.asarray(whole) > 0
    found = np.empty_like(np.broadcast_to(part, np.broadcast_shapes(part.shape, there.shape)))
    if there.all():
        return np.asarray(np.divide(part, whole, out=found))
    found.fill(np.nan)
    return np.asarray(np.divide(part, whole, out=found, where=there))


def by_group(values: FloatArray) -> FloatArray:
    """The same array with each group's values together in memory.

    Sums over the short last axis of millions of bootstrap draws are several times faster that way.
    """
    axes = range(values.ndim)
    return np.ascontiguousarray(values.transpose(axes[-1], *axes[:-1])).transpose(*axes[1:], 0)


def from_target(shares: FloatArray, target: FloatArray) -> FloatArray:
    """``shares - target`` with each group's values together in memory, where those of ``shares`` are."""
    return np.asarray(shares - by_group(target))


def deviation_ratio(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Deviation ratio per group, ``|q_k - p_k| / q_k``.

    Range 0 to ``(1 - q_k) / q_k``; lower is better. A group with target 0 gives ``nan``. It cannot tell a
    biased model from a fair one seen through few images: a fair model scores about ``sqrt(2 / (pi n))``.
    Source: UCE, arXiv 2308.14761; also used by TIME and MIST.

    Returns:
        ``(..., K)``, one ratio per group.
    """
    asked = np.where(target > 0, target, np.nan)
    return np.asarray(np.abs(target - shares) / asked)


def worst_deviation(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Delta of one occupation, ``max_k |p_k - q_k| / (1 - min_k q_k)``.

    Range 0 to 1; lower is better. For two groups and a uniform target it is UCE's deviation ratio. It looks
    at the worst group alone, and a fair model does not score 0 at finite n.
    Source: Self-Discovering, arXiv 2311.17216 (uniform target); any target by the same normalisation.
    """
    return np.asarray(np.abs(from_target(shares, target)).max(axis=-1) / (1 - target.min(axis=-1)))


def total_variation(shares: FloatArray, target: FloatArray) -> FloatArray:
    """``TV = 0.5 sum_k |p_k - q_k|``: the share of images that would have to change group.

    Range 0 to ``1 - min q``; lower is better. It cannot tell which groups are missing.
    """
    return np.asarray(0.5 * np.abs(from_target(shares, target)).sum(axis=-1))


def delta_tv(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Normalised total variation, ``TV(p, q) / (1 - min_k q_k)``.

    Range 0 to 1; lower is better; equals UCE's deviation ratio for two groups and a uniform target, and uses
    every group where :func:`worst_deviation` uses one. A fair model does not score 0 at finite n.
    Source: measurement.md 1.2.
    """
    return np.asarray(total_variation(shares, target) / (1 - target.min(axis=-1)))


def largest_squared_distance(target: FloatArray) -> FloatArray:
    """Largest possible ``||p - q||^2``: all images in the rarest target group; ``1 - 1/K`` if uniform.

    Returns:
        ``(...)`` for targets ``(..., K)``.
    """
    return np.asarray(1 - 2 * target.min(axis=-1) + (target**2).sum(axis=-1))


def multinomial_noise(shares: FloatArray, n: ArrayLike) -> FloatArray:
    """Unbiased trace of the covariance of observed shares, ``(1 - sum_k p_k^2) / (n - 1)``.

    ``nan`` for fewer than two decided images: one image says nothing about its own noise.
    """
    n = np.asarray(n, float)
    return np.asarray((1 - (shares**2).sum(axis=-1)) / np.where(n >= 2, n - 1, np.nan))


def squared_deviation(shares: FloatArray, target: FloatArray, noise: FloatArray) -> FloatArray:
    """Unbiased squared deviation, ``V = sum_k (p_k - q_k)^2 - trace Cov(p)``.

    Its expectation is ``||p - q||^2`` at any n, so it may be negative: keep the sign in means. Lower is
    better. One occupation's value is noisy; it is made for averages over occupations.
    Source: measurement.md 1.3.

    Args:
        shares: ``(..., K)``, an unbiased estimate; after a judge correction it may leave the simplex.
        target: ``(K,)`` or ``(R, K)``.
        noise: ``(...)``, trace of the covariance of ``shares`` (:func:`multinomial_noise` without a
            correction, :meth:`evenhand.metrics.correction.correction.Inversion.noise` with one).
    """
    return np.asarray((from_target(shares, target) ** 2).sum(axis=-1) - noise)


def rms_delta(squared: FloatArray, target: FloatArray) -> FloatArray:
    """``RMSDelta = sqrt(clip(mean_o V_o / max ||p - q||^2, 0, 1))`` over the last axis (occupations).

    Range 0 to 1; lower is better; estimates the root mean square of Delta for two groups. Occupations
    without a value are left out. Like every distance it cannot tell in which direction a model leans.
    Source: measurement.md 1.3.
    """
    return root(mean_over(squared / largest_squared_distance(target)))


def root(mean_square: FloatArray) -> FloatArray:
    """Square root of an estimated mean square in [0, 1], which noise may have carried past either end."""
    return np.asarray(np.sqrt(np.clip(mean_square, 0, 1)))


def mean_over(values: FloatArray) -> FloatArray:
    """Mean over the last axis of the values that exist; ``nan`` when none does."""
    total = values.sum(axis=-1)
    if values.shape[-1] and not np.isnan(total).any():
        return np.asarray(total / values.shape[-1])
    present = ~np.isnan(values)
    return ratio(np.where(present, values, 0).sum(axis=-1), present.sum(axis=-1))


def fd_l2(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Fairness discrepancy, ``||p - q||_2``; 0 to ``sqrt(1 - 1/K)`` if uniform, lower is better.

    Biased upwards at finite n. Source: CLEAM, arXiv 2310.19297, and the fair-GAN work before it.
    """
    return np.asarray(np.linalg.norm(shares - target, axis=-1))


def kl_divergence(shares: FloatArray, target: FloatArray) -> FloatArray:
    """``KL(p || q)`` in nats; 0 to ``ln K`` for a uniform target, lower is better.

    Infinite where a group outside the target occurs; an absent group contributes 0 (the reverse divergence
    would be infinite, so it is not offered). Biased upwards by about ``(K - 1) / (2 n)``.
    Source: ITI-GEN, arXiv 2309.05569.
    """
    return np.asarray(rel_entr(shares, target).sum(axis=-1))


def js_divergence(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Jensen-Shannon divergence in bits; 0 to 1, lower is better, always finite. Biased upwards."""
    middle = (shares + target) / 2
    both = rel_entr(shares, middle).sum(axis=-1) + rel_entr(target, middle).sum(axis=-1)
    return np.asarray(both / (2 * np.log(2)))


def normalised_entropy(shares: FloatArray) -> FloatArray:
    """``Hn = -sum_k p_k ln p_k / ln K``; 0 to 1, higher is more balanced.

    Flat near balance (0.97 at 0.40 / 0.60): for display, not for ranking. OpenBias's severity is ``1 - Hn``
    (arXiv 2404.07990).
    """
    return np.asarray(entr(shares).sum(axis=-1) / np.log(shares.shape[-1]))


def miller_madow_entropy(counts: ArrayLike) -> FloatArray:
    """Normalised entropy with the Miller-Madow term ``(observed groups - 1) / (2 n)`` added to ``H``.

    Removes the first-order bias of the plug-in entropy; may slightly exceed 1. Higher is more balanced.
    """
    counts = np.asarray(counts, float)
    n = counts.sum(axis=-1)
    term = ((counts > 0).sum(axis=-1) - 1) / np.where(n > 0, 2 * n, np.nan)
    return np.asarray(normalised_entropy(shares_of(counts)) + term / np.log(counts.shape[-1]))


def simpson(shares: FloatArray) -> FloatArray:
    """Simpson diversity, ``1 - sum_k p_k^2``: chance that two images differ; 0 to ``1 - 1/K``.

    Higher is more balanced; biased downwards by ``1/n`` of itself.
    """
    return np.asarray(1 - (shares**2).sum(axis=-1))


def simpson_unbiased(counts: ArrayLike) -> FloatArray:
    """Simpson diversity without its bias, ``1 - sum n_k (n_k - 1) / (n (n - 1))``; needs two images."""
    counts = np.asarray(counts, float)
    n = counts.sum(axis=-1)
    return np.asarray(1 - (counts * (counts - 1)).sum(axis=-1) / np.where(n >= 2, n * (n - 1), np.nan))


def shen_bias(shares: FloatArray) -> FloatArray:
    """Mean of ``|p_i - p_j|`` over pairs of groups; 0 to ``2 / K``, lower is better.

    Values of taxonomies of different size are not comparable. Source: Shen et al., arXiv 2311.07604.
    """
    first, second = np.triu_indices(shares.shape[-1], k=1)
    return np.asarray(np.abs(shares[..., first] - shares[..., second]).mean(axis=-1))


def mean_absolute_deviation(shares: FloatArray) -> FloatArray:
    """``(1/K) sum_k |p_k - 1/K|``; 0 to ``2 (K - 1) / K^2``, lower is better.

    For two groups it is HEIM's imbalance ``|f - 0.5|`` (arXiv 2311.04287), except that no surviving image
    is ``nan`` here and 0.5 there. Source: DALL-Eval, arXiv 2202.04053.
    """
    return np.asarray(np.abs(shares - 1 / shares.shape[-1]).mean(axis=-1))


def min_max_ratio(shares: FloatArray) -> FloatArray:
    """Smallest over largest share; 0 to 1, higher is better; the 80 % rule asks for 0.8.

    Not usable at small n: a perfectly fair model of four groups passes the rule in 13 % of draws of 100.
    """
    return np.asarray(shares.min(axis=-1) / shares.max(axis=-1))


def bigbench_score(shares: FloatArray, reference: FloatArray) -> FloatArray:
    """BIGbench's implicit score, ``(1 + cos(p, g)) / 2`` (it stores this, not the cosine); higher is better.

    Shares are non-negative, so it never falls below 0.5 and hardly moves. Source: arXiv 2407.15240, code.
    """
    norms = np.linalg.norm(shares, axis=-1) * np.linalg.norm(reference, axis=-1)
    return np.asarray((1 + (shares * reference).sum(axis=-1) / norms) / 2)


def tibet_mad(shares: FloatArray) -> FloatArray:
    """TIBET's "MAD": ``sqrt(mean |x - mean x|)`` over the same of a one-hot vector; 0 to 1, lower is better.

    The square root is in the released code; a plain mean absolute deviation is what the name says.
    Source: TIBET, arXiv 2312.01261.
    """
    one_hot = np.eye(shares.shape[-1])[0]
    return np.sqrt(mean_absolute_deviation(shares) / mean_absolute_deviation(one_hot))
