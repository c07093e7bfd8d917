"""Measures of joint attributes, whose cells are combinations of groups such as woman x dark x older.

A joint table has shape ``(..., K_1, K_2, ...)``. Flattened in that order, its cells are the groups of one
joint attribute, to which every function in :mod:`evenhand.metrics.representation` applies.
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
"""Simulated models of a reference distribution."""

FOUR_FIFTHS = 0.8
"""The 80 % rule: smallest share over largest share must be at least this ratio."""

MISS = 0.05
"""Probability that a group with exactly the bounding share stays unseen, for a 95 % bound."""


def worst_cell_share(shares: FloatArray, target: FloatArray) -> FloatArray:
    """Worst-cell share, ``W = min_g p_g / q_g`` over cells with a target above 0.

    Range 0 to 1; higher is better. 0 means that some combination of groups is never drawn. With few images a
    fair model also scores 0: compare the value with its floor and, at 0, with :func:`unseen_bound`.
    Source: defined by Evenhand.
    """
    target = by_group(target)
    asked = target > 0
    # The common case, kept fast: the general one passes three times over millions of draws.
    if asked.all():
        return np.asarray((shares / target).min(axis=-1))
    relative = shares / np.where(asked, target, 1.0)
    return np.asarray(np.where(asked, relative, np.inf).min(axis=-1))


def unseen_bound(n: ArrayLike, *, miss: float = MISS) -> FloatArray:
    """Exact upper bound ``1 - miss^(1/n)`` on the share of a group seen in none of ``n`` images.

    Args:
        n: Number of images.
        miss: Probability that the share is larger.
    """
    n = np.asarray(n, float)
    return np.asarray(1 - miss ** (1 / np.where(n > 0, n, np.nan)))


def marginal_shares(joint: FloatArray, shape: Sequence[int]) -> list[FloatArray]:
    """Marginals of joint shares ``(..., K)`` whose cells have ``shape``, one array ``(..., K_a)`` each."""
    table = joint.reshape(*joint.shape[:-1], *shape)
    axes = range(-len(shape), 0)
    return [table.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]


def total_correlation(joint: FloatArray, shape: Sequence[int]) -> FloatArray:
    """Entanglement, ``KL(p_joint || product of marginals) = sum_a H(p_a) - H(p_joint)`` in nats.

    Range 0 to ``sum_a ln K_a - max_a ln K_a``; lower is better. It is 0 if the attributes are independent,
    even if each is unbalanced, and can be large although the marginals are balanced (all older people are
    men). Together with the marginal imbalances it adds up to ``KL(p_joint || uniform)``, see
    :func:`kl_parts`. Biased upwards by about ``(cells - 1 - sum (K_a - 1)) / (2 n)``: compare it with its
    floor. Source: Watanabe 1960.
    """
    separate = sum(entr(shares).sum(axis=-1) for shares in marginal_shares(joint, shape))
    return np.asarray(separate - entr(joint).sum(axis=-1))


def kl_parts(joint: FloatArray, shape: Sequence[int]) -> tuple[list[FloatArray], FloatArray]:
    """Marginal imbalances and entanglement, the two parts of ``KL(p_joint || uniform)``, in nats.

    ``KL(p_joint || uniform) = sum_a KL(p_a || uniform) + total correlation``.

    Returns:
        ``KL(p_a || uniform)`` of every attribute, and the total correlation.
    """
    marginals = marginal_shares(joint, shape)
    imbalance = [kl_divergence(shares, uniform(shares.shape[-1])) for shares in marginals]
    return imbalance, total_correlation(joint, shape)


def subset_counts(
    joint: ArrayLike, names: Sequence[str], *, largest: int = 2
) -> dict[tuple[str, ...], FloatArray]:
    """Counts of every subset of up to ``largest`` attributes, for an audit of all subsets.

    Single attributes can hide an imbalance of their combinations, and the full table can have too few images
    per cell. Pairs show entanglement with enough images. Source: Foulds et al., arXiv 1807.08362.

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
        raise EvenhandError(
            f"joint table needs one axis per attribute ({', '.join(names)}), got {joint.ndim} axes"
        )
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

    Range 0 to 1; higher is better. Report it instead of a yes or no: a fair model with four groups fails the
    rule in 87 % of samples of 100 images. Images count as independent draws. ``nan`` without an image.
    Source: four-fifths rule, US Uniform Guidelines on Employee Selection Procedures 1978; Jeffreys prior.

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
    """Values of :func:`differential_fairness` if all occupations have the pooled shares, at the same ``n_o``.

    The maximum over cells and occupations is far from 0 even then. Only a value above these draws shows that
    occupations differ.

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
    """``eps = max_g max_{o, o'} |ln P(g | o) - ln P(g | o')|``; 0 to infinity, lower is better.

    ``P(g | o) = (n_go + alpha) / (n_o + alpha G)``. ``eps <= ln 1.25 = 0.223`` corresponds to the 80 % rule.
    The maximum over many cells and occupations is biased upwards: compare it with
    :func:`differential_fairness_reference`. The value does not show which occupation is responsible.
    Source: adapted from Foulds et al., arXiv 1807.08362.

    Args:
        counts: ``(O, G)`` decided images by occupation and cell.
        alpha: Smoothing; 0 gives the raw value, which is infinite if a cell is empty in some occupation.
    """
    counts = np.asarray(counts, float) + alpha
    with np.errstate(divide="ignore"):
        logs = np.log(counts / counts.sum(axis=-1, keepdims=True))
    return float((logs.max(axis=0) - logs.min(axis=0)).max())
