"""One-sided bounds of a paired loss, the images that would decide, and the error spent at each look.

A pair is the image of the baseline and that of a method at the same prompt and noise. ``lost`` counts the
pairs that only the baseline got right, ``gained`` those that only the method got right; the loss is
``(lost - gained) / n``. The pairs of a fixed list of prompts have unequal chances of a loss; counting them as
one binomial sample makes the bounds conservative.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, t

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray, ratio

LEVEL = 0.05
"""Probability that a one-sided bound misses the true loss, where nothing else is stated."""

POWER = 0.8
"""Probability of a decision at the number of images that :func:`pairs_to_decide` returns."""

LOOKS = 4
"""Largest number of looks of a sequential run; every look has twice the images of the one before."""

EXACTLY = 1e-12
"""A loss that is nearer to the margin differs from it by rounding only."""

MANY = 10**9
"""Clusters from which Student's quantiles are the normal ones, to as many digits as a result has."""

_Z = NormalDist().inv_cdf

_HALVINGS = 60
"""Steps of the bisection: an interval of length 2 shrinks below the precision of a float."""


def loss_upper(lost: ArrayLike, gained: ArrayLike, n: ArrayLike, *, level: float = LEVEL) -> FloatArray:
    """Upper bounds ``(...)`` of the true loss, from -1 to 1; ``nan`` for ``n = 0``.

    Tango's score bound. Where the method gains nothing, the loss is a single share, and the bound is the
    exact one of Clopper and Pearson: without any discordant pair it is ``1 - level ** (1 / n)``, where the
    score bound would be too small. Source: Tango, Statistics in Medicine 17, 1998.

    Args:
        lost: ``(...)`` pairs that only the baseline got right.
        gained: ``(...)`` pairs that only the method got right.
        n: ``(...)`` pairs.
        level: Probability that the bound is below the true loss.
    """
    lost, gained, n = np.broadcast_arrays(*(np.asarray(each, float) for each in (lost, gained, n)))
    seen = np.where(n > 0, n, 1)
    score = _score_bound(lost, gained, seen, _Z(1 - level))
    bound = np.where(gained > 0, score, share_upper(lost, seen, level=level))
    return np.where(n > 0, bound, np.nan)


def loss_lower(lost: ArrayLike, gained: ArrayLike, n: ArrayLike, *, level: float = LEVEL) -> FloatArray:
    """Lower bounds ``(...)`` of the true loss; the mirror image of :func:`loss_upper`."""
    return np.asarray(-loss_upper(gained, lost, n, level=level))


def share_upper(count: ArrayLike, n: ArrayLike, *, level: float = LEVEL) -> FloatArray:
    """Upper bounds of shares ``count / n``, exact in the sense of Clopper and Pearson (1934)."""
    count, n = np.broadcast_arrays(np.asarray(count, float), np.asarray(n, float))
    rest = n - count
    bound = beta.ppf(1 - level, count + 1, np.where(rest > 0, rest, 1))
    return np.where(n > 0, np.where(rest > 0, bound, 1.0), np.nan)


def _score_bound(lost: FloatArray, gained: FloatArray, n: FloatArray, z: float) -> FloatArray:
    """The loss at which the score statistic falls to ``-z``, by bisection; the statistic is decreasing."""
    low, high = (lost - gained) / n, np.ones(n.shape)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = _score(lost, gained, n, middle) > -z
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.asarray(high)


def _score(lost: FloatArray, gained: FloatArray, n: FloatArray, loss: FloatArray) -> FloatArray:
    """Tango's statistic of the hypothesis that the true loss is ``loss``."""
    variance = n * _variance(lost, gained, n, loss)
    return np.asarray((lost - gained - n * loss) / np.sqrt(np.maximum(variance, 1e-300)))


def _variance(lost: FloatArray, gained: FloatArray, n: FloatArray, loss: FloatArray) -> FloatArray:
    """The variance of one pair's loss under the hypothesis that the true loss is ``loss``.

    The chance of a gain is its maximum-likelihood estimate under the hypothesis, the root of a quadratic.
    """
    half = (2 * n - lost + gained) * loss - lost - gained
    free = -gained * loss * (1 - loss)
    gain = (np.sqrt(np.maximum(half**2 - 8 * n * free, 0)) - half) / (4 * n)
    return np.asarray(2 * gain + loss * (1 - loss))


