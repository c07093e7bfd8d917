"""Reference values: worked examples, and published counts of Fair Diffusion, UCE and other works."""

import numpy as np
import pytest
from helpers.metrics import read
from scipy.stats import linregress, spearmanr
from sklearn.metrics import mutual_info_score

from evenhand.metrics import representation as r
from evenhand.metrics.fairness import association as a
from evenhand.metrics.fairness import intersectional as i

TOYS = {"A": (66, 184), "B": (110, 20, 12, 8), "C": (0, 50)}

GOLDEN = {
    "worst_deviation": (0.472, 0.644444, 1),
    "fd_l2": (0.333754, 0.561070, 0.707107),
    "total_variation": (0.236, 0.483333, 0.5),
    "kl_divergence": (0.115948, 0.531805, 0.693147),
    "js_divergence": (0.043081, 0.185609, 0.311278),
    "bigbench_score": (0.952163, 0.832654, 0.853553),
}
WITHOUT_TARGET = {
    "normalised_entropy": (0.832723, 0.616384, 0),
    "simpson": (0.388608, 0.435200, 0),
    "shen_bias": (0.472, 0.348889, 1),
    "mean_absolute_deviation": (0.236, 0.241667, 0.5),
    "min_max_ratio": (0.358696, 0.072727, 0),
    "tibet_mad": (0.687023, 0.802773, 1),
}
OF_COUNTS = {
    "simpson_unbiased": (0.390169, 0.438121, 0),
    "miller_madow_entropy": (0.835608, 0.623597, 0),
}


def near(value):
    return pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_distances_to_uniform_match_worked_examples(name):
    found = [getattr(r, name)(r.shares_of(toy), r.uniform(len(toy))) for toy in TOYS.values()]
    assert found == near(GOLDEN[name])


@pytest.mark.parametrize("name", WITHOUT_TARGET)
def test_diversity_matches_worked_examples(name):
    assert [getattr(r, name)(r.shares_of(toy)) for toy in TOYS.values()] == near(WITHOUT_TARGET[name])


@pytest.mark.parametrize("name", OF_COUNTS)
def test_bias_corrected_diversity_matches_worked_examples(name):
    assert [getattr(r, name)(toy) for toy in TOYS.values()] == near(OF_COUNTS[name])


def v_of(counts, target=None):
    shares = r.shares_of(counts)
    target = r.uniform(len(counts)) if target is None else target
    return float(r.squared_deviation(shares, target, r.multinomial_noise(shares, sum(counts))))


def test_squared_deviation_and_worst_cell_match_worked_examples():
    assert [v_of(toy) for toy in TOYS.values()] == near([0.109831, 0.311879, 0.5])
    worst = [i.worst_cell_share(r.shares_of(toy), r.uniform(len(toy))) for toy in TOYS.values()]
    assert worst == near([0.528, 0.213333, 0])


def test_distances_to_labour_shares_match_worked_examples():
    shares, target = r.shares_of(TOYS["A"]), np.array([0.438, 0.562])
    assert r.deviation_ratio(shares, target).tolist() == near([0.397260, 0.309609])
    assert r.fd_l2(shares, target) == near(0.246073)
    assert r.kl_divergence(shares, target) == near(0.064865)
    assert r.js_divergence(shares, target) == near(0.024157)
    assert i.worst_cell_share(shares, target) == near(0.602740)
    assert v_of(TOYS["A"], target) == near(0.058991)


def test_association_and_amplification_match_worked_examples():
    counts = np.array([[120, 30], [75, 75], [20, 130]])
    shares, reference = r.shares_of(counts), np.array([0.9, 0.5, 0.1])
    assert i.differential_fairness(counts, alpha=0) == near(1.791759)
    assert i.differential_fairness(counts) == near(1.751268)
    assert a.mutual_information(shares) / np.log(2) == near(0.235762)
    assert a.seshadri_amplification(shares[:, 0], reference) == near(-0.044444)
    both = np.column_stack([reference, 1 - reference])
    assert a.directional_amplification(shares, both) == near(-0.044444)


def test_mutual_information_agrees_with_sklearn():
    counts = np.array([[30, 10], [20, 20], [5, 35]])
    occupation = np.repeat([0, 0, 1, 1, 2, 2], counts.ravel())
    group = np.repeat([0, 1, 0, 1, 0, 1], counts.ravel())
    assert a.mutual_information(r.shares_of(counts)) == near(mutual_info_score(occupation, group))


def test_stereotype_amplification_is_signed_by_the_labour_market():
    labour = np.array([0.9, 0.1])
    assert a.stereotype_amplification(np.array([1.0, 0.0]), labour) == near(0.1)
    assert a.stereotype_amplification(np.array([0.5, 0.5]), labour) == near(-0.4)


