"""The alignment of perfect images of even groups."""

import numpy as np
import pytest

from evenhand.bench.mini.law import FINE_TONES, TONE_GROUPS
from evenhand.bench.studies.even_alignment import alignment, even_shares
from evenhand.bench.suites.suite import load_suite


def test_groups_of_every_attribute_are_equally_frequent():
    shares = even_shares()
    tones = shares.sum(axis=(0, 2))
    grouped = {
        group: sum(tones[i] for i, fine in enumerate(FINE_TONES) if TONE_GROUPS[fine] == group)
        for group in TONE_GROUPS.values()
    }
    assert np.allclose(list(grouped.values()), 1 / 3)
    assert np.allclose(shares.sum(axis=(1, 2)), 1 / 2) and np.allclose(shares.sum(axis=(0, 1)), 1 / 2)


@pytest.mark.slow
def test_the_scorer_prefers_the_groups_that_it_saw_with_an_occupation():
    suite = load_suite("mini")
    usual = alignment(suite, even=False, copies=1)
    even = alignment(suite, even=True, copies=1)
    error = np.hypot(usual.std() / len(usual) ** 0.5, even.std() / len(even) ** 0.5)
    assert usual.mean() - even.mean() > 3 * error
