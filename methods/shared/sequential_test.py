"""Anytime-valid bounds on shares, and the verdict they allow.

An interval for a fixed number of images is not valid if the measurement stops depending on what it shows. A
confidence sequence is: with probability ``1 - alpha`` it contains the true shares at *all* times at once, so
one can check after every image and stop at any time. Let ``n_k`` of ``n`` independent images show category
``k``, and let ``f_0`` and ``f_n`` be the prior and posterior density of its share. For the true share ``p``
the prior-posterior ratio ``R_n(p) = f_0(p) / f_n(p)`` is a non-negative martingale that starts at one, so by
Ville's inequality

    P(exists n: R_n(p) >= 1 / alpha) <= alpha,        C_n = {p : R_n(p) < 1 / alpha}

for *any* prior, which only decides where the sequence is narrow. The prior here is uniform over the simplex
of all ``K`` shares, whose marginals are ``Beta(1, K - 1)``:

    ln R_n(p) = ln B(1 + n_k, K - 1 + n - n_k) - ln B(1, K - 1) - n_k ln p - (n - n_k) ln(1 - p)

It is convex in ``p`` and negative at ``p = n_k / n``, so ``C_n`` is an interval around the observed share. A
union bound over the categories (``alpha / K`` each) covers all of them. Two categories need none: their
shares sum to one, and so do their bounds.

Source: Waudby-Smith and Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020, arXiv
2006.04347: the prior-posterior-ratio martingale, here for draws with replacement (beta-binomial).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlog1py, xlogy

from evenhand.bench.errors import EvenhandError

Floats = NDArray[np.float64]

Verdict = Literal["balanced", "unbalanced", "open"]

HALVINGS = 60
"""Bisection steps; the ends are exact to the last bits of a float."""


def share_bounds(counts: ArrayLike, significance_level: float) -> tuple[Floats, Floats]:
    """Simultaneous bounds on all shares, valid at every number of images at once.

    Args:
        counts: ``(K,)`` images of each category, ``K >= 2``; every image has one category.
        significance_level: Probability that a bound is ever wrong, in (0, 1).

    Returns:
        Lower and upper ends, ``(K,)`` each; 0 and 1 before the first image.

    Raises:
        EvenhandError: Fewer than two categories, a negative count, or a ``significance_level`` outside (0,
            1).
    """
    seen = np.asarray(counts, np.float64)
    if seen.ndim != 1 or len(seen) < 2 or not (seen >= 0).all():
        raise EvenhandError(
            f"counts must be non-negative numbers for at least two categories, got {seen.tolist()}"
        )
    if not 0 < significance_level < 1:
        raise EvenhandError(
            f"significance_level must be between 0 and 1, got {significance_level}; 0.05 is 95 % confidence"
        )
    observed = seen / max(seen.sum(), 1.0)
    tests = len(seen) if len(seen) > 2 else 1
    limit = np.log(tests / significance_level)
    low = _end(seen, observed, np.zeros_like(seen), limit)
    high = _end(seen, observed, np.ones_like(seen), limit)
    return low, high


def log_ratio(counts: Floats, shares: Floats) -> Floats:
    """``ln R_n(p_k)`` of hypothetical shares ``(K,)``; infinite where the counts exclude them."""
    n, groups = counts.sum(), len(counts)
    evidence = betaln(1 + counts, groups - 1 + n - counts) - betaln(1, groups - 1)
    result: Floats = evidence - xlogy(counts, shares) - xlog1py(n - counts, -shares)
    return result


def _end(counts: Floats, inside: Floats, outside: Floats, limit: float) -> Floats:
    """The ends of the intervals, ``(K,)``, by bisection between shares inside and the ends of the range."""
    open_ended = log_ratio(counts, outside) < limit
    within, beyond = inside, outside
    for _ in range(HALVINGS):
        middle = (within + beyond) / 2
        contained = log_ratio(counts, middle) < limit
        within, beyond = np.where(contained, middle, within), np.where(contained, beyond, middle)
    return np.where(open_ended, outside, beyond)


def verdict(counts: ArrayLike, target: Floats, *, tolerance: float, significance_level: float) -> Verdict:
    """What the counts so far prove about the distance of all shares from their targets.

    Args:
        counts: ``(K,)`` images of each category.
        target: ``(K,)`` desired shares.
        tolerance: Half width of the band ``target - tolerance .. target + tolerance``.
        significance_level: Probability that the verdict is ever wrong, however often it is computed.

    Returns:
        ``balanced`` if every interval lies inside its band, ``unbalanced`` if one lies entirely outside,
        otherwise ``open``.
    """
    low, high = share_bounds(counts, significance_level)
    bottom, top = target - tolerance, target + tolerance
    if (bottom <= low).all() and (high <= top).all():
        return "balanced"
    if ((high < bottom) | (top < low)).any():
        return "unbalanced"
    return "open"
