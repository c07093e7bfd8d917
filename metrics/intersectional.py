"""Joint attributes: cells such as woman x dark x older, how they are filled and how they are entangled.

A joint table has shape ``(..., K_1, K_2, ...)``; flattened in that order its cells are the groups of one
joint attribute, to which everything in :mod:`evenhand.metrics.representation` applies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from evenhand.metrics.representation import FloatArray, kl_divergence, uniform

MISS = 0.05
"""Chance that a group with exactly the bounding share stays unseen: the bound is a 95 % one."""


def worst_cell_share(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Worst-cell share, ``W = min_g p_g / q_g`` over cells with a target above 0.

    Range 0 to 1, higher is better: 0 means that some combination of groups is never drawn. With few pictures
    a fair model scores 0 as well; read it beside its floor and, at 0, beside :func:`unseen_bound`.
    Source: measurement.md 1.13.
    """
    relative = shares / np.where(target > 0, target, 1.0)
    return np.asarray(np.where(target > 0, relative, np.inf).min(axis=-1))


def unseen_bound(n: ArrayLike) -> FloatArray:
    """Exact 95 % upper bound ``1 - 0.05^(1/n)`` on the share of something seen in none of ``n`` pictures."""
    n = np.asarray(n, float)
    return np.asarray(1 - MISS ** (1 / np.where(n > 0, n, np.nan)))


def marginal_shares(joint: FloatArray, shape: Sequence[int]) -> list[FloatArray]:
    """Marginals of joint shares ``(..., K)`` whose cells have ``shape``, one array ``(..., K_a)`` each."""
    table = joint.reshape(*joint.shape[:-1], *shape)
    axes = range(-len(shape), 0)
    return [table.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]


def total_correlation(joint: FloatArray, shape: Sequence[int]) -> FloatArray:
    """Entanglement, ``KL(p_joint || product of marginals) = sum_a H(p_a) - H(p_joint)`` in nats.

    Range 0 to ``sum_a ln K_a - max_a ln K_a``; lower is better. It is 0 when attributes are independent, also
    when each is unbalanced; marginals may be balanced while it is large (all older people men). Biased
    upwards by about ``(cells - 1 - sum (K_a - 1)) / (2 n)``: compare it with its floor.
    Source: Watanabe 1960; the decomposition of measurement.md 1.13.
    """
    separate = sum(entr(shares).sum(axis=-1) for shares in marginal_shares(joint, shape))
    return np.asarray(separate - entr(joint).sum(axis=-1))


def kl_parts(joint: FloatArray, shape: Sequence[int]) -> tuple[list[FloatArray], FloatArray]:
    """Splits ``KL(p_joint || uniform)`` into marginal imbalance and entanglement, in nats.

    Returns:
        ``KL(p_a || uniform)`` of every attribute, and the total correlation; together they add up to
        ``KL(p_joint || uniform)``.
    """
    marginals = marginal_shares(joint, shape)
    imbalance = [kl_divergence(shares, uniform(shares.shape[-1])) for shares in marginals]
    return imbalance, total_correlation(joint, shape)


def differential_fairness(counts: ArrayLike, *, alpha: float = 1.0) -> float:
    """``eps = max_g max_{o, o'} |ln P(g | o) - ln P(g | o')|`` ; 0 to infinity, lower is better.

    ``P(g | o) = (n_go + alpha) / (n_o + alpha G)``. ``eps <= 0.223`` corresponds to the 80 % rule. A maximum
    over many cells and occupations is biased upwards; it cannot tell which occupation is the odd one.
    Source: adapted from Foulds et al., arXiv 1807.08362.

    Args:
        counts: ``(O, G)`` decided pictures by occupation and cell.
        alpha: Smoothing; 0 gives the raw value, infinite when a cell is empty somewhere.
    """
    counts = np.asarray(counts, float) + alpha
    with np.errstate(divide="ignore"):
        logs = np.log(counts / counts.sum(axis=-1, keepdims=True))
    return float((logs.max(axis=0) - logs.min(axis=0)).max())
