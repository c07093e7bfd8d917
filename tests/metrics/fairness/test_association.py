"""Association of occupation and group, against SciPy and scikit-learn."""

import numpy as np
import pytest
from helpers.metrics import read
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from sklearn.metrics import mutual_info_score

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import representation as r
from evenhand.metrics.fairness import association as a

THREE = np.array([[120, 30], [75, 75], [20, 130]])


def rng():
    return np.random.default_rng(0)


@given(st.lists(st.integers(1, 60), min_size=6, max_size=6))
def test_mutual_information_matches_scikit_learn(numbers):
    first = np.array(numbers[:3])
    counts = np.stack([first, 61 - first, np.array(numbers[3:])])
    counts = np.column_stack([counts, 200 - counts.sum(axis=1)])
    occupation, group = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    value = float(a.mutual_information(r.shares_of(counts)))
    assert value == pytest.approx(mutual_info_score(occupation, group), abs=1e-9)


def test_an_occupation_without_images_does_not_enter_mutual_information():
    with_empty = r.shares_of(np.vstack([THREE, [[0, 0]]]))
    assert a.mutual_information(with_empty) == pytest.approx(a.mutual_information(r.shares_of(THREE)))
    assert np.isnan(a.information_by_row(with_empty)[-1])


def test_mutual_information_without_association_equals_its_bias_term():
    tables = rng().multinomial(200, [0.3, 0.3, 0.4], size=(2000, 12))
    mean = a.mutual_information(r.shares_of(tables)).mean()
    assert mean == pytest.approx(a.mutual_information_bias(tables[0]), rel=0.05)
    assert np.isnan(a.mutual_information_bias(np.zeros((3, 2))))


def test_bias_of_mutual_information_depends_on_the_images_of_every_occupation():
    n, shares, generator = np.array([400, 400, 60, 40]), [0.3, 0.3, 0.4], rng()
    tables = np.stack([generator.multinomial(size, shares, size=4000) for size in n], axis=1)
    mean = a.mutual_information(r.shares_of(tables)).mean()
    bias = a.mutual_information_bias(tables[0])
    assert mean == pytest.approx(bias, rel=0.06)
    assert bias == pytest.approx(0.75 * np.mean(1 / n))
    assert a.mutual_information_bias(np.vstack([tables[0], [[0, 0, 0]]])) == bias


def test_the_permutation_null_agrees_with_the_chi_square_test():
    table = np.array([[24, 26], [30, 20], [18, 32], [27, 23]])
    found = a.association_null(table, rng=rng(), draws=4000)
    assert found.p == pytest.approx(chi2_contingency(table, correction=False).pvalue, abs=0.03)
    assert found.mean == pytest.approx(a.mutual_information_bias(table), rel=0.1)
    assert a.association_null(THREE, rng=rng()).p == pytest.approx(1 / 1001)
    assert a.association_null(np.full((5, 2), 20), rng=rng()).p == 1


def test_p_values_are_uniform_without_association():
    tables = rng().multinomial(60, [0.4, 0.6], size=(150, 6))
    p = np.array([a.association_null(table, rng=rng(), draws=200).p for table in tables])
    assert 0.35 < p.mean() < 0.65
    assert (p < 0.05).mean() < 0.1


def test_association_needs_two_occupations():
    with pytest.raises(EvenhandError, match="association needs at least 2 occupations"):
        a.association_null([[3, 4], [0, 0]], rng=rng())


def test_cramers_v_detects_an_association_of_gender_and_age():
    entangled, independent = np.array([[0, 40], [40, 0]]), np.array([[30, 30], [10, 10]])
    assert a.cramers_v(entangled) == pytest.approx(1)
    assert a.cramers_v(independent) == pytest.approx(0, abs=1e-12)
    assert a.cramers_v(independent, corrected=True) == 0


@pytest.mark.parametrize("corrected", [False, True])
def test_cramers_v_needs_two_occupations_and_two_groups_with_images(corrected):
    for table in ([[10, 0], [20, 0]], [[10, 20], [0, 0]], [[0, 0], [0, 0]]):
        assert np.isnan(a.cramers_v(table, corrected=corrected))


def test_corrected_cramers_v_of_too_few_images_is_missing():
    assert np.isnan(a.cramers_v([[1, 0], [0, 1]], corrected=True))
    assert np.isnan(a.cramers_v([[1, 0], [0, 1], [1, 0]], corrected=True))
    assert a.cramers_v([[2, 0], [0, 2]], corrected=True) == 1


