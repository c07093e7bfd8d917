"""Worst-case bounds against the enumeration of everything that undetermined images may show."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.metrics import representation as r
from evenhand.metrics.statistics import bounds as b


def completions(counts, undetermined):
    """All counts that decide every undetermined image."""
    steps = product(range(undetermined + 1), repeat=len(counts))
    return np.array([counts + np.array(step) for step in steps if sum(step) == undetermined])


@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=4),
    st.integers(0, 6),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
)
def test_bounds_are_the_extremes_over_all_completions(counts, undetermined, weights):
    counts, target = np.array(counts), r.shares_of(weights[: len(counts)])
    if not counts.sum() + undetermined:
        return
    every = r.shares_of(completions(counts, undetermined))
    distances = r.total_variation(every, target)
    low, high = b.total_variation_bounds(counts, undetermined, target)
    assert high == pytest.approx(distances.max(), abs=1e-12)
    rounding = len(counts) / (2 * (counts.sum() + undetermined))
    assert distances.min() - rounding - 1e-12 <= low <= distances.min() + 1e-12
    least, most = b.share_bounds(counts, undetermined)
    np.testing.assert_allclose([every.min(axis=0), every.max(axis=0)], [least, most])


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_bounds_of_two_groups_follow_the_closed_form(women, men, undetermined):
    total = women + men + undetermined
    if not total:
        return
    ends = np.array([women, women + undetermined]) / total
    inside = ends[0] <= 0.5 <= ends[1]
    low, high = b.delta_bounds([women, men], undetermined, r.uniform(2))
    assert low == pytest.approx(0 if inside else 2 * np.abs(ends - 0.5).min(), abs=1e-12)
    assert high == pytest.approx(2 * np.abs(ends - 0.5).max(), abs=1e-12)


def test_without_undetermined_images_the_bounds_are_the_value():
    counts = np.array([[66, 184], [10, 90]])
    value = r.delta_tv(r.shares_of(counts), r.uniform(2))
    np.testing.assert_allclose(b.delta_bounds(counts, [0, 0], r.uniform(2)), [value, value])


def test_undetermined_images_make_the_bounds_wide():
    low, high = b.delta_bounds([1, 1], 98, r.uniform(2))
    assert (low, high) == (0, pytest.approx(0.98))
    assert np.isnan(b.delta_bounds([0, 0], 0, r.uniform(2))).all()
