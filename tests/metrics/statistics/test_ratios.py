"""Ratios of correlated estimates: Fieller's interval, and its coverage."""

import math

import numpy as np
import pytest

from evenhand.metrics.statistics.ratios import Span, ratio


def test_a_ratio_with_symmetric_intervals_has_fiellers_interval():
    a, b, s1, s2, r, z = 0.2, 0.5, 0.03, 0.04, 0.4, 1.96
    s3 = math.sqrt(s1 * s1 + s2 * s2 - 2 * r * s1 * s2)
    spans = [Span(v, v - z * s, v + z * s) for v, s in ((a, s1), (b, s2), (a - b, s3))]
    scale, middle, rest = b * b - (z * s2) ** 2, a * b - r * z * z * s1 * s2, a * a - (z * s1) ** 2
    root = math.sqrt(middle * middle - scale * rest)
    assert ratio(*spans) == pytest.approx((a / b, (middle - root) / scale, (middle + root) / scale))


def test_the_interval_of_a_ratio_covers_in_19_of_20_samples():
    rng = np.random.default_rng(0)
    s1, s2, r = 0.04, 0.05, 0.5
    cover = [[s1 * s1, r * s1 * s2], [r * s1 * s2, s2 * s2]]
    gap = math.sqrt(s1 * s1 + s2 * s2 - 2 * r * s1 * s2)
    hits = 0
    for a, b in rng.multivariate_normal([0.2, 0.6], cover, size=2000):
        found = ratio(*(Span(v, v - 1.96 * s, v + 1.96 * s) for v, s in ((a, s1), (b, s2), (a - b, gap))))
        hits += found.low <= 0.2 / 0.6 <= found.high
    assert 0.935 <= hits / 2000 <= 0.965


def test_a_baseline_that_may_be_fair_gives_no_interval():
    found = ratio(Span(0.1, 0.0, 0.2), Span(0.1, -0.1, 0.3), Span(0.0, -0.1, 0.1))
    assert found.value == 1 and math.isnan(found.low) and math.isnan(found.high)
