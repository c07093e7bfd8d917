"""Do independent judges agree? Agreement is not accuracy: judges may share a bias, or have opposite ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import cohens_kappa

from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.uncertainty import interval

Codes = NDArray[np.int64]
"""Labels as ``(judges, units)`` group indices; ``K`` and above is undetermined."""


class Agreed(NamedTuple):
    """A coefficient with its 95 % interval and the number of units (pictures) behind it."""

    value: float
    low: float
    high: float
    n: int


def coincidences(codes: Codes, groups: int) -> FloatArray:
    """Krippendorff's coincidences of each unit, ``(units, K, K)``: label pairs over ``m_u - 1``.

    Units with fewer than two labels contribute nothing.
    """
    votes = (codes[..., None] == np.arange(groups)).sum(axis=0)
    pairs = votes[:, :, None] * (votes[:, None, :] - np.eye(groups))
    labelled = votes.sum(axis=1)[:, None, None]
    return np.where(labelled > 1, pairs / np.maximum(labelled - 1, 1), 0.0)


def alpha_of(coincidence: FloatArray) -> FloatArray:
    """Nominal alpha of coincidence matrices ``(..., K, K)``; ``nan`` where fewer than two groups occur."""
    totals = coincidence.sum(axis=-1)
    n = totals.sum(axis=-1)
    observed = n - np.trace(coincidence, axis1=-2, axis2=-1)
    expected = (n**2 - (totals**2).sum(axis=-1)) / np.where(n > 1, n - 1, np.nan)
    return 1 - ratio(observed, expected)


def krippendorff_alpha(codes: Codes, groups: int, *, draws: int, rng: np.random.Generator) -> Agreed:
    """Krippendorff's alpha for nominal labels, ``1 - D_observed / D_expected``, over all judges at once.

    Range -1 to 1: 1 is perfect, 0 is chance; higher is better. Missing labels are allowed. It cannot tell
    who is wrong: two judges with opposite biases agree badly and may be right on average. It falls when one
    group dominates. The interval is a percentile bootstrap over units.
    Source: Krippendorff 2011.
    """
    units = coincidences(codes, groups)
    units = units[units.any(axis=(1, 2))]
    if not len(units):
        return Agreed(np.nan, np.nan, np.nan, 0)
    patterns, counts = np.unique(units.reshape(len(units), -1), axis=0, return_counts=True)
    resampled = rng.multinomial(len(units), counts / len(units), size=draws) @ patterns
    low, high = interval(alpha_of(resampled.reshape(draws, groups, groups)))
    return Agreed(float(alpha_of(units.sum(axis=0))), float(low), float(high), len(units))


def cohen_kappa(first: NDArray[np.int64], second: NDArray[np.int64], groups: int) -> Agreed:
    """Cohen's kappa of two judges on the units that both decide, ``(p_o - p_e) / (1 - p_e)``.

    Range -1 to 1: 1 is perfect, 0 is chance; higher is better. ``nan`` when both always give one and the same
    label. It cannot tell which of the two is right, and a dominant group lowers it (the kappa paradox).
    Source: Cohen 1960; interval from its asymptotic variance.
    """
    both = (first < groups) & (second < groups)
    table = np.zeros((groups, groups))
    np.add.at(table, (first[both], second[both]), 1)
    n = int(both.sum())
    if n == 0 or np.count_nonzero(table.sum(axis=0) + table.sum(axis=1)) < 2:
        return Agreed(np.nan, np.nan, np.nan, n)
    with np.errstate(invalid="ignore"):  # a variance of 0 under perfect agreement
        result = cohens_kappa(table)
    return Agreed(float(result.kappa), float(result.kappa_low), float(result.kappa_upp), n)
