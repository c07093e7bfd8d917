"""Intervals, floors and tests: the uncertainty of every estimate of a run.

Images are not independent draws: they cluster by concept, template and seed. The bootstrap draws concepts
with replacement (unless the claim is about a fixed list), templates within each drawn concept, and seeds
within each drawn template. Every method and judge uses the same resampled indices, so differences of methods
are paired.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import beta, norm, t

from evenhand.metrics.representation import FloatArray, by_group, ratio

ALPHA = 0.05
"""Every interval is a 95 % interval."""

FLOOR_DRAWS = 2000
"""Number of simulated fair models for a floor; the Monte Carlo error is below 1 % of the floor."""

EXACT_PAIRS = 20
"""Largest number of pairs for which the sign-flip test enumerates all flips."""

FLIPS = 10_000
"""Random flips for more pairs."""


def stream(seed: int, *names: str) -> np.random.Generator:
    """A separate random stream for each name, so that a new judge does not change other judges' numbers."""
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])


def wilson(count: ArrayLike, n: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Wilson interval of a share ``count / n``; the default for one binary share. ``nan`` for ``n = 0``.

    Source: Wilson 1927.
    """
    return _of_seen(count, n, ends=_wilson)


def _wilson(count: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    share, z = count / n, norm.isf(ALPHA / 2)
    widened = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / widened
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / widened
    # In exact arithmetic, both ends are inside.
    return np.clip(centre - reach, 0, 1), np.clip(centre + reach, 0, 1)


def clopper_pearson(count: ArrayLike, n: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Clopper-Pearson interval; its coverage is at least 95 % for every share, which gates need.

    Source: Clopper and Pearson 1934.
    """

    def ends(count: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        low = beta.ppf(ALPHA / 2, count, n - count + 1)
        high = beta.isf(ALPHA / 2, count + 1, n - count)
        return np.where(count == 0, 0, low), np.where(count == n, 1, high)

    return _of_seen(count, n, ends=ends)


def _of_seen(
    count: ArrayLike,
    n: ArrayLike,
    *,
    ends: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]],
) -> tuple[FloatArray, FloatArray]:
    """The ends of an interval of ``count / n``; ``nan`` for ``n = 0``."""
    count, n = np.broadcast_arrays(np.asarray(count, float), np.asarray(n, float))
    low, high = ends(np.where(n > 0, count, 0), np.where(n > 0, n, 1))
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def cluster_weights(
    sizes: Sequence[Sequence[int]], *, draws: int, rng: np.random.Generator
) -> NDArray[np.unsignedinteger]:
    """Number of times that each leaf (a seed of a template of a row) occurs in each bootstrap draw.

    Within every row, clusters are drawn with replacement and, within each drawn cluster, its leaves. The
    members of one leaf stay together: its images, the labels of all judges, the same seed under every method.
    Counts and sums of a resample are one matrix product with these weights.

    Args:
        sizes: For each row, the number of leaves of each of its clusters.
        draws: Number of resamples ``B``.
        rng: Random stream.

    Returns:
        ``(R, B, W)``, ``W`` the leaves of the longest row in the order of ``sizes``, 0 beyond a row's end.
    """
    width = max(sum(row) for row in sizes)
    weights: NDArray[np.unsignedinteger] = np.zeros((len(sizes), draws, width), dtype=np.uint8)
    for row, clusters in enumerate(sizes):
        picked = rng.multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)), size=draws)
        start = 0
        for cluster, leaves in enumerate(clusters):
            times = picked[:, cluster] * leaves
            stop = start + leaves
            drawn = rng.multinomial(times, np.full(leaves, 1 / leaves))
            weights = _wide_enough(weights, drawn)
            weights[row, :, start:stop] = drawn
            start = stop
    return weights


def whole_cluster_weights(
    sizes: Sequence[Sequence[int]], *, draws: int, rng: np.random.Generator
) -> NDArray[np.unsignedinteger]:
    """:func:`cluster_weights` with all leaves of each drawn cluster kept, ``(R, B, W)``.

    Resampling leaves within drawn clusters counts their noise twice, because it already contributes to the
    differences between clusters. Source: Davison and Hinkley 1997, section 3.8.
    """
    width = max(sum(row) for row in sizes)
    weights: NDArray[np.unsignedinteger] = np.zeros((len(sizes), draws, width), dtype=np.uint8)
    for row, clusters in enumerate(sizes):
        picked = rng.multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)), size=draws)
        weights = _wide_enough(weights, picked)
        weights[row, :, : sum(clusters)] = np.repeat(picked, clusters, axis=1)
    return weights


def crossed_weights(
    sizes: Sequence[Sequence[int]], *, draws: int, rng: np.random.Generator
) -> NDArray[np.unsignedinteger]:
    """:func:`whole_cluster_weights` with the same clusters in all rows of a draw, ``(R, B, W)``.

    With rows resampled as well, this is the bootstrap of two crossed factors. It never underestimates the
    variance of a mean, and triples the part of single images. Source: Owen, The pigeonhole bootstrap, 2007.

    Args:
        sizes: For each row, the number of leaves of each of the clusters that all rows have.
        draws: Number of resamples ``B``.
        rng: Random stream.
    """
    count, width = len(sizes[0]), max(sum(row) for row in sizes)
    picked = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    weights = np.zeros((len(sizes), draws, width), np.min_scalar_type(count))
    for row, clusters in enumerate(sizes):
        weights[row, :, : sum(clusters)] = np.repeat(picked, clusters, axis=1)
    return weights


