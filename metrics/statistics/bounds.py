"""Worst-case bounds on shares and distances, whatever the undetermined images show.

Estimates use decided images only. These bounds need no assumption on the others. They do not include sampling
error, so they are not confidence intervals. Source: partial identification, Manski 1989.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evenhand.metrics.representation import FloatArray, ratio


def share_bounds(counts: ArrayLike, undetermined: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest possible share of every group, ``n_k / N`` and ``(n_k + U) / N``.

    ``N = sum_k n_k + U``; ``nan`` without any image.

    Args:
        counts: ``(..., K)`` decided images.
        undetermined: ``(...)`` undetermined images, ``U``.
    """
    counts, missing = np.asarray(counts, float), np.asarray(undetermined, float)[..., None]
    total = counts.sum(axis=-1, keepdims=True) + missing
    return ratio(counts, total), ratio(counts + missing, total)


def total_variation_bounds(
    counts: ArrayLike, undetermined: ArrayLike, target: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest possible ``TV(p, q)``.

    The smallest value results if the undetermined images fill the groups below their target; what remains is
    the excess of the others, ``sum_k max(0, n_k / N - q_k)``. (Images are divided freely; for whole images
    the smallest value can be up to ``K / (2 N)`` larger.) The largest value results if one group gets all
    undetermined images, because TV is convex; the maximum over all groups is returned.

    Args:
        counts: ``(..., K)`` decided images.
        undetermined: ``(...)`` undetermined images.
        target: ``(K,)`` or ``(..., K)`` target shares.
    """
    low, high = share_bounds(counts, undetermined)
    groups = low.shape[-1]
    one_takes_all = low[..., None, :] + (high - low)[..., None, :] * np.eye(groups)
    farthest = 0.5 * np.abs(one_takes_all - target[..., None, :]).sum(axis=-1)
    return np.asarray(np.maximum(low - target, 0).sum(axis=-1)), np.asarray(farthest.max(axis=-1))


def delta_bounds(
    counts: ArrayLike, undetermined: ArrayLike, target: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """:func:`total_variation_bounds` on the scale of ``delta_tv``, 0 to 1: divided by ``1 - min_k q_k``."""
    low, high = total_variation_bounds(counts, undetermined, target)
    scale = 1 - target.min(axis=-1)
    return low / scale, high / scale
