"""Skew of a ranking of images for a neutral text: an audit of a CLIP judge itself (measurement.md 1.21).

The images of a labelled collection are ranked by their similarity to a text such as "a photo of a kind
person"; a judge whose embedding ties kindness to a group ranks that group first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray, kl_divergence, shares_of


def max_skew(ranked: NDArray[np.int64], target: FloatArray, *, k: int) -> float:
    """``MaxSkew@k = max_g ln(share of g in the top k / q_g)``; 0 is fair, lower is better.

    Up to ``-ln min q``. A group that is absent from the top counts as one image of ``k`` in its own ratio,
    as in the released code, so that the logarithm exists. It sees the most favoured group alone.
    Source: Berg et al., arXiv 2203.11933, code.

    Args:
        ranked: ``(n,)`` groups of the images, best match first.
        target: ``(K,)`` shares in the whole collection, all above 0.
        k: Length of the top.

    Raises:
        EvenhandError: The ranking is shorter than ``k``, or a target share is 0.
    """
    _check(ranked, target, k)
    counts = np.bincount(ranked[:k], minlength=len(target))
    return float(np.log(np.maximum(counts, 1) / k / target).max())


def ndkl(ranked: NDArray[np.int64], target: FloatArray) -> float:
    """``NDKL = (1/Z) sum_i KL(top-i shares || q) / log2(i + 1)``, ``Z = sum_i 1 / log2(i + 1)``, in nats.

    0 is fair, lower is better; the top weighs most. Never 0 for a fair ranking either, as the top 1 is one
    image: compare with shuffled rankings. Source: Geyik et al., arXiv 1905.01989; Berg et al., code.

    Args:
        ranked: ``(n,)`` groups of the images, best match first.
        target: ``(K,)`` shares in the whole collection, all above 0.
    """
    _check(ranked, target, 1)
    tops = shares_of(np.cumsum(np.eye(len(target))[ranked], axis=0))
    discount = 1 / np.log2(np.arange(2, len(ranked) + 2))
    return float((discount * kl_divergence(tops, target)).sum() / discount.sum())


def _check(ranked: NDArray[np.int64], target: FloatArray, k: int) -> None:
    if not 1 <= k <= len(ranked):
        raise EvenhandError(f"a top {k} of {len(ranked)} ranked images; give k between 1 and their number")
    if (target <= 0).any():
        raise EvenhandError(f"target shares {target.tolist()}; leave groups out that the collection lacks")