def _wide_enough(
    weights: NDArray[np.unsignedinteger], drawn: NDArray[np.int64]
) -> NDArray[np.unsignedinteger]:
    """The weights in one byte each, which nearly always suffices, or in a type wide enough for ``drawn``."""
    return weights.astype(np.result_type(weights, np.min_scalar_type(drawn.max(initial=0))), copy=False)


def resample_rows(values: FloatArray, *, rows: NDArray[np.int64]) -> FloatArray:
    """First stage of the bootstrap: draws rows with replacement.

    A row that is drawn twice contributes two independent resamples of its clusters: slot ``o`` of draw ``b``
    uses the row's resample number ``b + o``.

    Args:
        values: ``(..., B, R)``: ``B`` resamples within each row.
        rows: ``(B, R)``: the row of each slot of each draw.
    """
    draws, slots = rows.shape
    replicate = (np.arange(draws) + np.arange(slots)[:, None]) % draws
    by_row = np.swapaxes(values, -1, -2).reshape(*values.shape[:-2], -1)
    return np.swapaxes(np.take(by_row, rows.T * draws + replicate, axis=-1), -1, -2)


def recentred(draws: FloatArray, value: FloatArray | float) -> FloatArray:
    """Bootstrap draws ``(B, ...)`` shifted so that their mean is the estimate.

    A bootstrap distance contains the sampling noise twice, so that even draws of the unbiased ``V`` are
    centred on the plug-in value. Without the shift, the interval of a nearly fair model would exclude the
    truth.
    """
    mean = draws.mean(axis=0)
    if np.isnan(mean).any():
        mean = ratio(np.nansum(draws, axis=0), (~np.isnan(draws)).sum(axis=0))
    return np.asarray(draws - mean + value)