def mean_loss(
    losses: ArrayLike, wholes: ArrayLike, *, levels: tuple[float, float]
) -> tuple[float, float, float, float]:
    """A relative loss over clusters, ``sum losses / sum wholes``, with its bounds and standard deviation.

    The bounds are Student's, with the linearised ratio and ``c - 1`` degrees of freedom. All values are
    ``nan`` where the whole is not positive, the bounds also with a single cluster. Source: Cochran, Sampling
    Techniques, 1977, section 6.3.

    Args:
        losses: ``(c,)`` sums of the losses by cluster.
        wholes: ``(c,)`` sums of the baseline's values by cluster.
        levels: Probabilities that the lower and that the upper bound miss the true loss.

    Returns:
        The loss, its lower and its upper bound, and the standard deviation of a cluster's share in it.
    """
    losses, wholes = np.asarray(losses, float), np.asarray(wholes, float)
    c = len(losses)
    value = float(ratio(losses.sum(), wholes.sum()))
    if c < 2 or math.isnan(value):
        return value, math.nan, math.nan, math.nan
    spread = float((losses - value * wholes).std(ddof=1) / wholes.mean())
    low, high = (spread / math.sqrt(c) * float(t.ppf(1 - level, c - 1)) for level in levels)
    return value, value - low, value + high, spread


def pairs_to_decide(
    lost: ArrayLike,
    gained: ArrayLike,
    n: ArrayLike,
    *,
    margin: float,
    levels: tuple[float, float] = (LEVEL, LEVEL),
) -> FloatArray:
    """Pairs ``(...)`` after which a decision is about 80 % likely if the observed rates are the true ones.

    ``((z_level s_0 + z_power s) / (margin - loss))^2`` with the standard deviation of a pair's loss as
    observed, ``s``, and at the margin, ``s_0``, which the score bounds use; at least the pairs of the exact
    bound. Infinite where the loss is exactly the margin, so that no number decides, and for ``n = 0``.

    Args:
        lost: ``(...)`` pairs that only the baseline got right.
        gained: ``(...)`` pairs that only the method got right.
        n: ``(...)`` pairs.
        margin: Loss that is allowed.
        levels: Error levels of the lower bound, which proves a harm, and of the upper one, which excludes it.
    """
    lost, gained, n = np.broadcast_arrays(*(np.asarray(each, float) for each in (lost, gained, n)))
    seen = np.where(n > 0, n, 1)
    loss = (lost - gained) / seen
    below = loss < margin
    z = np.where(below, _Z(1 - levels[1]), _Z(1 - levels[0]))
    at_margin = np.sqrt(_variance(lost, gained, seen, np.full(n.shape, margin)))
    reach = z * at_margin + _Z(POWER) * discordance_spread(lost, gained, seen)
    distance = np.abs(margin - loss)
    decidable = (n > 0) & (distance > EXACTLY)
    normal = (reach / np.where(decidable, distance, 1.0)) ** 2
    exact = np.where(below, math.log(levels[1]) / math.log(1 - margin), 1.0)
    return np.where(decidable, np.ceil(np.maximum(normal, exact) - 1e-9), np.inf)


def clusters_to_decide(
    loss: float, *, spread: float, margin: float, levels: tuple[float, float] = (LEVEL, LEVEL)
) -> float:
    """Clusters after which the bounds of :func:`mean_loss` decide with a probability of about 80 %.

    The smallest number at which the quantiles of Student's distribution for level and power, times the
    standard error, reach from the loss to the margin; at least 2. From :data:`MANY` on, the number by normal
    quantiles. Infinite if the loss is exactly the margin.

    Args:
        loss: Observed loss.
        spread: Standard deviation of a cluster's share in it.
        margin: Loss that is allowed.
        levels: Error levels of the lower bound and of the upper one.
    """
    distance = abs(margin - loss)
    if math.isnan(loss) or math.isnan(spread) or distance <= EXACTLY:
        return math.inf
    level = levels[1] if loss < margin else levels[0]
    # Normal quantiles are smaller than Student's, so their number is where to begin.
    c = max(2, math.ceil(((_Z(1 - level) + _Z(POWER)) * spread / distance) ** 2))
    while c < MANY and (t.ppf(1 - level, c - 1) + t.ppf(POWER, c - 1)) * spread > distance * math.sqrt(c):
        c += 1
    return float(c)


def level_at(look: int, *, level: float = LEVEL) -> float:
    """The share of ``level`` that a sequential run spends at this look, from 1 to :data:`LOOKS`.

    The function of Lan and DeMets (Biometrika 70, 1983) of Pocock's type, ``level ln(1 + (e - 1) f)`` at the
    fraction ``f`` of the largest number of images, minus what earlier looks have spent. Bounds at these
    levels are valid together whatever the dependence of the looks, because the levels add up to ``level``.

    Raises:
        EvenhandError: The look is out of range.
    """
    if not 1 <= look <= LOOKS:
        raise EvenhandError(f"look must be from 1 to {LOOKS}, got {look}")
    spent = [level * math.log1p((math.e - 1) * 2.0 ** (each - LOOKS)) for each in (look, look - 1)]
    return spent[0] if look == 1 else spent[0] - spent[1]


def discordance_spread(lost: ArrayLike, gained: ArrayLike, n: ArrayLike) -> FloatArray:
    """Standard deviation ``(...)`` of one pair's loss, which is 1, 0 or -1."""
    lost, gained, n = (np.asarray(each, float) for each in (lost, gained, n))
    return np.sqrt(ratio(lost + gained, n) - ratio(lost - gained, n) ** 2)