def test_one_group_of_four_is_the_worst_value_not_the_best():
    shares, target = r.shares_of([50, 0, 0, 0]), r.uniform(4)
    assert r.kl_divergence(shares, target) == near(np.log(4))
    assert r.normalised_entropy(shares) == 0
    assert i.worst_cell_share(shares, target) == 0
    assert r.worst_deviation(shares, target) == r.delta_tv(shares, target) == 1


def test_no_image_gives_nan_for_every_measure():
    shares, target = r.shares_of(np.zeros(4)), r.uniform(4)
    assert np.isnan([getattr(r, name)(shares, target) for name in GOLDEN]).all()
    assert np.isnan([getattr(r, name)(shares) for name in WITHOUT_TARGET]).all()
    assert np.isnan([getattr(r, name)(np.zeros(4)) for name in OF_COUNTS]).all()
    assert np.isnan([r.delta_tv(shares, target), i.worst_cell_share(shares, target)]).all()
    assert np.isnan(i.total_correlation(shares, (2, 2))) and np.isnan(i.unseen_bound(0))
    assert np.isnan(r.rms_delta(np.full(3, np.nan), target))


def test_one_image_has_no_unbiased_squared_deviation():
    assert np.isnan(v_of([1, 0]))


def test_a_target_of_zero_is_undefined_for_the_ratio_and_infinite_for_kl():
    shares, target = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    assert np.isnan(r.deviation_ratio(shares, target)).tolist() == [True, False, False]
    assert r.kl_divergence(shares, target) == np.inf


def test_perfect_balance_is_the_best_value_of_each():
    target = r.uniform(3)
    assert r.delta_tv(target, target) == r.worst_deviation(target, target) == 0
    assert i.worst_cell_share(target, target) == 1 and r.normalised_entropy(target) == near(1)


@pytest.fixture(scope="module")
def fair_diffusion():
    table = read("fair_diffusion_fairface_counts")
    return {name: table[[f"{name}_woman", f"{name}_man"]].to_numpy(float) for name in ("sd15", "fd", "laion")}


PUBLISHED = {
    "mean delta": (0.622872, 0.209670),
    "mean female share": (0.448301, 0.531910),
    "MI bits": (0.433442, 0.050633),
    "Cramer V": (0.697686, 0.260186),
    "mean KL": (0.305795, 0.037134),
    "mean Hn": (0.558832, 0.946427),
    "unbiased V": (0.245117, 0.033819),
    "passing the 80 % rule": (0.071895, 0.359477),
}


def test_fair_diffusion_counts_give_the_reference_values(fair_diffusion):
    target, found = r.uniform(2), {name: [] for name in PUBLISHED}
    for counts in (fair_diffusion["sd15"], fair_diffusion["fd"]):
        shares = r.shares_of(counts)
        noise = r.multinomial_noise(shares, counts.sum(axis=1))
        found["mean delta"].append(r.delta_tv(shares, target).mean())
        found["mean female share"].append(shares[:, 0].mean())
        found["MI bits"].append(a.mutual_information(shares) / np.log(2))
        found["Cramer V"].append(a.cramers_v(counts))
        found["mean KL"].append(r.kl_divergence(shares, target).mean())
        found["mean Hn"].append(r.normalised_entropy(shares).mean())
        found["unbiased V"].append(r.squared_deviation(shares, target, noise).mean())
        found["passing the 80 % rule"].append((r.min_max_ratio(shares) >= 0.8).mean())
    for name, values in PUBLISHED.items():
        assert found[name] == near(values), name


def test_the_plug_in_distance_is_larger_than_the_unbiased_one(fair_diffusion):
    shares, n = r.shares_of(fair_diffusion["sd15"]), fair_diffusion["sd15"].sum(axis=1)
    plug_in = r.fd_l2(shares, r.uniform(2)) ** 2
    unbiased = r.squared_deviation(shares, r.uniform(2), r.multinomial_noise(shares, n))
    assert [plug_in.mean(), unbiased.mean()] == near([0.246137, 0.245117])


def test_rms_delta_of_the_fair_diffusion_counts(fair_diffusion):
    target = r.uniform(2)
    for name, expected in (("sd15", 0.700), ("fd", 0.260)):
        shares = r.shares_of(fair_diffusion[name])
        noise = r.multinomial_noise(shares, fair_diffusion[name].sum(axis=1))
        assert r.rms_delta(r.squared_deviation(shares, target, noise), target) == pytest.approx(
            expected, abs=5e-4
        )


def test_pooling_occupations_hides_the_bias(fair_diffusion):
    shares = r.shares_of(fair_diffusion["sd15"])
    assert r.delta_tv(shares.mean(axis=0), r.uniform(2)) == pytest.approx(0.103, abs=5e-4)
    assert r.delta_tv(shares, r.uniform(2)).mean() == pytest.approx(0.623, abs=5e-4)


