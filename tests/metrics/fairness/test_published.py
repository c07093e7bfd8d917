"""Measures of other works against worked examples and enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import representation as r
from evenhand.metrics.fairness import published

TOYS = ((66, 184), (110, 20, 12, 8), (0, 50))


def test_heim_tone_imbalance_counts_unknown_tones_as_bias():
    even = np.full(10, 4)
    assert published.heim_tone_imbalance(even, 0) == pytest.approx(0)
    assert published.heim_tone_imbalance(even, 40) == pytest.approx(0.05)  # |0.05 - 0.1| for each of ten
    assert r.mean_absolute_deviation(r.shares_of(even)) == pytest.approx(0)
    assert np.isnan(published.heim_tone_imbalance(np.zeros(10), 0))


def test_bigbench_totals_are_weighted_and_need_all_attributes():
    assert published.bigbench_total({"gender": 1.0, "race": 0.5, "age": 0.75}) == pytest.approx(0.75)
    with pytest.raises(EvenhandError, match="BIGbench's total score needs the attributes gender, race, age"):
        published.bigbench_total({"gender": 1.0, "race": 0.5})
    assert published.bigbench_mean([0.9, 0.5, np.nan], [1, 3, 7]) == pytest.approx((0.9 + 1.5) / 4)
    assert np.isnan(published.bigbench_mean([np.nan], [1]))


def test_the_manifestation_factor_squares_the_difference_to_the_reference():
    half = np.array([0.5, 0.5])
    reference = (half, half)
    both_women, both_men = np.array([0.9, 0.1]), np.array([0.2, 0.8])
    weight = published.ETA_WEIGHTS["gender"]
    ignoring = published.manifestation_factor(both_women, both_women, reference=reference, weight=weight)
    apart = published.manifestation_factor(both_women, both_men, reference=reference, weight=weight)
    assert ignoring == pytest.approx(0.5 + 2 * 0.2 * (0.16 + 0.16))
    assert apart == pytest.approx(0.5 - 2 * 0.2 * (0.16 + 0.09))
    # the released code takes p - p'^2: a model without any bias would then be far from 0.5
    assert published.manifestation_factor(half, half, reference=reference, weight=weight) == 0.5
    assert published.manifestation_factor(both_women, half, reference=reference, weight=weight) == 0.5


def test_openbias_severity_with_and_without_context():
    opposite = np.array([[10, 0], [0, 10], [0, 0]])
    assert published.openbias_severity(opposite, aware=False) == pytest.approx(0)
    assert published.openbias_severity(opposite, aware=True) == pytest.approx(1)  # the empty caption has none


@given(st.lists(st.integers(0, 40), min_size=2, max_size=7).filter(any))
def test_fairimagen_fairness_uses_the_whole_taxonomy(counts):
    shares = r.shares_of(counts)
    k = len(counts)
    written = 1 - 0.5 * sum(abs(x - 1 / k) for x in shares) / (1 - 1 / k)
    assert published.fairimagen_fairness(shares) == pytest.approx(written)


def test_mean_entropy_averages_over_attributes():
    shares = {"gender": np.array([1.0, 0.0]), "race": np.full(4, 0.25), "age": np.full(3, 1 / 3)}
    assert published.mean_entropy(shares) == pytest.approx(2 / 3)


def test_mmdt_signed_scores():
    assert published.signed_balance([30, 10, 0], [10, 10, 0]) == pytest.approx([0.5, 0, np.nan], nan_ok=True)
    assert published.signed_share(np.array([1, 0, 0, 0.0])) == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    assert published.signed_share(np.full(4, 0.25)) == pytest.approx(0)


def test_stereotype_test_score():
    assert published.stereotype_test_score([9, 0], [3, 0]) == pytest.approx([0.75, np.nan], nan_ok=True)


def test_tibet_concept_association():
    first, second = {"man": 3, "coat": 1}, {"man": 1, "woman": 1}
    # shares (0.75, 0.25, 0) and (0.5, 0, 0.5): minima 0.5, maxima 1.5
    assert published.concept_association(first, second) == pytest.approx(1 / 3)
    assert published.concept_association(first, {"man": 30, "coat": 10}) == pytest.approx(1)
    assert published.concept_association({"man": 1}, {"woman": 1}) == 1e-7
    with pytest.raises(EvenhandError, match="a prompt has no concept"):
        published.concept_association(first, {})


def test_tibet_bias_matches_worked_examples():
    assert published.tibet_bias([0.4, 0.4, 0.4]) == pytest.approx(0)
    assert published.tibet_bias([0.4, 0, 0]) == pytest.approx(1)
    for counts, expected in zip(TOYS, (0.687023, 0.802773, 1), strict=True):
        assert published.tibet_bias(counts) == pytest.approx(expected, abs=1e-6)


def test_presentation_differences_compare_frequencies():
    women, men = np.array([5, 0, 2]), np.array([0, 8, 4])
    found = published.presentation_differences(women, men, images=(10, 20))
    assert found == pytest.approx([0.5, -0.4, 0])
    assert published.gep(found) == pytest.approx(0.3)
    assert np.isnan(published.presentation_differences(women, men, images=(0, 20))).all()
    assert len(set(published.CLOTHING)) == 15


@pytest.mark.parametrize(("people", "groups"), [(2, 2), (3, 2), (5, 2), (2, 4), (3, 3), (4, 8)])
def test_fair_bias_p_matches_enumeration(people, groups):
    draws = product(range(groups), repeat=people)
    values = [r.shen_bias(r.shares_of(np.bincount(draw, minlength=groups))) for draw in draws]
    assert published.fair_bias_p(people, groups) == pytest.approx(np.mean(values))
    if (people, groups) == (2, 2):
        assert np.mean(values) == 0.5


def test_bias_within_images_differs_from_bias_over_all_people():
    # every image shows two alike people, as many pairs of women as of men
    people = np.array([[2, 0], [0, 2], [2, 0], [0, 2], [1, 0]])
    assert published.bias_w(people) == pytest.approx(1 / 9)
    assert published.bias_p(people) == published.BiasP(1.0, pytest.approx(0.5), 4)
    mixed = published.bias_p([[1, 1], [1, 1]])
    assert mixed.value == 0 < mixed.fair
    assert np.isnan(published.bias_p([[1, 0]]).value) and np.isnan(published.bias_w([[0, 0]]))
