"""Matching pairs: the share of pairs of images that an RMSDelta stands for, counted pair by pair."""

from itertools import combinations

import numpy as np
import pytest
from helpers.report import JOINT, NAN, a_spec, an_estimate

from evenhand.bench.results.pairs import even_agreement, matching_pairs
from evenhand.metrics.representation import rms_delta, squared_deviation, uniform

SPEC = a_spec("base", concepts=["nurse", "cook"])


def test_pairs_follow_from_the_distance_exactly():
    shares = np.random.default_rng(0).dirichlet(np.full(12, 0.4), size=40)
    target = np.tile(uniform(12), (40, 1))
    distance = float(rms_delta(((shares - target) ** 2).sum(axis=1), target))
    found = matching_pairs(an_estimate("rms_delta", distance, attributes=JOINT), SPEC)
    assert found.value == pytest.approx((shares**2).sum(axis=1).mean()) and found.even == 1 / 12


def test_unbiased_distance_gives_the_share_of_matching_pairs_among_the_images():
    """Without replacement, as many pairs match as the distance freed of small-sample inflation says."""
    images = [0, 0, 0, 1, 2, 2, 0]
    counts = np.bincount(images, minlength=3)
    p, n = counts / len(images), len(images)
    noise = (1 - (p**2).sum()) / (n - 1)
    distance = float(rms_delta(squared_deviation(p, uniform(3), noise)[None], uniform(3)[None]))
    found = matching_pairs(an_estimate("rms_delta", distance, attributes="tone"), SPEC)
    pairs = list(combinations(images, 2))
    assert found.value == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


@pytest.mark.parametrize(("distance", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_ends_are_even_shares_and_a_single_group(distance, share):
    row = an_estimate("rms_delta", distance, attributes="gender", low=0.0, high=1.0)
    found = matching_pairs(row, SPEC)
    assert (found.value, found.low, found.high) == (share, 0.5, 1.0)


def test_uneven_target_or_missing_distance_has_no_pairs():
    uneven = a_spec("base", target={"woman": 0.7, "man": 0.3}, primary="gender")
    assert even_agreement("gender", uneven) is None
    assert even_agreement("tone", uneven) == pytest.approx(1 / 3), (
        "tone is not balanced, so its target is even"
    )
    by_concept = {"nurse": {"woman": 0.9, "man": 0.1}, "cook": {"woman": 0.1, "man": 0.9}}
    mean_even = a_spec(
        "base",
        primary="gender",
        target={"woman": 0.5, "man": 0.5},
        targets=by_concept,
        concepts=["nurse", "cook"],
    )
    assert even_agreement("gender", mean_even) is None
    assert matching_pairs(an_estimate("rms_delta", NAN, attributes="gender"), SPEC) is None
