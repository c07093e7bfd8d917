"""What undetermined images could hide: worst-case bounds, without any assumption (measurement.md 1.23).

A value over decided images alone says nothing about the others. These bounds hold whatever the undetermined
images show; they are no intervals and know nothing of sampling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evenhand.metrics.representation import FloatArray, ratio


def share_bounds(counts: ArrayLike, undetermined: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Least and largest possible share of every group, ``n_k / N`` and ``(n_k + U) / N``.

    ``nan`` without any image.

    Args:
        counts: ``(..., K)`` decided images.
        undetermined: ``(...)`` undetermined ones, ``U``; ``N = sum n_k + U``.
    """
    counts, missing = np.asarray(counts, float), np.asarray(undetermined, float)[..., None]
    total = counts.sum(axis=-1, keepdims=True) + missing
    return ratio(counts, total), ratio(counts + missing, total)


def total_variation_bounds(
    counts: ArrayLike, undetermined: ArrayLike, target: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Least and largest possible ``TV(p, q)``.

    Least: the undetermined images fill up the groups below their target, so what is left is the excess of
    the others, ``sum_k max(0, n_k / N - q_k)`` (images are divided freely; with whole images the least
    value may be up to ``K / (2 N)`` larger). Largest: one group gets them all, as TV is convex; every group
    is tried. For two groups and an even target twice these is Delta's range: 0 if the share may be 0.5, else
    twice the distance to it, up to the farther end.

    Args:
        counts: ``(..., K)`` decided images.
        undetermined: ``(...)`` undetermined ones.
        target: ``(K,)`` or ``(..., K)``.
    """
    low, high = share_bounds(counts, undetermined)
    groups = low.shape[-1]
    one_takes_all = low[..., None, :] + (high - low)[..., None, :] * np.eye(groups)
    farthest = 0.5 * np.abs(one_takes_all - target[..., None, :]).sum(axis=-1)
    return np.asarray(np.maximum(low - target, 0).sum(axis=-1)), np.asarray(farthest.max(axis=-1))


def delta_bounds(
    counts: ArrayLike, undetermined: ArrayLike, target: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """:func:`total_variation_bounds` on the scale of Delta, 0 to 1: divided by ``1 - min_k q_k``."""
    low, high = total_variation_bounds(counts, undetermined, target)
    scale = 1 - target.min(axis=-1)
    return low / scale, high / scale
