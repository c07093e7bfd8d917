"""Identities that hold for any counts."""

from itertools import permutations, product
from math import factorial, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.metrics import representation as r
from evenhand.metrics.correction.correction import inverse_of, invert, project_simplex
from evenhand.metrics.correction.rogan_gladen import cleam_point, rogan_gladen
from evenhand.metrics.fairness import intersectional as i
from evenhand.metrics.fairness import published
from evenhand.metrics.statistics.bounds import delta_bounds

counts_of = st.lists(st.integers(0, 300), min_size=2, max_size=6).filter(lambda counts: sum(counts) > 0)


@given(st.integers(0, 200), st.integers(1, 200))
def test_measures_coincide_for_two_groups_and_a_uniform_target(first, second):
    shares, target = r.shares_of([first, second]), r.uniform(2)
    delta = r.deviation_ratio(shares, target)[0]
    others = [
        r.worst_deviation(shares, target),
        r.delta_tv(shares, target),
        r.shen_bias(shares),
        2 * r.mean_absolute_deviation(shares),
        2 * r.total_variation(shares, target),
        np.sqrt(2) * r.fd_l2(shares, target),
    ]
    assert others == pytest.approx([delta] * 6, abs=1e-12)


@given(st.lists(st.integers(0, 50), min_size=12, max_size=12).filter(any))
def test_joint_divergence_splits_into_marginals_and_total_correlation(counts):
    shares = r.shares_of(counts)
    imbalance, entanglement = i.kl_parts(shares, (2, 3, 2))
    assert sum(imbalance) + entanglement == pytest.approx(r.kl_divergence(shares, r.uniform(12)), abs=1e-12)
    assert entanglement >= -1e-12


@given(counts_of)
def test_kl_to_uniform_is_one_minus_normalised_entropy_times_log_k(counts):
    shares, k = r.shares_of(counts), len(counts)
    missing = np.log(k) * (1 - r.normalised_entropy(shares))
    assert r.kl_divergence(shares, r.uniform(k)) == pytest.approx(missing, abs=1e-12)


@given(counts_of, st.randoms())
def test_order_of_groups_changes_nothing(counts, random):
    shuffled = counts.copy()
    random.shuffle(shuffled)
    for name in ("worst_deviation", "delta_tv", "fd_l2", "kl_divergence", "js_divergence"):
        pair = [getattr(r, name)(r.shares_of(each), r.uniform(len(counts))) for each in (counts, shuffled)]
        assert pair[0] == pytest.approx(pair[1], abs=1e-12)


@given(counts_of)
def test_doubling_every_image_changes_no_plug_in_value(counts):
    target, doubled = r.uniform(len(counts)), [2 * count for count in counts]
    for name in ("worst_deviation", "delta_tv", "fd_l2", "kl_divergence", "js_divergence"):
        metric = getattr(r, name)
        assert metric(r.shares_of(counts), target) == metric(r.shares_of(doubled), target)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_measures_of_other_works_coincide_for_two_groups(first, second, undetermined):
    if not first + second:
        return
    shares = r.shares_of([first, second])
    delta = float(r.delta_tv(shares, r.uniform(2)))
    tone = published.heim_tone_imbalance([first, second], 0)
    assert [2 * tone, 1 - published.fairimagen_fairness(shares)] == pytest.approx([delta] * 2, abs=1e-12)
    assert abs(published.signed_balance(first, second)) == pytest.approx(delta, abs=1e-12)
    assert np.abs(published.signed_share(shares)) == pytest.approx([delta] * 2, abs=1e-12)
    assert published.bias_w([[first, second]]) == pytest.approx(delta, abs=1e-12)
    low, high = delta_bounds([first, second], undetermined, r.uniform(2))
    assert low - 1e-12 <= delta <= high + 1e-12


@given(counts_of)
def test_values_stay_in_their_range(counts):
    shares, target = r.shares_of(counts), r.uniform(len(counts))
    for name in ("worst_deviation", "delta_tv", "js_divergence"):
        assert -1e-12 <= getattr(r, name)(shares, target) <= 1 + 1e-12
    assert 0 <= i.worst_cell_share(shares, target) <= 1 + 1e-12
    assert 0.5 <= r.bigbench_score(shares, target) <= 1 + 1e-12


def all_tables(n, k):
    return [counts for counts in product(range(n + 1), repeat=k) if sum(counts) == n]


