"""Distances of the depicted shares of one attribute from a target: pure, vectorised functions.

``shares`` and ``counts`` have the shape ``(..., K)``; a target has the shape ``(K,)``, or ``(R, K)`` with one
row per occupation for shares ``(..., R, K)``. ``K`` is always the size of the taxonomy, never the number of
observed groups: otherwise a model that draws one group only would look perfectly fair. Without decided images
the result is ``nan``, never 0.

Every function takes one distribution at a time. Apply it per occupation and average afterwards, because
opposite stereotypes cancel in a pooled distribution: on the counts released with Fair Diffusion (arXiv
2302.10893), the deviation ratio is 0.623 on average over occupations, but 0.103 for the pooled shares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, rel_entr

FloatArray = NDArray[np.float64]


def uniform(groups: int) -> FloatArray:
    """The uniform target, which gives each of ``groups`` groups the same share."""
    return np.full(groups, 1.0 / groups)


def shares_of(counts: ArrayLike) -> FloatArray:
    """Observed shares ``n_k / n``; ``nan`` without decided images."""
    counts = np.asarray(counts, float)
    return ratio(counts, counts.sum(axis=-1, keepdims=True))


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """``part / whole``; ``nan`` where the whole is not positive, because the value is missing, not 0."""
    part, there = np.asarray(part, float), np.asarray(whole) > 0
    if there.all():
        return np.asarray(part / whole)
    found = np.full_like(np.broadcast_to(part, np.broadcast_shapes(part.shape, there.shape)), np.nan)
    return np.asarray(np.divide(part, whole, out=found, where=there))


def by_group(values: FloatArray) -> FloatArray:
    """The same array in Fortran's memory layout: the draws of each group, or each row and group, together.

    It makes sums over the short last axes of millions of bootstrap draws several times faster.
    """
    return np.asfortranarray(values)


def from_target(shares: FloatArray, target: FloatArray) -> FloatArray:
    """``shares - target``, in the memory layout of :func:`by_group` if ``shares`` has it."""
    return np.asarray(shares - by_group(target))


def deviation_ratio(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Deviation ratio per group, ``|q_k - p_k| / q_k``.

    Range 0 to ``(1 - q_k) / q_k``; lower is better. A group with target 0 gives ``nan``. With few images it
    does not distinguish a biased from a fair model: for two groups, a fair model scores about
    ``sqrt(2 / (pi n))``. Source: UCE, arXiv 2308.14761; also used by TIME (arXiv 2303.08084) and MIST (arXiv
    2403.19738).

    Returns:
        ``(..., K)``: one ratio per group.
    """
    asked = np.where(target > 0, target, np.nan)
    return np.asarray(np.abs(target - shares) / asked)