def test_a_group_that_is_never_drawn_counts_among_the_groups_of_cramers_v():
    drawn = np.array([[20, 0], [0, 20], [15, 5]])
    with_missing = np.column_stack([drawn, np.zeros(3)])
    assert a.cramers_v(with_missing) == pytest.approx(a.cramers_v(drawn) / np.sqrt(2))
    assert a.cramers_v(with_missing.T) == pytest.approx(a.cramers_v(with_missing))
    assert 0 < a.cramers_v(with_missing, corrected=True) < a.cramers_v(with_missing)
    # The smaller number is that of the two groups, with and without the empty row.
    assert a.cramers_v(np.vstack([drawn, [[0, 0]]])) == pytest.approx(a.cramers_v(drawn))


def test_released_ratios_follow_the_labour_market():
    labour = read("winobias_occupations").set_index("occupation")["bls2022_pct_women"] / 100
    table = read("uce_released_male_ratio").iloc[:35].set_index("profession")
    women = [labour.get(name, labour.get(name.lower())) for name in table.index]
    for column, rho, slope in (
        ("sd_male", 0.8523, 0.904),
        ("ca_male", 0.7022, 0.532),
        ("dvl_male", 0.8272, 0.742),
    ):
        found = a.relation(1 - table[column], women)
        assert (found.n, found.rho) == (35, pytest.approx(rho, abs=5e-5))
        assert found.slope == pytest.approx(slope, abs=5e-4)


def test_slope_distinguishes_mirroring_exaggeration_and_independence():
    labour = np.array([0.1, 0.3, 0.5, 0.9, np.nan])
    for slope in (0.0, 1.0, 1.2):
        found = a.relation(0.5 + slope * (labour - 0.5), labour)
        assert (found.slope, found.n) == (pytest.approx(slope, abs=1e-12), 4)
    assert np.isnan(a.relation(np.full(4, 0.5), labour[:4]).rho)
    with pytest.raises(EvenhandError, match="got 2 occupations"):
        a.relation([0.1, 0.2], [0.3, 0.4])


def test_zhao_counts_only_groups_in_the_majority_of_the_reference():
    reference = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    shares = np.array([[1.0, 0.0], [0.8, 0.2], [0.3, 0.7]])
    # +0.1 for the first occupation, 0 for the uniform one, -0.1 for the third
    assert a.zhao_amplification(shares, reference) == pytest.approx(0, abs=1e-12)
    assert a.zhao_amplification(shares[:1], reference[:1]) == pytest.approx(0.1)
    three = np.array([[0.5, 0.4, 0.1]])
    assert a.zhao_amplification(np.array([[0.7, 0.2, 0.1]]), three) == pytest.approx(0.2 - 0.2)


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_lean_amplification_equals_stereotype_amplification_for_two_groups(numbers):
    share, labour = np.array(numbers[:4]), np.array(numbers[4:])
    labour = np.where(np.abs(labour - 0.5) < 1e-6, 0.6, labour)
    both = [np.column_stack([each, 1 - each]) for each in (share, labour)]
    mean = a.lean_amplification(*both).mean()
    assert mean == pytest.approx(float(a.stereotype_amplification(share, labour)), abs=1e-9)
    assert a.zhao_amplification(*both) == pytest.approx(mean, abs=1e-9)


def test_amplification_of_a_uniform_reference_is_missing():
    assert np.isnan(a.lean_amplification(np.array([[0.9, 0.1]]), np.array([0.5, 0.5])))
    leaning = a.lean_amplification(np.array([[0.7, 0.2, 0.1]]), np.array([0.5, 1 / 3, 1 / 6]))
    assert leaning == pytest.approx([(0.2 + 1 / 15) / 2], abs=1e-12)  # the even group counts nothing


def test_a_model_that_copies_the_reference_amplifies_nothing():
    counts = read("fair_diffusion_fairface_counts")
    laion = r.shares_of(counts[["laion_woman", "laion_man"]])
    assert a.zhao_amplification(laion, laion) == a.directional_amplification(laion, laion) == 0
    assert a.amplification_split(laion[:, 0], laion[:, 0])["reflected"] == 1
    sd15 = r.shares_of(counts[["sd15_woman", "sd15_man"]])
    values = [f(sd15, laion) for f in (a.zhao_amplification, a.directional_amplification)]
    assert all(value > 0 for value in values)
