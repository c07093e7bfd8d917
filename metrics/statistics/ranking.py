"""Marginal rank intervals of single methods, secondary to the simultaneous sets of ``rank_sets``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import interval


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
    once; :func:`evenhand.metrics.statistics.uncertainty.rank_sets` does. ``best`` summarises the draws and is
    not a test. Source: Xie, Singh and Zhang 2009 (undercoverage with near ties).

    Args:
        draws: ``(B, M)`` paired bootstrap draws (common indices); draws with a missing value are left out.
    """
    draws = draws[np.isfinite(draws).all(axis=1)]
    first = draws == draws.min(axis=1, keepdims=True)
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = interval(np.asarray(rankdata(draws, axis=1), float))
    return MarginalRanks(low, high, best)