def worst_deviation(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Delta of one occupation, ``max_k |p_k - q_k| / (1 - min_k q_k)``.

    Range 0 to 1; lower is better. For two groups and a uniform target it equals UCE's deviation ratio. It
    depends on the worst group only, and a fair model does not score 0 at finite ``n``. Source:
    Self-Discovering, arXiv 2311.17216, code (uniform target); other targets by the same normalisation.
    """
    return np.asarray(np.abs(from_target(shares, target)).max(axis=-1) / (1 - target.min(axis=-1)))


def total_variation(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Total variation, ``TV = 0.5 sum_k |p_k - q_k|``: the share of images that would have to change group.

    Range 0 to ``1 - min q``; lower is better. It does not show which groups are missing.
    """
    return np.asarray(0.5 * np.abs(from_target(shares, target)).sum(axis=-1))


def delta_tv(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Normalised total variation, ``TV(p, q) / (1 - min_k q_k)``.

    Range 0 to 1; lower is better. It equals UCE's deviation ratio for two groups and a uniform target. Unlike
    :func:`worst_deviation` it depends on every group. A fair model does not score 0 at finite ``n``.
    Source: defined by Evenhand; for uniform targets it is 1 minus FairImagen's fairness.
    """
    return np.asarray(total_variation(shares, target) / (1 - target.min(axis=-1)))


def largest_squared_distance(target: FloatArray) -> FloatArray:
    """Largest possible ``||p - q||^2``, with all images in the rarest target group; ``1 - 1/K`` if uniform.

    Returns:
        ``(...)`` for targets ``(..., K)``.
    """
    return np.asarray(1 - 2 * target.min(axis=-1) + (target**2).sum(axis=-1))


def multinomial_noise(shares: FloatArray, n: ArrayLike) -> FloatArray:
    """Unbiased trace of the covariance of observed shares, ``(1 - sum_k p_k^2) / (n - 1)``.

    ``nan`` for fewer than two decided images, from which noise cannot be estimated.
    """
    n = np.asarray(n, float)
    return np.asarray((1 - (shares**2).sum(axis=-1)) / np.where(n >= 2, n - 1, np.nan))


def squared_deviation(shares: FloatArray, target: FloatArray, noise: FloatArray) -> FloatArray:
    """Unbiased squared deviation, ``V = sum_k (p_k - q_k)^2 - trace Cov(p)``.

    Its expectation is ``||p - q||^2`` for every ``n``, so single values can be negative: keep the sign in
    means. Lower is better. The value of one occupation is noisy; use averages over occupations. Source:
    defined by Evenhand; the same bias correction as in Simpson's unbiased diversity index (Simpson 1949).

    Args:
        shares: ``(..., K)`` unbiased estimate of the shares; after a judge correction it may leave the
            simplex.
        target: ``(K,)`` or ``(R, K)``.
        noise: ``(...)`` trace of the covariance of ``shares``: :func:`multinomial_noise`, or after a judge
            correction the noise of :func:`evenhand.metrics.correction.correction.invert`.
    """
    return np.asarray((from_target(shares, target) ** 2).sum(axis=-1) - noise)


def rms_delta(squared: FloatArray, target: FloatArray) -> FloatArray:
    """``RMSDelta = sqrt(clip(mean_o V_o / max ||p - q||^2, 0, 1))`` over the last axis (occupations).

    Range 0 to 1; lower is better. For two groups and a uniform target it estimates the root mean square of
    the deviation ratio. Occupations without a value are left out. Like every distance it does not show the
    direction of a bias. Source: defined by Evenhand.
    """
    return root(mean_over(squared / largest_squared_distance(target)))


def root(mean_square: FloatArray) -> FloatArray:
    """Square root of an estimated mean square, clipped to [0, 1] because noise can move it outside."""
    return np.asarray(np.sqrt(np.clip(mean_square, 0, 1)))


def mean_over(values: FloatArray) -> FloatArray:
    """Mean over the last axis without ``nan`` values; ``nan`` if there are no others."""
    total = values.sum(axis=-1)
    if values.shape[-1] and not np.isnan(total).any():
        return np.asarray(total / values.shape[-1])
    present = ~np.isnan(values)
    return ratio(np.where(present, values, 0).sum(axis=-1), present.sum(axis=-1))


def fd_l2(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Fairness discrepancy, ``||p - q||_2``; 0 to ``sqrt(1 - 1/K)`` if uniform, lower is better.

    Biased upwards at finite ``n``. Source: CLEAM, arXiv 2310.19297, and earlier work on fair GANs.
    """
    return np.asarray(np.linalg.norm(shares - target, axis=-1))


def kl_divergence(shares: FloatArray, target: FloatArray) -> FloatArray:
    """``KL(p || q)`` in nats; 0 to ``ln K`` for a uniform target, lower is better.

    Infinite if a group with target 0 occurs. An absent group contributes 0; the reverse divergence would be
    infinite and is left out. Biased upwards by about ``(K - 1) / (2 n)``. Source: ITI-GEN, arXiv 2309.05569.
    """
    return np.asarray(rel_entr(shares, target).sum(axis=-1))


def js_divergence(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Jensen-Shannon divergence in bits, ``(KL(p || m) + KL(q || m)) / (2 ln 2)`` with ``m = (p + q) / 2``.

    Range 0 to 1; lower is better; always finite. Biased upwards. Source: Lin 1991.
    """
    middle = (shares + target) / 2
    both = rel_entr(shares, middle).sum(axis=-1) + rel_entr(target, middle).sum(axis=-1)
    return np.asarray(both / (2 * np.log(2)))


def normalised_entropy(shares: FloatArray) -> FloatArray:
    """Normalised entropy, ``Hn = -sum_k p_k ln p_k / ln K``; 0 to 1, higher is more balanced.

    It is flat near balance (0.97 at 0.40 / 0.60): use it for display, not for ranking. OpenBias's severity is
    ``1 - Hn`` (arXiv 2404.07990).
    """
    return np.asarray(entr(shares).sum(axis=-1) / np.log(shares.shape[-1]))


def miller_madow_entropy(counts: ArrayLike) -> FloatArray:
    """Normalised entropy with the Miller-Madow term ``(observed groups - 1) / (2 n)`` added to ``H``.

    The term removes the first-order bias of the plug-in entropy. The value may slightly exceed 1; higher is
    more balanced. Source: Miller 1955.
    """
    counts = np.asarray(counts, float)
    n = counts.sum(axis=-1)
    term = ((counts > 0).sum(axis=-1) - 1) / np.where(n > 0, 2 * n, np.nan)
    return np.asarray(normalised_entropy(shares_of(counts)) + term / np.log(counts.shape[-1]))


def simpson(shares: FloatArray) -> FloatArray:
    """Simpson diversity, ``1 - sum_k p_k^2``: probability that two images differ; 0 to ``1 - 1/K``.

    Higher is more balanced. Biased downwards by the factor ``1 - 1/n``. Source: Simpson 1949.
    """
    return np.asarray(1 - (shares**2).sum(axis=-1))


def simpson_unbiased(counts: ArrayLike) -> FloatArray:
    """Unbiased Simpson diversity, ``1 - sum_k n_k (n_k - 1) / (n (n - 1))``; ``nan`` below two images."""
    counts = np.asarray(counts, float)
    n = counts.sum(axis=-1)
    return np.asarray(1 - (counts * (counts - 1)).sum(axis=-1) / np.where(n >= 2, n * (n - 1), np.nan))


def shen_bias(shares: FloatArray) -> FloatArray:
    """Mean of ``|p_i - p_j|`` over pairs of groups; 0 to ``2 / K``, lower is better.

    Values of taxonomies with different ``K`` are not comparable. Source: Shen et al., arXiv 2311.07604.
    """
    first, second = np.triu_indices(shares.shape[-1], k=1)
    return np.asarray(np.abs(shares[..., first] - shares[..., second]).mean(axis=-1))


def mean_absolute_deviation(shares: FloatArray) -> FloatArray:
    """``(1/K) sum_k |p_k - 1/K|``; 0 to ``2 (K - 1) / K^2``, lower is better.

    For two groups it equals HEIM's gender imbalance ``|f - 0.5|`` (arXiv 2311.04287), except that the value
    without images is ``nan`` here and 0.5 in HEIM. Source: DALL-Eval, arXiv 2202.04053.
    """
    return np.asarray(np.abs(shares - 1 / shares.shape[-1]).mean(axis=-1))


def min_max_ratio(shares: FloatArray) -> FloatArray:
    """Smallest over largest share; 0 to 1, higher is better; the 80 % rule requires 0.8.

    Not usable for small ``n``: a perfectly fair model with four groups passes the rule in 13 % of samples of
    100 images. Source: four-fifths rule, US Uniform Guidelines on Employee Selection Procedures 1978.
    """
    return np.asarray(shares.min(axis=-1) / shares.max(axis=-1))


def bigbench_score(shares: FloatArray, reference: FloatArray) -> FloatArray:
    """BIGbench's implicit score, ``(1 + cos(p, g)) / 2``; 0.5 to 1, higher is better.

    The released code stores this value, not the cosine. Shares are non-negative, so the score is at least 0.5
    and insensitive. Source: BIGbench, arXiv 2407.15240, code.
    """
    norms = np.linalg.norm(shares, axis=-1) * np.linalg.norm(reference, axis=-1)
    return np.asarray((1 + (shares * reference).sum(axis=-1) / norms) / 2)


def tibet_mad(shares: FloatArray) -> FloatArray:
    """TIBET's "MAD": ``sqrt(mean |x - mean x|)``, divided by its value for a one-hot vector.

    Range 0 to 1; lower is better. The square root is in the released code, although the name stands for mean
    absolute deviation. Source: TIBET, arXiv 2312.01261, code.
    """
    one_hot = np.eye(shares.shape[-1])[0]
    return np.sqrt(mean_absolute_deviation(shares) / mean_absolute_deviation(one_hot))
