"""Subsets, the probability of the 80 % rule, and differential fairness with its reference."""

import numpy as np
import pytest
from helpers.metrics import read
from scipy.stats import beta

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import representation as r
from evenhand.metrics.fairness import intersectional as i


def rng(seed=0):
    return np.random.default_rng(seed)


def test_all_subsets_of_the_attributes_are_counted():
    joint = rng().integers(0, 9, size=(5, 2, 3, 4)).astype(float)
    subsets = i.subset_counts(joint, ["gender", "race", "age"])
    assert list(subsets) == [
        ("gender",), ("race",), ("age",), ("gender", "race"), ("gender", "age"), ("race", "age")
    ]  # fmt: skip
    np.testing.assert_array_equal(subsets["race",], np.einsum("ogra->or", joint))
    np.testing.assert_array_equal(subsets["gender", "age"], np.einsum("ogra->oga", joint).reshape(5, -1))
    whole = i.subset_counts(joint, ["gender", "race", "age"], largest=3)["gender", "race", "age"]
    np.testing.assert_array_equal(whole, joint.reshape(5, -1))
    with pytest.raises(EvenhandError, match=r"joint table needs one axis per attribute \(gender, race"):
        i.subset_counts([1, 2], ["gender", "race"])


def test_pairs_show_an_imbalance_that_single_attributes_hide():
    # as many women as men, as many older as adult people, and every older person is a man
    joint = np.array([[50, 0], [0, 50]])
    worst = {
        names: float(i.worst_cell_share(r.shares_of(counts), r.uniform(len(counts))))
        for names, counts in i.subset_counts(joint, ["gender", "age"]).items()
    }
    assert worst == {("gender",): 1, ("age",): 1, ("gender", "age"): 0}


@pytest.mark.parametrize("counts", [(50, 50), (60, 40), (30, 25), (3, 1)])
def test_chance_of_the_rule_for_two_groups_matches_the_beta_posterior(counts):
    posterior = beta(counts[0] + 0.5, counts[1] + 0.5)
    # min / max >= 0.8 exactly where the share is between 4/9 and 5/9
    exact = posterior.cdf(5 / 9) - posterior.cdf(4 / 9)
    assert i.chance_of_four_fifths(counts, rng=rng(), draws=40_000) == pytest.approx(exact, abs=0.01)


def test_chance_of_the_rule_depends_on_the_number_of_images():
    # the shares pass the rule, but 20 images are too few to know
    assert r.min_max_ratio(r.shares_of([10, 10])) == 1
    assert 0.2 < i.chance_of_four_fifths([10, 10], rng=rng()) < 0.6
    assert i.chance_of_four_fifths([5000, 5000], rng=rng()) > 0.99
    assert i.chance_of_four_fifths([100, 0], rng=rng()) == 0
    assert np.isnan(i.chance_of_four_fifths([0, 0], rng=rng()))


@pytest.mark.parametrize("groups", [2, 4])
def test_a_fair_model_passes_the_rule_at_the_published_rate(groups):
    floor = read("finite_sample_floor").query("K == @groups and n == 100").iloc[0]
    shares = rng().multinomial(100, r.uniform(groups), size=40_000) / 100
    assert (r.min_max_ratio(shares) >= 0.8).mean() == pytest.approx(floor.share_passing_80pct_rule, abs=0.01)


def test_differential_fairness_is_zero_where_occupations_agree():
    assert i.differential_fairness([[30, 10], [60, 20]], alpha=0) == pytest.approx(0, abs=1e-12)
    assert i.differential_fairness([[10, 0], [5, 5]], alpha=0) == np.inf
    assert np.isfinite(i.differential_fairness([[10, 0], [5, 5]]))


def test_differential_fairness_exceeds_its_reference_only_for_different_occupations():
    same = rng().multinomial(40, [0.5, 0.3, 0.2], size=20)
    reference = i.differential_fairness_reference(same, rng=rng(1))
    value = i.differential_fairness(same)
    assert value > 0.223  # far above the 80 % rule although all occupations are alike
    assert reference.min() < value < np.quantile(reference, 0.99)
    unlike = np.vstack([same[:-1], [[0, 0, 40]]])
    assert i.differential_fairness(unlike) > i.differential_fairness_reference(unlike, rng=rng(1)).max()
