"""Columns for comparison: what other works print, worked out by hand (measurement.md 1.7 to 1.24)."""

from itertools import product
from math import log, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import representation as r
from evenhand.metrics.fairness import persons as p
from evenhand.metrics.fairness import presentation as g
from evenhand.metrics.fairness import released as o
from evenhand.metrics.fairness import retrieval as q

TOYS = ((66, 184), (110, 20, 12, 8), (0, 50))


def test_tone_imbalance_of_heim_counts_unknown_tones_as_bias():
    even = np.full(10, 4)
    assert o.heim_tone_imbalance(even, 0) == pytest.approx(0)
    assert o.heim_tone_imbalance(even, 40) == pytest.approx(0.05)  # |0.05 - 0.1| for each of ten
    assert r.mean_absolute_deviation(r.shares_of(even)) == pytest.approx(0)
    assert np.isnan(o.heim_tone_imbalance(np.zeros(10), 0))


def test_totals_of_bigbench_are_weighted_and_complete():
    assert o.bigbench_total({"gender": 1.0, "race": 0.5, "age": 0.75}) == pytest.approx(0.75)
    with pytest.raises(EvenhandError, match="BIGbench's total is of gender, race, age, not of"):
        o.bigbench_total({"gender": 1.0, "race": 0.5})
    assert o.bigbench_mean([0.9, 0.5, np.nan], [1, 3, 7]) == pytest.approx((0.9 + 1.5) / 4)
    assert np.isnan(o.bigbench_mean([np.nan], [1]))


def test_the_manifestation_factor_squares_the_difference():
    half = np.array([0.5, 0.5])
    reference = (half, half)
    both_women, both_men = np.array([0.9, 0.1]), np.array([0.2, 0.8])
    weight = o.ETA_WEIGHTS["gender"]
    ignoring = o.manifestation_factor(both_women, both_women, reference=reference, weight=weight)
    apart = o.manifestation_factor(both_women, both_men, reference=reference, weight=weight)
    assert ignoring == pytest.approx(0.5 + 2 * 0.2 * (0.16 + 0.16))
    assert apart == pytest.approx(0.5 - 2 * 0.2 * (0.16 + 0.09))
    # the released code takes p - p'^2: a model without any bias would then be far from 0.5
    assert o.manifestation_factor(half, half, reference=reference, weight=weight) == 0.5
    assert o.manifestation_factor(both_women, half, reference=reference, weight=weight) == 0.5


def test_severity_of_openbias_in_both_contexts():
    opposite = np.array([[10, 0], [0, 10], [0, 0]])
    assert o.openbias_severity(opposite, aware=False) == pytest.approx(0)
    assert o.openbias_severity(opposite, aware=True) == pytest.approx(1)  # the empty caption has none


@given(st.lists(st.integers(0, 40), min_size=2, max_size=7).filter(any))
def test_fairness_of_fairimagen_over_the_whole_taxonomy(counts):
    shares = r.shares_of(counts)
    k = len(counts)
    written = 1 - 0.5 * sum(abs(x - 1 / k) for x in shares) / (1 - 1 / k)
    assert o.fairimagen_fairness(shares) == pytest.approx(written)


def test_entropy_averaged_over_attributes_hides_one_of_them():
    shares = {"gender": np.array([1.0, 0.0]), "race": np.full(4, 0.25), "age": np.full(3, 1 / 3)}
    assert o.mean_entropy(shares) == pytest.approx(2 / 3)


def test_signed_scores_of_mmdt():
    assert o.signed_balance([30, 10, 0], [10, 10, 0]) == pytest.approx([0.5, 0, np.nan], nan_ok=True)
    assert o.signed_share(np.array([1, 0, 0, 0.0])) == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    assert o.signed_share(np.full(4, 0.25)) == pytest.approx(0)


def test_stereotype_test_score():
    assert o.stereotype_test_score([9, 0], [3, 0]) == pytest.approx([0.75, np.nan], nan_ok=True)


