"""Samples of images for annotation: rare votes, seeds, weights and sizes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.annotation.sampling import allocate, draw_sample


def a_pool(sizes):
    """Images in strata; the vote is the first letter of the stratum."""
    rows = [(f"{name}{n:04d}", name, name[0]) for name, size in sizes.items() for n in range(size)]
    return pd.DataFrame(rows, columns=["key", "stratum", "vote"])


def test_rare_vote_classes_are_filled_and_probabilities_are_stratum_shares():
    pool = a_pool({"a1": 900, "a2": 80, "b1": 15, "b2": 25, "c1": 5})
    drawn = draw_sample(pool, n=100, rng=np.random.default_rng(0), min_per_group=20)
    assert len(drawn) == 100 and drawn["key"].is_unique
    assert drawn["vote"].value_counts().to_dict() == {"a": 74, "b": 21, "c": 5}
    for name, rows in drawn.groupby("stratum"):
        assert set(rows["probability"]) == {len(rows) / (pool["stratum"] == name).sum()}
    # The estimator that the probabilities are for: its weights add up to the pool.
    assert (1 / drawn["probability"]).sum() == pytest.approx(len(pool))


def test_the_sample_depends_on_the_seed_and_not_on_row_order():
    pool = a_pool({"a1": 50, "b1": 50})
    first, turned, other = (
        draw_sample(table, n=20, rng=np.random.default_rng(seed), min_per_group=5)
        for table, seed in ((pool, 0), (pool[::-1], 0), (pool, 1))
    )
    assert list(first["key"]) == list(turned["key"]) != list(other["key"])


def test_weighted_shares_of_the_sample_are_unbiased():
    pool = a_pool({"a1": 300, "b1": 30, "b2": 10})
    pool["woman"] = (np.arange(len(pool)) % 3 == 0) | (pool["vote"] == "b")
    shares = []
    for seed in range(200):
        drawn = draw_sample(pool, n=60, rng=np.random.default_rng(seed), min_per_group=20)
        shares.append((drawn["woman"] / drawn["probability"]).sum() / len(pool))
    spread = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - pool["woman"].mean()) < 4 * spread
    assert abs(drawn["woman"].mean() - pool["woman"].mean()) > 0.1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=12), st.integers(0, 99)
)
def test_an_allocation_draws_the_requested_number_and_at_most_all_images(strata, more):
    sizes, classes = map(np.array, zip(*strata, strict=True))
    needed = len(sizes) + 5 * len(set(classes))
    drawn = allocate(sizes, classes, n=needed + more, min_per_group=5)
    assert drawn.sum() == min(needed + more, sizes.sum())
    assert (drawn >= 1).all() and (drawn <= sizes).all()
    for kind in set(classes):
        assert drawn[classes == kind].sum() >= min(5, sizes[classes == kind].sum())


def test_a_too_small_sample_size_states_the_number_needed():
    with pytest.raises(EvenhandError, match="10 images are too few for 2 strata") as fault:
        draw_sample(a_pool({"a1": 50, "b1": 50}), n=10, rng=np.random.default_rng(0), min_per_group=20)
    assert str(fault.value).endswith("request at least 40")
    assert (
        len(draw_sample(a_pool({"a1": 50, "b1": 50}), n=40, rng=np.random.default_rng(0), min_per_group=20))
        == 40
    )
    with pytest.raises(EvenhandError, match="no images to draw from"):
        draw_sample(a_pool({}), n=10, rng=np.random.default_rng(0), min_per_group=20)
