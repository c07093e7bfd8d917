"""Joint attributes: cells such as woman x dark x older, how they are filled and how they are entangled.

A joint table has shape ``(..., K_1, K_2, ...)``; flattened in that order its cells are the groups of one
joint attribute, to which everything in :mod:`evenhand.metrics.representation` applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray, by_group, kl_divergence, uniform
from evenhand.metrics.statistics.uncertainty import fair_tables

POSTERIOR_DRAWS = 5000
"""Draws from a Dirichlet posterior."""

REFERENCE_DRAWS = 1000
"""Simulated models of a reference."""

FOUR_FIFTHS = 0.8
"""The 80 % rule: the rarest group must reach this part of the most frequent one."""

MISS = 0.05
"""Chance that a group with exactly the bounding share stays unseen: the bound is a 95 % one."""


def worst_cell_share(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Worst-cell share, ``W = min_g p_g / q_g`` over cells with a target above 0.

    Range 0 to 1, higher is better: 0 means that some combination of groups is never drawn. With few images
    a fair model scores 0 as well; read it beside its floor and, at 0, beside :func:`unseen_bound`.
    Source: measurement.md 1.13.
    """
    target = by_group(target)
    asked = target > 0
    # Nearly always so; what follows goes three times over millions of draws.
    if asked.all():
        return np.asarray((shares / target).min(axis=-1))
    relative = shares / np.where(asked, target, 1.0)
    return np.asarray(np.where(asked, relative, np.inf).min(axis=-1))


def unseen_bound(n: ArrayLike) -> FloatArray:
    """Exact 95 % upper bound ``1 - 0.05^(1/n)`` on the share of something seen in none of ``n`` images."""
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


def subset_counts(
    joint: ArrayLike, names: Sequence[str], *, largest: int = 2
) -> dict[tuple[str, ...], FloatArray]:
    """Counts of every subset of up to ``largest`` attributes: what an audit of all subsets looks at.

    A model may be balanced in each attribute and in the whole table's worst cell be unreadable; pairs are
    where entanglement shows with enough images. Source: Foulds et al., arXiv 1807.08362.

    Args:
        joint: ``(..., K_1, ..., K_A)`` decided images.
        names: The ``A`` attributes.
        largest: Attributes in the largest subset.

    Returns:
        Attributes to ``(..., K)`` counts of their flattened cells; single attributes first.

    Raises:
        EvenhandError: The table has fewer axes than names.
    """
    joint = np.asarray(joint, float)
    if joint.ndim < len(names):
        raise EvenhandError(f"joint table of {joint.ndim} axes for attributes {', '.join(names)}; add axes")
    axes = range(joint.ndim - len(names), joint.ndim)
    found = {}
    for size in range(1, min(largest, len(names)) + 1):
        for kept in combinations(range(len(names)), size):
            others = tuple(axis for number, axis in enumerate(axes) if number not in kept)
            part = joint.sum(axis=others)
            flat = part.reshape(*part.shape[: part.ndim - size], -1)
            found[tuple(names[number] for number in kept)] = flat
    return found


def chance_of_four_fifths(
    counts: ArrayLike, *, rng: np.random.Generator, draws: int = POSTERIOR_DRAWS
) -> float:
    """Probability that the 80 % rule holds, ``P(min p / max p >= 0.8)`` under ``Dirichlet(n + 0.5)``.

    Range 0 to 1, higher is better. Said instead of a yes or no, which a fair model of four groups gets wrong
    in 87 % of draws of 100 images. It takes images as independent draws. ``nan`` without an image.
    Source: measurement.md 1.13.

    Args:
        counts: ``(K,)`` decided images.
        rng: Random stream.
        draws: Draws from the posterior.
    """
    counts = np.asarray(counts, float)
    if not counts.sum():
        return float("nan")
    shares = rng.dirichlet(counts + 0.5, size=draws)
    return float((shares.min(axis=1) >= FOUR_FIFTHS * shares.max(axis=1)).mean())


def differential_fairness_reference(
    counts: ArrayLike,
    *,
    rng: np.random.Generator,
    alpha: float = 1.0,
    draws: int = REFERENCE_DRAWS,
) -> FloatArray:
    """What :func:`differential_fairness` is by chance: every occupation at the pooled shares, same ``n_o``.

    The maximum over cells and occupations is far from 0 even then; only a value above these draws says that
    occupations differ. Source: measurement.md 1.13.

    Args:
        counts: ``(O, G)`` decided images.
        rng: Random stream.
        alpha: As in :func:`differential_fairness`.
        draws: Simulated models.

    Returns:
        ``(draws,)``.
    """
    counts = np.asarray(counts, float)
    pooled = counts.sum(axis=0) / counts.sum()
    tables = fair_tables(counts.sum(axis=1), pooled, draws=draws, rng=rng)
    return np.array([differential_fairness(table, alpha=alpha) for table in tables])


def differential_fairness(counts: ArrayLike, *, alpha: float = 1.0) -> float:
    """``eps = max_g max_{o, o'} |ln P(g | o) - ln P(g | o')|`` ; 0 to infinity, lower is better.

    ``P(g | o) = (n_go + alpha) / (n_o + alpha G)``. ``eps <= 0.223`` corresponds to the 80 % rule. A maximum
    over many cells and occupations is biased upwards; it cannot tell which occupation is the odd one.
    Source: adapted from Foulds et al., arXiv 1807.08362.

    Args:
        counts: ``(O, G)`` decided images by occupation and cell.
        alpha: Smoothing; 0 gives the raw value, infinite when a cell is empty somewhere.
    """
    counts = np.asarray(counts, float) + alpha
    with np.errstate(divide="ignore"):
        logs = np.log(counts / counts.sum(axis=-1, keepdims=True))
    return float((logs.max(axis=0) - logs.min(axis=0)).max())