def test_concept_association_of_tibet():
    first, second = {"man": 3, "coat": 1}, {"man": 1, "woman": 1}
    # shares (0.75, 0.25, 0) and (0.5, 0, 0.5): minima 0.5, maxima 1.5
    assert o.concept_association(first, second) == pytest.approx(1 / 3)
    assert o.concept_association(first, {"man": 30, "coat": 10}) == pytest.approx(1)
    assert o.concept_association({"man": 1}, {"woman": 1}) == 1e-7
    with pytest.raises(EvenhandError, match="a prompt shows no concept at all"):
        o.concept_association(first, {})


def test_bias_of_tibet_is_that_of_its_mad_on_normalised_associations():
    assert o.tibet_bias([0.4, 0.4, 0.4]) == pytest.approx(0)
    assert o.tibet_bias([0.4, 0, 0]) == pytest.approx(1)
    for counts, expected in zip(TOYS, (0.687023, 0.802773, 1), strict=True):
        assert o.tibet_bias(counts) == pytest.approx(expected, abs=1e-6)


def test_max_skew_by_hand():
    ranked, even = np.array([0, 0, 0, 1, 1, 1]), np.array([0.5, 0.5])
    assert q.max_skew(ranked, even, k=4) == pytest.approx(log(0.75 / 0.5))
    assert q.max_skew(ranked, even, k=6) == pytest.approx(0)
    # an absent group counts as one image, so the logarithm exists
    assert q.max_skew(np.array([1, 1]), np.array([0.1, 0.9]), k=2) == pytest.approx(log(0.5 / 0.1))
    with pytest.raises(EvenhandError, match="a top 7 of 6 ranked images"):
        q.max_skew(ranked, even, k=7)
    with pytest.raises(EvenhandError, match=r"target shares \[1\.0, 0\.0\]; leave groups out"):
        q.ndkl(ranked, np.array([1.0, 0.0]))


def test_ndkl_by_hand_and_against_scipy():
    ranked, target = np.array([0, 1, 1, 0, 1]), np.array([0.4, 0.6])
    total = weight = 0.0
    for i in range(1, 6):
        top = np.bincount(ranked[:i], minlength=2) / i
        total += entropy(top, target) / log2(i + 1)
        weight += 1 / log2(i + 1)
    assert q.ndkl(ranked, target) == pytest.approx(total / weight)
    one_sided, mixed = np.array([0] * 8 + [1] * 8), np.tile([0, 1], 8)
    assert q.ndkl(one_sided, r.uniform(2)) > 2 * q.ndkl(mixed, r.uniform(2)) > 0


def test_presentation_differs_by_frequency_not_by_number():
    women, men = np.array([5, 0, 2]), np.array([0, 8, 4])
    found = g.presentation_differences(women, men, images=(10, 20))
    assert found == pytest.approx([0.5, -0.4, 0])
    assert g.gep(found) == pytest.approx(0.3)
    assert np.isnan(g.presentation_differences(women, men, images=(0, 20))).all()
    assert len(set(g.CLOTHING)) == 15


@pytest.mark.parametrize(("people", "groups"), [(2, 2), (3, 2), (5, 2), (2, 4), (3, 3), (4, 8)])
def test_fair_images_of_several_people_by_enumeration(people, groups):
    draws = product(range(groups), repeat=people)
    values = [r.shen_bias(r.shares_of(np.bincount(draw, minlength=groups))) for draw in draws]
    assert p.fair_bias_p(people, groups) == pytest.approx(np.mean(values))
    if (people, groups) == (2, 2):
        assert np.mean(values) == 0.5


def test_bias_within_images_is_not_bias_over_all_of_them():
    # every image shows two alike people, as many pairs of women as of men
    people = np.array([[2, 0], [0, 2], [2, 0], [0, 2], [1, 0]])
    assert p.bias_w(people) == pytest.approx(1 / 9)
    assert p.bias_p(people) == p.BiasP(1.0, pytest.approx(0.5), 4)
    mixed = p.bias_p([[1, 1], [1, 1]])
    assert mixed.value == 0 < mixed.fair
    assert np.isnan(p.bias_p([[1, 0]]).value) and np.isnan(p.bias_w([[0, 0]]))