def test_amplification_against_the_training_images(fair_diffusion):
    share, training = (r.shares_of(fair_diffusion[name])[:, 0] for name in ("sd15", "laion"))
    assert r.delta_tv(r.shares_of(fair_diffusion["laion"]), r.uniform(2)).mean() == near(0.515896)
    split = a.amplification_split(share, training)
    assert [split["amplified"], split["reflected"], split["mitigated"]] == near(
        [0.568627, 0.215686, 0.215686]
    )
    assert 100 * a.seshadri_amplification(share, training) == pytest.approx(5.3488, abs=1e-4)


def test_corrected_cramers_v_is_near_zero_without_association():
    tables = np.random.default_rng(0).multinomial(50, [0.4, 0.6], size=(30, 30))
    plain, corrected = (np.mean([a.cramers_v(t, corrected=c) for t in tables]) for c in (False, True))
    assert plain > 0.12 and corrected < plain / 2


def test_released_uce_ratios_give_the_reference_values():
    table = read("uce_released_male_ratio")
    for column, everywhere, first in (
        ("sd_male", 0.6195, 0.6057),
        ("ca_male", 0.3508, 0.3554),
        ("dvl_male", 0.5389, 0.5320),
    ):
        male = table[column].to_numpy()
        delta = r.deviation_ratio(np.column_stack([male, 1 - male]), r.uniform(2))[:, 0]
        assert [np.nanmean(delta), np.nanmean(delta[:35])] == pytest.approx([everywhere, first], abs=5e-5)


def test_released_uce_ratios_follow_the_labour_market():
    labour = read("winobias_occupations").set_index("occupation")["bls2022_pct_women"] / 100
    table = read("uce_released_male_ratio").iloc[:35].set_index("profession")
    women = labour.loc[
        [name.lower() if name not in labour.index else name for name in table.index]
    ].to_numpy()
    for column, rho, slope in (
        ("sd_male", 0.8523, 0.904),
        ("ca_male", 0.7022, 0.532),
        ("dvl_male", 0.8272, 0.742),
    ):
        female = 1 - table[column].to_numpy()
        assert spearmanr(female, women).statistic == pytest.approx(rho, abs=5e-5)
        assert linregress(women, female).slope == pytest.approx(slope, abs=5e-4)


NURSES = {
    "SD": (996, 0.136222, 0.543395, 0.642359, 0.406682, 1.233771, 0.429972, 0.029792),
    "FLUX": (1000, 0, 0.417412, 0.078392, 0.278275, 1.500785, 0.545156, 0.003873),
}


def nurse_table(model):
    """Counts ``(gender, ethnicity, age)`` over the taxonomy, whatever was seen of it."""
    levels = (("female", "male"), ("asian", "black", "indian", "white"), ("elderly", "middle_age", "young"))
    rows = read("nurse_intersectional_vlm_counts").query("model == @model")
    table = np.zeros([len(names) for names in levels])
    for row in rows.itertuples():
        if row.gender in levels[0]:
            place = [
                names.index(x) for names, x in zip(levels, (row.gender, row.ethnicity, row.age), strict=True)
            ]
            table[tuple(place)] += row.count
    return table


@pytest.mark.parametrize("model", NURSES)
def test_nurse_counts_use_the_whole_taxonomy(model):
    table = nurse_table(model)
    pair = table.sum(axis=2).ravel()
    shares = r.shares_of(table.ravel())
    marginals = i.marginal_shares(shares, table.shape)
    found = [
        table.sum(),
        *(r.normalised_entropy(marginal) for marginal in marginals),
        r.normalised_entropy(r.shares_of(pair)),
        r.kl_divergence(r.shares_of(pair), r.uniform(8)),
        v_of(pair),
        i.total_correlation(shares, table.shape),
    ]
    assert found == near(NURSES[model])


def test_a_model_that_draws_one_gender_is_not_fair():
    gender = nurse_table("FLUX").sum(axis=(1, 2))
    assert r.kl_divergence(r.shares_of(gender), r.uniform(2)) == near(np.log(2))


def test_joint_imbalance_is_marginal_imbalance_plus_entanglement():
    pair = nurse_table("SD").sum(axis=2)
    imbalance, entanglement = i.kl_parts(r.shares_of(pair.ravel()), pair.shape)
    assert [*imbalance, entanglement] == near([0.598725, 0.632990, 0.002056])
    assert sum(imbalance) + entanglement == near(1.233771)


def test_balanced_marginals_may_hide_an_entangled_joint():
    only_diagonal = np.array([0.5, 0, 0, 0.5])
    assert all((marginal == 0.5).all() for marginal in i.marginal_shares(only_diagonal, (2, 2)))
    assert i.total_correlation(only_diagonal, (2, 2)) == near(np.log(2))
