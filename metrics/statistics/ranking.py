"""Where a method may rank, one method at a time: secondary to the simultaneous sets of ``rank_sets``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import interval


@dataclass(frozen=True)
class MarginalRanks:
    """What bootstrap draws say of each method's rank by itself; 1 is best.

    Attributes:
        low: ``(M,)``, lower end of the 95 % interval of its rank.
        high: ``(M,)``, upper end.
        best: ``(M,)``, share of the draws in which it is best; a tie is shared. Sums to 1.
    """

    low: FloatArray
    high: FloatArray
    best: FloatArray


def marginal_ranks(draws: FloatArray) -> MarginalRanks:
    """Quantiles of each method's rank and its probability of being best, the smallest value being best.

    Tied methods share the mean of their ranks. These intervals cover less than they say where methods are
    nearly tied (a draw adds noise to an order that was already noisy), and they do not hold for all methods
    at once: :func:`evenhand.metrics.statistics.uncertainty.rank_sets` does. ``best`` is a summary of the draws and no
    test. Source: measurement.md 2.9.

    Args:
        draws: ``(B, M)`` paired bootstrap draws (common indices); draws with a missing value are left out.
    """
    draws = draws[np.isfinite(draws).all(axis=1)]
    first = draws == draws.min(axis=1, keepdims=True)
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = interval(np.asarray(rankdata(draws, axis=1), float))
    return MarginalRanks(low, high, best)
