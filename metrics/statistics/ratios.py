"""The ratio of two correlated estimates, with an interval from theirs."""

from __future__ import annotations

import math
from typing import NamedTuple


class Span(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def ratio(first: Span, second: Span, difference: Span) -> Span:
    """The ratio of two correlated estimates, with its interval by MOVER-R.

    Donner, Zou: "Closed-form confidence intervals for functions of the normal mean and standard deviation",
    Statistical Methods in Medical Research 21 (2012). The limits are the ratios ``R`` at which the interval
    of ``first - R second``, recovered from the intervals of both, ends at zero. The correlation follows from
    the width of the interval of their difference.

    Args:
        first: Numerator.
        second: Denominator; its interval must exclude 0, otherwise the limits are ``nan``.
        difference: ``first - second``.
    """
    if second.low <= 0:
        return Span(first.value / second.value if second.value else math.nan, math.nan, math.nan)
    r = _correlation(first, second, difference)
    low = _limit(first.value, second.value, first.low, second.high, r, sign=-1)
    high = _limit(first.value, second.value, first.high, second.low, r, sign=1)
    return Span(first.value / second.value, low, high)


def _correlation(first: Span, second: Span, difference: Span) -> float:
    a, b, d = ((span.high - span.low) / 2 for span in (first, second, difference))
    return max(-1.0, min(1.0, (a * a + b * b - d * d) / (2 * a * b))) if a * b else 0.0


def _limit(first: float, second: float, end: float, other: float, r: float, *, sign: int) -> float:
    """The root of the quadratic equation for the limit at ``end`` of the numerator."""
    middle = first * second - r * abs(first - end) * abs(other - second)
    scale = other * (2 * second - other)
    if not scale:
        return math.nan
    root = max(middle * middle - scale * end * (2 * first - end), 0.0)
    return (middle + sign * math.sqrt(root)) / scale