def multinomial(counts, shares):
    ways = factorial(sum(counts)) / prod(factorial(count) for count in counts)
    return ways * prod(share**count for share, count in zip(shares, counts, strict=True))


def test_squared_deviation_is_exactly_unbiased():
    truth, target = np.array([0.5, 0.3, 0.2]), r.uniform(3)
    tables = np.array(all_tables(4, 3), float)
    chance = np.array([multinomial([int(x) for x in table], truth) for table in tables])
    shares = r.shares_of(tables)
    values = r.squared_deviation(shares, target, r.multinomial_noise(shares, tables.sum(axis=1)))
    assert chance @ values == pytest.approx(((truth - target) ** 2).sum(), abs=1e-12)


def test_squared_deviation_stays_exactly_unbiased_after_an_inversion():
    truth, target = np.array([0.6, 0.1, 0.3]), np.array([0.2, 0.5, 0.3])
    matrix = np.array([[0.7, 0.1, 0.0, 0.2], [0.1, 0.6, 0.1, 0.2], [0.05, 0.15, 0.6, 0.2]])
    seen = truth @ matrix[:, :3] / 0.8
    tables = np.array(all_tables(5, 3), float)
    chance = np.array([multinomial([int(x) for x in table], seen) for table in tables])
    shares, noise, depicted, _ = invert(tables, inverse_of(matrix))
    values = r.squared_deviation(shares, target, noise)
    assert chance @ shares == pytest.approx(truth, abs=1e-12)
    assert chance @ values == pytest.approx(((truth - target) ** 2).sum(), abs=1e-12)
    assert depicted == pytest.approx(1 / 0.8)


@given(st.integers(0, 100), st.floats(0.6, 1), st.floats(0.6, 1))
def test_rogan_gladen_is_the_inversion_for_two_groups_and_the_cleam_point(positive, se, sp):
    matrix = np.array([[se, 1 - se, 0], [1 - sp, sp, 0]])
    inverted = invert(np.array([[positive, 100.0 - positive]]), inverse_of(matrix)).shares[0, 0]
    cleam = float(cleam_point(positive / 100, alpha_0=se, alpha_1=sp))
    found = rogan_gladen(positive / 100, 100, sensitivity=se, positives=50, specificity=sp, negatives=50)
    assert inverted == pytest.approx(cleam, abs=1e-9)
    assert float(found.value) == pytest.approx(np.clip(cleam, 0, 1), abs=1e-9)
    at_an_end = min(abs(cleam), abs(cleam - 1)) < 1e-12  # where the last digit decides
    assert at_an_end or bool(found.clipped) == (not 0 <= cleam <= 1)


GRID = np.array([p for p in product(np.linspace(0, 1, 41), repeat=3) if abs(sum(p) - 1) < 1e-9])


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_projection_finds_the_nearest_point_of_the_simplex(values):
    found = project_simplex(np.array(values))
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    best = ((GRID - values) ** 2).sum(axis=1).min()
    assert ((found - values) ** 2).sum() <= best + 1e-9


def test_vectorised_values_equal_those_of_single_tables():
    tables = np.random.default_rng(0).integers(0, 9, size=(4, 5, 6)).astype(float)
    shares, target = r.shares_of(tables), r.uniform(6)
    for metric in (r.delta_tv, r.worst_deviation, r.kl_divergence, i.worst_cell_share):
        each = [[metric(row, target) for row in block] for block in shares]
        assert metric(shares, target) == pytest.approx(np.array(each), nan_ok=True)
    assert i.total_correlation(shares, (2, 3)).shape == (4, 5)


def test_permuted_cells_are_the_same_worst_cell():
    shares = np.array([0.1, 0.2, 0.7])
    values = {round(float(i.worst_cell_share(np.array(p), r.uniform(3))), 12) for p in permutations(shares)}
    assert values == {0.3}


def test_rms_delta_stays_in_range_after_a_correction():
    # The judge is always right, but the matrix contains errors, so the inversion leaves the simplex.
    inverse = inverse_of(np.pad(0.6 * np.eye(3) + 0.4 / 3, [(0, 0), (0, 1)]))
    found = invert(np.array([[90.0, 0, 0], [0, 80, 0]]), inverse)
    squared = r.squared_deviation(found.shares, r.uniform(3), found.noise)
    assert (squared > r.largest_squared_distance(r.uniform(3))).all()
    assert r.rms_delta(squared, r.uniform(3)) == 1
    assert r.rms_delta(-squared, r.uniform(3)) == 0
