"""The alignment of perfect images of even groups."""

import numpy as np
import pandas as pd
import pytest

from evenhand.bench.mini.law import FINE_TONES, TONE_GROUPS, fine_law, occupations
from evenhand.bench.studies.even_alignment import alignment, by_occupation, even_shares
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
    error = np.hypot(usual.score.sem(), even.score.sem())
    assert usual.score.mean() - even.score.mean() > 3 * error


def test_an_occupation_loses_what_its_usual_gender_scores_more():
    rows = pd.DataFrame(
        {"concept": "nurse", "gender": ["woman", "woman", "man"], "score": [80.0, 80.0, 60.0]},
    )
    table = by_occupation(rows)
    woman = fine_law()[occupations().index("nurse")].sum(axis=(1, 2))[0]
    assert table.share["nurse"] == pytest.approx(woman) and woman > 0.9
    assert table.loss["nurse"] == pytest.approx(1 - 70 / (woman * 80 + (1 - woman) * 60))