def interval(
    draws: FloatArray, *, clusters: float = np.inf, skew: float = 0.0, together: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of bootstrap draws ``(B, ...)``, expanded for few resampled concepts.

    Plain percentiles over ``c`` concepts are too short, by the factor ``sqrt((c - 1) / c)`` and because of
    normal instead of t quantiles. The expanded interval takes the percentiles at
    ``Phi(-sqrt(c / (c - 1)) t_{c-1})``, which tends to 2.5 % (Hesterberg, What Teachers Should Know about the
    Bootstrap, 2015, section 3.2). Of a mean over skewed concepts they cover too rarely on the side of the
    long tail; the bias-corrected and accelerated percentiles (Efron, JASA 82, 1987) shift both towards it.
    For a mean, bias correction and acceleration are both ``skew / (6 sqrt(c))``. Intervals within a concept
    are neither expanded nor shifted. Draws without a value are left out.

    Args:
        draws: ``(B, ...)`` bootstrap draws.
        clusters: Number of resampled concepts; infinite for no expansion.
        skew: Skewness of the concepts' values; 0 for no shift.
        together: Number of intervals without resampled concepts that shall all cover in 95 %, by
            Bonferroni's inequality.
    """
    low, high = _quantiles(draws, _tails(clusters, skew, together))
    return low, high


def _quantiles(draws: FloatArray, tails: tuple[float, float]) -> FloatArray:
    """``numpy.nanquantile`` of draws ``(B, ...)`` as ``(2, ...)``; sorting is several times faster."""
    ordered = np.sort(draws, axis=0).reshape(len(draws), -1)
    column = np.arange(ordered.shape[1])
    last = np.full(len(column), len(ordered) - 1)
    if np.isnan(ordered[-1]).any():
        last = np.maximum((~np.isnan(ordered)).sum(axis=0) - 1, 0)
    place = np.multiply.outer(tails, last)
    before = place.astype(np.int64)
    low, high = ordered[before, column], ordered[np.minimum(before + 1, last), column]
    part, step = place - before, high - low
    # From the nearer end, as numpy does, so that the last bits are the same.
    ends = np.where(part < 0.5, low + step * part, high - step * (1 - part))
    return np.asarray(ends.reshape(2, *draws.shape[1:]))


def transformed_interval(
    draws: FloatArray, value: float, *, clusters: float, skew: float
) -> tuple[float, float]:
    """Student's interval of a mean over concepts, corrected for their skewness by a cubic transformation.

    The studentised mean ``t`` of ``c`` values with skewness ``g`` is skewed as well. The transformation ``t +
    g t^2 / (3 sqrt(c)) + g^2 t^3 / (27 c) + g / (6 sqrt(c))`` removes this skewness, and increases steadily,
    so that it can be solved for the ends of the interval. Of rare groups, whose shares are zero in most
    concepts, it covers more often than the percentiles of :func:`interval`. Source: Hall, On the Removal of
    Skewness by Transformation, JRSS B 54, 1992.

    Args:
        draws: ``(B,)`` bootstrap draws of the mean; their standard deviation is its standard error.
        value: The mean.
        clusters: Number of resampled concepts ``c``.
        skew: Skewness ``g`` of the concepts' values.

    Returns:
        The ends; ``nan`` if no draw has a value.
    """
    if np.isnan(draws).all():
        return np.nan, np.nan
    c = max(clusters, 2)
    error = float(np.nanstd(draws)) * np.sqrt(c / (c - 1))
    scale, reach = skew / np.sqrt(c), t.ppf(1 - ALPHA / 2, c - 1)
    ends = np.array([reach, -reach])
    if abs(scale) > 1e-6:
        ends = 3 / scale * (np.cbrt(1 + scale * (ends - scale / 6)) - 1)
    low, high = value - error * ends
    return float(low), float(high)


def upper_end(high: ArrayLike, value: ArrayLike, *, minimum: float) -> FloatArray:
    """The upper end of an interval of a quantity that is never below ``minimum``, though its estimate may be.

    An estimate below ``minimum`` is due to chance, which must not shorten the interval: its upper end is as
    far above ``minimum`` as it would be above the estimate.

    Args:
        high: ``(...)`` upper ends before this correction.
        value: ``(...)`` estimates.
        minimum: Smallest possible true value.
    """
    return np.asarray(high + np.maximum(minimum - np.asarray(value, float), 0))


def skewness(rows: FloatArray) -> float:
    """Skewness of the values ``(R,)`` of concepts; 0 where fewer than three have a value or none varies."""
    centred = rows[np.isfinite(rows)]
    if len(centred) < 3 or np.ptp(centred) < 1e-12:
        return 0.0
    centred = centred - centred.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def _tails(clusters: float, skew: float, together: int) -> tuple[float, float]:
    """Tail probabilities of :func:`interval`."""
    if not np.isfinite(clusters):
        return ALPHA / 2 / together, 1 - ALPHA / 2 / together
    c = max(clusters, 2)
    z, shift = _expanded(c), skew / (6 * np.sqrt(c))
    low, high = (shift + (shift + end) / (1 - shift * (shift + end)) for end in (-z, z))
    return float(ndtr(low)), float(ndtr(high))


@cache
def _expanded(clusters: float) -> float:
    """The normal quantile of the expanded percentile interval."""
    return float(np.sqrt(clusters / (clusters - 1)) * t.ppf(1 - ALPHA / 2, clusters - 1))


def fair_tables(n: ArrayLike, shares: FloatArray, *, draws: int, rng: np.random.Generator) -> FloatArray:
    """Counts ``(draws, ..., K)`` of simulated models whose images follow ``shares``.

    The mean of a metric over these tables is its floor: the expected value of a perfectly fair model with the
    same ``n``.

    Args:
        n: ``(...)`` decided images.
        shares: ``(K,)`` or ``(..., K)``: the target, or the target as an imperfect judge labels it.
        draws: Number of tables.
        rng: Random stream.
    """
    n = np.asarray(n, int)
    return by_group(rng.multinomial(np.broadcast_to(n, (draws, *n.shape)), shares).astype(float))


def random_signs(pairs: int, *, rng: np.random.Generator) -> FloatArray:
    """Signs ``(FLIPS, pairs)`` of random flips."""
    return np.asarray(2.0 * rng.integers(2, size=(FLIPS, pairs)) - 1, float)


def sign_flip(differences: FloatArray, *, signs: Callable[[int], FloatArray]) -> float:
    """Two-sided p-value of the sign-flip test that the mean of paired differences is 0.

    Exact for up to 20 pairs, else from 10,000 random flips. Pairs with a missing value are left out; ``nan``
    without pairs. The test assumes that differences are symmetric under the null hypothesis.

    Args:
        differences: ``(O,)``: method minus baseline, one per concept.
        signs: Function from a number of pairs, more than 20, to their :func:`random_signs`.
    """
    pairs = differences[np.isfinite(differences)]
    if not len(pairs):
        return float("nan")
    if len(pairs) <= EXACT_PAIRS:
        flipped = np.zeros(1)
        for pair in pairs:
            flipped = np.concatenate([flipped + pair, flipped - pair])
    else:
        flipped = np.append(signs(len(pairs)) @ pairs, pairs.sum())
    reached = np.abs(flipped) >= abs(pairs.sum()) - 1e-12 * np.abs(pairs).sum()
    return float(reached.mean())


def smallest_sign_flip(pairs: int) -> float:
    """The smallest p-value that :func:`sign_flip` can give for this number of pairs; 1 without pairs."""
    return min(1.0, 2.0 ** (1 - pairs)) if pairs <= EXACT_PAIRS else 1 / (FLIPS + 1)


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's adjusted p-values, ``max_{j <= i} (m - j + 1) p_(j)``, at most 1; missing values stay missing.

    Source: Holm 1979. (The version of statsmodels runs the garbage collector on every call.)
    """
    order = np.argsort(p_values, kind="stable")[: int(np.isfinite(p_values).sum())]
    steps = (len(order) - np.arange(len(order))) * p_values[order]
    adjusted = np.full(len(p_values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
