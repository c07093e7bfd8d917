"""Association and ranking measures of embeddings by hand and against scipy."""

from itertools import combinations
from math import log, log2

import numpy as np
import pytest
from helpers.vectors import cloud, rng
from scipy.stats import entropy

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.fairness.embedding_bias import (
    association_test,
    differential_association,
    max_skew,
    ndkl,
)
from evenhand.metrics.representation import uniform


def words(seed=0):
    draw = rng(seed)
    return {
        "first_attributes": draw.standard_normal((5, 8)),
        "second_attributes": draw.standard_normal((4, 8)),
    }


def by_hand(first, second, *, first_attributes, second_attributes):
    """WEAT written out with loops."""

    def cos(u, v):
        return u @ v / np.sqrt((u @ u) * (v @ v))

    def s(x):
        return np.mean([cos(x, a) for a in first_attributes]) - np.mean(
            [cos(x, b) for b in second_attributes]
        )

    one, two = [s(x) for x in first], [s(x) for x in second]
    everything = np.array(one + two)
    seen = np.mean(one) - np.mean(two)
    reached = []
    for chosen in combinations(range(len(everything)), len(one)):
        inside = np.isin(range(len(everything)), chosen)
        reached.append(everything[inside].mean() - everything[~inside].mean() >= seen - 1e-12)
    return seen / everything.std(ddof=1), np.mean(reached)


@pytest.mark.parametrize("sizes", [(4, 4), (5, 3)])
def test_effect_and_exact_p_value_of_the_association_test_by_hand(sizes):
    draw = rng(1)
    first, second = draw.standard_normal((sizes[0], 8)) + 0.5, draw.standard_normal((sizes[1], 8))
    found = association_test(first, second, **words(), rng=rng())
    effect, p = by_hand(first, second, **words())
    assert found.exact
    assert (found.effect, found.p) == (pytest.approx(effect), pytest.approx(p))


def test_many_targets_get_a_monte_carlo_p_value():
    attributes = {"first_attributes": np.eye(8)[:2], "second_attributes": np.eye(8)[2:4]}
    near, away = cloud(np.eye(8)[0], 30, seed=1), cloud(np.eye(8)[2], 30, seed=2)
    found = association_test(near, away, **attributes, rng=rng())
    assert not found.exact and found.p == pytest.approx(1 / 10_001) and 1 < found.effect < 2
    back = association_test(away, near, **attributes, rng=rng())
    assert back.effect == pytest.approx(-found.effect) and back.p == pytest.approx(1)
    alike = [cloud(np.eye(8)[0], 20, seed=seed) for seed in range(10)]
    p = [association_test(x[:10], x[10:], **attributes, rng=rng()).p for x in alike]
    assert 0.25 < np.mean(p) < 0.75


def test_association_needs_two_targets_per_side():
    x = np.array([[2.0, 0.0]])
    value = differential_association(
        x, first_attributes=np.array([[1, 0]]), second_attributes=np.array([[0, 3]])
    )
    assert value == pytest.approx([1])
    with pytest.raises(EvenhandError, match="at least 2 targets on each side, got 1 and 3"):
        association_test(np.ones((1, 8)), np.ones((3, 8)), **words(), rng=rng())


def test_max_skew_by_hand():
    ranked, even = np.array([0, 0, 0, 1, 1, 1]), np.array([0.5, 0.5])
    assert max_skew(ranked, even, k=4) == pytest.approx(log(0.75 / 0.5))
    assert max_skew(ranked, even, k=6) == pytest.approx(0)
    # an absent group counts as one image, so the logarithm exists
    assert max_skew(np.array([1, 1]), np.array([0.1, 0.9]), k=2) == pytest.approx(log(0.5 / 0.1))
    with pytest.raises(EvenhandError, match=r"k must be between 1 and 6 .*, got 7"):
        max_skew(ranked, even, k=7)
    with pytest.raises(EvenhandError, match=r"target shares must be positive, got \[1\.0, 0\.0\]"):
        ndkl(ranked, np.array([1.0, 0.0]))


def test_ndkl_by_hand_and_against_scipy():
    ranked, target = np.array([0, 1, 1, 0, 1]), np.array([0.4, 0.6])
    total = weight = 0.0
    for i in range(1, 6):
        top = np.bincount(ranked[:i], minlength=2) / i
        total += entropy(top, target) / log2(i + 1)
        weight += 1 / log2(i + 1)
    assert ndkl(ranked, target) == pytest.approx(total / weight)
    one_sided, mixed = np.array([0] * 8 + [1] * 8), np.tile([0, 1], 8)
    assert ndkl(one_sided, uniform(2)) > 2 * ndkl(mixed, uniform(2)) > 0
