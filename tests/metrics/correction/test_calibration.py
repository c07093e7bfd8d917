"""Calibration of a judge: reference values, labelled FairFace images, and simulations."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, World, rows_of
from scipy.optimize import minimize

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import representation as r
from evenhand.metrics.correction import calibration as cal
from evenhand.metrics.correction import correction as c

M3 = np.array([[0.90, 0.06, 0.04, 0.0], [0.10, 0.80, 0.10, 0.0], [0.05, 0.15, 0.80, 0.0]])


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


def inverted(counts, matrix):
    return c.invert(np.atleast_2d(np.asarray(counts, float)), c.inverse_of(matrix))


def test_inversion_recovers_three_groups():
    assert c.seen_by_judge(np.array([0.7, 0.2, 0.1]), M3) == near([0.655, 0.217, 0.128])
    expected = [0.804309, 0.126750, 0.068941]
    assert inverted([74, 16, 10], M3).shares[0] == near(expected)
    assert c.em_shares(np.array([0.74, 0.16, 0.10]), M3[:, :3]) == near(expected)
    assert c.likeliest_shares(np.array([[74.0, 16, 10]]), M3)[0] == near(expected)


def test_likeliest_shares_outside_the_simplex_maximise_the_likelihood():
    counts = np.array([[97.0, 2, 1]])
    assert (inverted(counts, M3).shares < 0).any()

    def loss(logits):
        pi = np.exp(logits) / np.exp(logits).sum()
        return -counts[0] @ np.log(pi @ M3[:, :3])

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"maxiter": 5000, "fatol": 1e-13})
    found = c.likeliest_shares(counts, M3)[0]
    assert -counts[0] @ np.log(found @ M3[:, :3]) <= best.fun + 1e-9
    assert found.sum() == near(1) and (found >= 0).all()


def test_likeliest_shares_without_images_are_missing():
    assert np.isnan(c.likeliest_shares(np.zeros((1, 3)), M3)).all()


MERGED = ("White", "Middle Eastern", "Middle_Eastern", "Latino_Hispanic")

RACE4 = dict.fromkeys(MERGED, "WMELH") | {"East Asian": "Asian", "Southeast Asian": "Asian"}

RACE6 = {"East Asian": "Asian", "Southeast Asian": "Asian", "Middle Eastern": "Middle_Eastern"}


def race_confusion(anchors, judge, names):
    groups = sorted(anchors["true_race7"].replace(names).unique())
    counts = pd.crosstab(anchors["true_race7"].replace(names), anchors[f"{judge}_race6"].replace(names))
    counts = counts.reindex(index=groups, columns=groups, fill_value=0)
    return groups, np.column_stack([counts.to_numpy(float), np.zeros(len(groups))])


@pytest.mark.parametrize(
    ("judge", "names", "naive", "corrected", "condition"),
    [
        ("deepface", RACE6, 0.129, 0.141, 7.4),
        ("facellm", RACE6, 0.218, 0.122, 17.9),
        ("deepface", RACE4, 0.073, 0.043, 2.0),
        ("facellm", RACE4, 0.068, 0.022, 1.7),
    ],
)
def test_merged_groups_can_be_inverted_and_fine_ones_cannot(faces, judge, names, naive, corrected, condition):
    anchors, audited = faces
    groups, counts = race_confusion(anchors, judge, names)
    matrix = cal.confusion_matrix(counts)
    truth = audited["true_race7"].replace(names).value_counts(normalize=True).reindex(groups).to_numpy()
    seen = (
        audited[f"{judge}_race6"].replace(names).value_counts().reindex(groups, fill_value=0).to_numpy(float)
    )
    assert np.linalg.cond(matrix[:, :-1]) == near(condition, 0.05)
    assert r.total_variation(r.shares_of(seen), truth) == near(naive, 5e-4)
    assert r.total_variation(c.likeliest_shares(seen[None], matrix)[0], truth) == near(corrected, 5e-4)
    assert bool(cal.reason_to_refuse(matrix)) == (condition > 5)


ABSTAINS = np.array([[0.65, 0.05, 0.30], [0.09, 0.81, 0.10]])
"""A judge that cannot tell for 30 % of the first group and 10 % of the second."""


def test_group_dependent_abstention_is_corrected():
    truth = np.array([0.5, 0.5])
    decided = truth @ ABSTAINS[:, :2]
    assert decided[0] / decided.sum() < 0.47
    found = inverted(1e6 * decided, ABSTAINS)
    assert found.shares[0] == near(truth) and found.depicted[0] == near(1 / decided.sum())
    assert c.likeliest_shares(1e6 * decided[None], ABSTAINS)[0] == near(truth)


def test_unreadable_images_do_not_make_a_method_look_fairer():
    """The same decided images give the same shares, however many more the judge could not read."""
    matrix = np.array([[0.99, 0.0, 0.01], [0.0, 0.99, 0.01]])
    assert inverted([90, 10], matrix).shares[0] == near([0.9, 0.1])
    with_abstentions = np.array([0.9, 0.1, 0.06]) / 1.06
    fitted = np.linalg.lstsq(
        np.column_stack([matrix.T @ [1, -1]]), with_abstentions - matrix.T @ [0, 1], rcond=None
    )
    assert fitted[0][0] < 0.9


def test_noise_with_unequal_abstention_matches_repeated_samples():
    rng = np.random.default_rng(0)
    truth, n = np.array([0.3, 0.7]), 400
    seen = c.seen_by_judge(truth, ABSTAINS)
    repeats = inverted(rng.multinomial(n, seen, size=20_000), ABSTAINS)
    assert repeats.shares.mean(axis=0) == near(truth, 0.002)
    assert repeats.noise.mean() == pytest.approx(repeats.shares.var(axis=0).sum(), rel=0.03)


def test_only_singular_draws_are_missing():
    matrices = np.array([[[0.9, 0.1, 0], [0.2, 0.8, 0]], [[0.5, 0.5, 0], [0.5, 0.5, 0]]])
    shares = c.invert(np.full((2, 1, 2), 10.0), c.inverse_of(matrices)).shares
    assert np.isfinite(shares[0]).all() and np.isnan(shares[1]).all()


def test_small_rows_are_smoothed_on_the_diagonal_only():
    matrix = cal.confusion_matrix(np.array([[9.0, 1, 0], [10, 30, 0]]))
    assert matrix[0] == near([9.5 / 10.5, 1 / 10.5, 0]) and matrix[1] == near([0.25, 0.75, 0])


def test_resampled_matrices_vary_around_the_table():
    counts = np.array([[80.0, 15, 5], [3, 6, 1]])
    drawn = cal.draw_matrices(counts, draws=20_000, rng=np.random.default_rng(0))
    assert drawn.sum(axis=-1) == near(1)
    assert drawn[:, 0].mean(axis=0) == near([0.8, 0.15, 0.05], 0.005)
    assert drawn[:, 0].std(axis=0) == near(np.sqrt([0.0016, 0.001275, 0.000475]), 0.001)
    assert drawn[:, 1].mean(axis=0) == near(np.array([3.5, 6.5, 1.5]) / 11.5, 0.005)


def test_kronecker_is_the_joint_matrix_of_independent_errors():
    first, second = ABSTAINS, M3
    joint = cal.kronecker([first, second])
    assert joint.shape == (6, 7) and joint.sum(axis=1) == near(1)
    for truth, said in ((0, 5), (4, 1)):
        expected = first[truth // 3, said // 3] * second[truth % 3, said % 3]
        assert joint[truth, said] == near(expected)
    assert joint[2, 6] == near(0.30)


def confusion(judge, attributes, counts, groups, columns):
    rows = [
        (judge, attributes, truth, label, int(count))
        for truth, row in zip(groups, counts, strict=True)
        for label, count in zip(columns, row, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(cal.CONFUSION_COLUMNS))


GENDER = confusion(
    "j", "gender", [[90, 8, 2], [5, 93, 2]], TAXONOMY["gender"], [*TAXONOMY["gender"], "undetermined"]
)

TONE = confusion(
    "j",
    "tone",
    [[95, 5, 0, 0], [4, 90, 6, 0], [0, 5, 94, 1]],
    TAXONOMY["tone"],
    [*TAXONOMY["tone"], "undetermined"],
)


def calibrate(table, attributes=("gender",)):
    return cal.calibrate(table, judge="j", attributes=attributes, taxonomy=TAXONOMY, draws=50, seed=0)


def test_calibration_does_not_depend_on_row_order():
    first, second = calibrate(GENDER), calibrate(GENDER.sample(frac=1, random_state=0))
    assert first.matrix == near(np.array([[0.90, 0.08, 0.02], [0.05, 0.93, 0.02]]))
    assert (first.matrix == second.matrix).all() and (first.draws == second.draws).all()


def test_joint_calibration_uses_the_product_if_cells_have_few_anchors():
    both = pd.concat([GENDER, TONE])
    found = calibrate(both, ("gender", "tone"))
    assert "independent" in found.remark
    assert found.matrix == near(cal.kronecker([calibrate(both).matrix, calibrate(both, ("tone",)).matrix]))
    names = cal.cell_names([TAXONOMY["gender"], TAXONOMY["tone"]])
    few = confusion("j", "gender*tone", 20 * np.eye(6), names, names)
    many = confusion("j", "gender*tone", 25 * np.eye(6), names, names)
    assert "independent" in calibrate(pd.concat([both, few]), ("gender", "tone")).remark
    assert calibrate(pd.concat([both, many]), ("gender", "tone")).matrix[:, :6] == near(np.eye(6))
    assert calibrate(few, ("gender", "tone")).matrix[:, :6] == near(np.eye(6))


def test_a_refused_calibration_has_a_reason():
    assert calibrate(TONE).reason == "no anchors"
    assert calibrate(GENDER, ("gender", "tone")).reason == "tone: no anchors"
    assert calibrate(GENDER[GENDER["truth"] == "man"]).reason == "a group has no anchors"
    assert isinstance(calibrate(GENDER.assign(count=[70, 30, 0, 30, 70, 0])), cal.Calibration)
    assert "condition number 10.0" in calibrate(GENDER.assign(count=[55, 45, 0, 45, 55, 0])).reason
    assert "40%" in calibrate(GENDER.assign(count=[40, 60, 0, 0, 100, 0])).reason


def test_frequent_abstention_is_accepted_and_constant_abstention_refused():
    assert isinstance(calibrate(GENDER.assign(count=[40, 5, 55, 2, 60, 38])), cal.Calibration)
    assert "decides none of the anchors" in calibrate(GENDER.assign(count=[0, 0, 100, 2, 60, 38])).reason


def test_an_unknown_group_is_an_error():
    with pytest.raises(EvenhandError, match="unknown group 'person' of gender"):
        calibrate(GENDER.replace("woman", "person"))


def test_confusion_table_counts_the_labels_of_every_true_group():
    world = World()
    world.draw("m", "person", prompt_id="p", cells=[0, 0, 3, 5])
    keys = list(world.truth)
    labels = pd.concat(
        [
            rows_of("j", keys, "gender", [0, 1, 1, 2]),
            rows_of("j", keys, "tone", [0, 0, 0, 2]),
            rows_of("k", keys, "gender", [0, 0, 1, 1]),
        ]
    )
    table = cal.confusion_table(world.anchors(), labels, [("gender",), ("gender", "tone")])
    found = {tuple(row[:4]): row[4] for row in table.itertuples(index=False)}
    assert found == {
        ("j", "gender", "woman", "woman"): 1,
        ("j", "gender", "woman", "man"): 1,
        ("j", "gender", "man", "man"): 1,
        ("j", "gender", "man", "undetermined"): 1,
        ("j", "gender*tone", "woman*light", "woman*light"): 1,
        ("j", "gender*tone", "woman*light", "man*light"): 1,
        ("j", "gender*tone", "man*light", "man*light"): 1,
        ("j", "gender*tone", "man*dark", "undetermined"): 1,
        ("k", "gender", "woman", "woman"): 2,
        ("k", "gender", "man", "man"): 2,
    }


@pytest.mark.parametrize("distance", [0.071, 0.24, 0.468])
def test_a_noisy_judge_compresses_the_range_and_the_correction_restores_it(distance):
    """The simulation of section 3.14: 36 occupations, 200 images, gender x four groups, 1,000 anchors."""
    rng, target = np.random.default_rng(0), r.uniform(8)
    recall = cal.kronecker(
        [
            np.array([[0.93, 0.07, 0.0], [0.05, 0.95, 0.0]]),
            np.column_stack([0.88 * np.eye(4) + 0.04 * (1 - np.eye(4)), np.zeros(4)]),
        ]
    )
    lean = rng.dirichlet(np.ones(8), size=36)
    scale = np.sqrt((((lean - target) ** 2).sum(axis=1) / (1 - 1 / 8)).mean())
    truth = target + (lean - target) * distance / scale
    truth = np.clip(truth, 0, None) / np.clip(truth, 0, None).sum(axis=1, keepdims=True)
    true = np.sqrt((((truth - target) ** 2).sum(axis=1) / (1 - 1 / 8)).mean())
    naive, corrected = [], []
    for _ in range(40):
        anchors = np.array([rng.multinomial(125, row) for row in recall]).astype(float)
        counts = np.array([rng.multinomial(200, row) for row in truth @ recall[:, :8]]).astype(float)
        shares = r.shares_of(counts)
        noise = r.multinomial_noise(shares, 200)
        naive.append(r.rms_delta(r.squared_deviation(shares, target, noise), target))
        found = c.invert(counts, c.inverse_of(cal.confusion_matrix(anchors)))
        corrected.append(r.rms_delta(r.squared_deviation(found.shares, target, found.noise), target))
    assert np.mean(corrected) == near(true, 0.012)
    assert abs(np.mean(naive) - true) > 2 * abs(np.mean(corrected) - true)
