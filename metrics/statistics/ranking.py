"""Ranks of methods: simultaneous confidence sets, and the secondary marginal intervals of single methods."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, t

from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import ALPHA, interval


@dataclass(frozen=True)
class RankSets:
    """Simultaneous 95 % confidence sets for ranks; 1 is best.

    Attributes:
        low: ``(M,)`` best rank in each set.
        high: ``(M,)`` worst rank in each set.
        worse: ``(M, M)`` whether the first method is shown to be worse than the second.
        tie: ``(M,)`` letters: ``A`` for all methods whose set contains rank 1, ``B`` for those that no method
            outside ``A`` beats, and so on.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    worse: NDArray[np.bool_]
    tie: tuple[str, ...]


def rank_sets(theta: FloatArray, draws: FloatArray, *, clusters: float = np.inf) -> RankSets:
    """Confidence sets for the ranks of ``M`` methods; the smallest value is best.

    Method m is worse than k if ``(theta_m - theta_k) / se > q``, where ``q`` is the 95 % quantile over draws
    of the largest studentised difference. The set of a method is ``[1 + better methods, M - worse methods]``.
    Draws that resample ``c`` concepts vary too little, as in :func:`~.uncertainty.interval`: their ``se`` is
    multiplied by ``sqrt(c / (c - 1))``, and ``q`` is exchanged for the quantile of Student's distribution
    with ``c - 1`` degrees of freedom that is as rarely exceeded as ``q`` under the normal one. Source:
    Mogstad, Romano, Shaikh and Wilhelm, Inference for Ranks, 2024.

    Args:
        theta: ``(M,)`` estimates, all finite.
        draws: ``(B, M)`` paired bootstrap draws (common indices); draws with a missing value are left out.
        clusters: Number of resampled concepts; infinite if none are resampled.
    """
    draws = draws[np.isfinite(draws).all(axis=1)]
    first, second = np.triu_indices(len(theta), k=1)
    difference = theta[first] - theta[second]
    paired = draws.T[first] - draws.T[second]
    paired -= paired.mean(axis=1, keepdims=True)
    error = paired.std(axis=1, ddof=1)
    varies = error > 1e-12
    scale = np.where(varies, error, np.inf)
    reach = (np.abs(paired).T / scale).max(axis=1, initial=0.0)
    needed = np.where(varies, _critical(reach, clusters) * error, 1e-12)
    worse = np.zeros((len(theta), len(theta)), bool)
    worse[first, second], worse[second, first] = difference > needed, -difference > needed
    low, high = 1 + worse.sum(axis=1), len(theta) - worse.sum(axis=0)
    return RankSets(low, high, worse, _ties(worse))


def _critical(reach: FloatArray, clusters: float) -> float:
    """Standard errors that a difference must exceed, from the draws' largest studentised differences."""
    normal = float(np.quantile(reach, 1 - ALPHA))
    if np.isinf(clusters):
        return normal
    c = max(clusters, 2)
    return float(np.sqrt(c / (c - 1)) * t.isf(norm.sf(normal), c - 1))


def _ties(worse: NDArray[np.bool_]) -> tuple[str, ...]:
    """Letters of the tie groups: each group takes the methods that no remaining method beats."""
    letters = [""] * len(worse)
    left = np.ones(len(worse), bool)
    for number in range(len(worse)):
        group = left & ~(worse & left).any(axis=1)
        letter = ascii_uppercase[number % 26] * (number // 26 + 1)
        for method in np.flatnonzero(group):
            letters[method] = letter
        left &= ~group
    return tuple(letters)


@dataclass(frozen=True)
class MarginalRanks:
    """Bootstrap distribution of each method's rank; 1 is best.

    Attributes:
        low: ``(M,)`` lower ends of the 95 % intervals.
        high: ``(M,)`` upper ends of the 95 % intervals.
        best: ``(M,)`` shares of the draws in which a method is best; ties share a draw. Sums to 1.
    """

    low: FloatArray
    high: FloatArray
    best: FloatArray


def marginal_ranks(draws: FloatArray) -> MarginalRanks:
    """Quantiles of each method's rank and its probability of being best; the smallest value is best.

    Tied methods share the mean of their ranks. The intervals cover less than 95 % if methods are nearly tied,
    because a resample adds noise to an order that is already noisy, and they do not hold for all methods at
    once; :func:`rank_sets` does. ``best`` summarises the draws and is
    not a test. Source: Xie, Singh and Zhang 2009 (undercoverage with near ties).

    Args:
        draws: ``(B, M)`` paired bootstrap draws (common indices); draws with a missing value are left out.
    """
    draws = draws[np.isfinite(draws).all(axis=1)]
    first = draws == draws.min(axis=1, keepdims=True)
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = interval(np.asarray(rankdata(draws, axis=1), float))
    return MarginalRanks(low, high, best)
