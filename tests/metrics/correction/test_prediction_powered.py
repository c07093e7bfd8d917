"""Prediction-powered estimates against ppi-python and worked examples."""

import numpy as np
import pytest
from helpers.metrics import woman
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction import correction as c
from evenhand.metrics.correction.prediction_powered import powered_mean, stratified_mean


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


PPI = {
    "deepface": {
        1: (0.476002, 1, 0.021838),
        None: (0.461912, 0.378431, 0.019074),
        0: (0.453333, 0, 0.020340),
    },
    "facellm": {1: (0.462986, 1, 0.016665), None: (0.459476, 0.636398, 0.014464), 0: (0.453333, 0, 0.020340)},
}


@pytest.mark.parametrize("power", [1, None, 0])
@pytest.mark.parametrize("judge", PPI)
def test_prediction_powered_shares_of_the_test_bed(judge, power, faces):
    anchors, audited = faces
    said = f"{judge}_gender"
    found = powered_mean(
        woman(anchors, "true_gender"), woman(anchors, said), woman(audited, said), power=power
    )
    assert (found.value, found.power, found.error) == tuple(near(part) for part in PPI[judge][power])


TRUTH = np.repeat([0.0, 1.0], [135, 65])
SAID = np.repeat([0.0, 1.0, 0.0, 1.0], [125, 10, 5, 60])

OTHERS = np.repeat([1.0, 0.0], [761, 1239])


@pytest.mark.parametrize(
    ("power", "value", "low", "high"),
    [(1, 0.3555, 0.312126, 0.398874), (0, 0.325, 0.260088, 0.389912), (None, 0.346961, 0.307437, 0.386485)],
)
def test_prediction_powered_values_match_ppi_python(power, value, low, high):
    theirs = ppi_mean_ci(TRUTH, SAID, OTHERS, alpha=0.05, lam=power)
    assert [float(theirs[0][0]), float(theirs[1][0])] == near([low, high])
    found = powered_mean(TRUTH, SAID, OTHERS, power=power)
    # Theirs divides variances by n, ours by n - 1, and lambda differs in the same way.
    assert [found.value, found.low, found.high] == near([value, low, high], 2.5e-4)
    assert power is not None or (float(found.power), float(found.value)) == (near(0.723642), near(0.347071))


def test_weighted_anchors_agree_with_ppi_python_in_the_estimate():
    rng = np.random.default_rng(0)
    weights = rng.uniform(1, 5, 200)
    theirs = ppi_mean_pointestimate(TRUTH, SAID, OTHERS, lam=0.6, w=weights)
    assert powered_mean(TRUTH, SAID, OTHERS, power=0.6, weights=weights).value == near(float(theirs[0]))


def test_a_perfect_judge_gives_the_pooled_mean_and_a_useless_one_the_anchors():
    rng = np.random.default_rng(0)
    truth, others = (rng.random(100) < 0.4).astype(float), (rng.random(900) < 0.3).astype(float)
    assert powered_mean(truth, truth, others, power=0.9).value == near(np.append(truth, others).mean())
    same = np.tile(truth, 9)
    assert powered_mean(truth, truth, same).power == near(0.9, 0.01)
    assert powered_mean(truth, truth, same).error == near(truth.std() / np.sqrt(1000), 2e-4)
    constant = powered_mean(truth, np.ones(100), np.ones(900))
    assert (constant.value, constant.power) == (near(truth.mean()), 0)


MERGED = ("White", "Middle Eastern", "Middle_Eastern", "Latino_Hispanic")

RACE4 = dict.fromkeys(MERGED, "WMELH") | {"East Asian": "Asian", "Southeast Asian": "Asian"}

RACE6 = {"East Asian": "Asian", "Southeast Asian": "Asian", "Middle Eastern": "Middle_Eastern"}


def codes(table, column, names, groups):
    return table[column].replace(names).map({group: code for code, group in enumerate(groups)}).to_numpy(int)


def distance(shares, truth):
    return np.abs(shares - truth).sum() / 2


@pytest.mark.parametrize(
    ("names", "anchors_alone", "deepface", "facellm", "pair"),
    [(RACE6, 0.039, 0.032, 0.034, 0.055), (RACE4, 0.025, 0.025, 0.023, 0.020)],
)
def test_shares_of_many_groups_on_the_test_bed(faces, names, anchors_alone, deepface, facellm, pair):
    anchors, audited = faces
    groups = sorted(anchors["true_race7"].replace(names).unique())
    unit = np.eye(len(groups))
    truth = codes(anchors, "true_race7", names, groups)
    right = unit[codes(audited, "true_race7", names, groups)].mean(axis=0)
    assert distance(unit[truth].mean(axis=0), right) == near(anchors_alone, 5e-4)
    said = []
    for judge, expected in (("deepface", deepface), ("facellm", facellm)):
        of_anchors, of_others = (codes(part, f"{judge}_race6", names, groups) for part in (anchors, audited))
        found = powered_mean(unit[truth], unit[of_anchors], unit[of_others]).value
        assert distance(found / found.sum(), right) == near(expected, 5e-4)
        said.append((of_anchors, of_others))
    both = [c.pair_answers(first, second, columns=len(groups)) for first, second in zip(*said, strict=True)]
    table = np.zeros((len(groups), len(groups) ** 2))
    np.add.at(table, (truth, both[0]), 1)
    seen = np.bincount(both[1], minlength=len(groups) ** 2) / len(audited)
    found = c.em_shares(seen, table / table.sum(axis=1, keepdims=True))
    assert distance(found, right) == near(pair, 5e-4)


def test_stratified_mean_combines_strata_by_weight():
    parts = [powered_mean(TRUTH, SAID, OTHERS), powered_mean(1 - TRUTH, 1 - SAID, 1 - OTHERS)]
    joint = stratified_mean(parts, [0.25, 0.75])
    assert joint.value == near(0.25 * parts[0].value + 0.75 * parts[1].value)
    assert joint.error == near(np.hypot(0.25 * parts[0].error, 0.75 * parts[1].error))
    with pytest.raises(EvenhandError, match="sum to 1"):
        stratified_mean(parts, [0.25, 0.25])


def test_anchors_sampled_by_the_judges_label_need_weights():
    """Half of the anchors are images that the judge called positive, which are a tenth of the pool."""
    rng, truth, estimates = np.random.default_rng(0), 0.1, {True: [], False: []}
    for _ in range(1500):
        y = rng.random(4000) < truth
        said = np.where(y, rng.random(4000) < 0.7, rng.random(4000) < 0.04)
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(said == answer), 200, replace=False) for answer in (True, False)]
        )
        weights = np.where(said[chosen], said.sum(), (~said).sum()) / 200
        for weighed in estimates:
            found = powered_mean(
                y[chosen].astype(float),
                said[chosen].astype(float),
                said.astype(float),
                power=1,
                weights=weights if weighed else None,
            )
            estimates[weighed].append((found.value, found.low <= truth <= found.high))
    value, covered = np.mean(estimates[True], axis=0)
    assert value == near(truth, 0.001) and 0.93 <= covered <= 0.97
    assert abs(np.mean(estimates[False], axis=0)[0] - truth) > 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0], [1.0, 0.0]), "got 1 and 2"),
        (([], [], [1.0, 0.0]), "got 0 and 2"),
        (([1.0, 0.0], [1.0, 0.0], []), "got 2 and 0"),
    ],
)
def test_too_few_images_are_an_error(arguments, message):
    with pytest.raises(EvenhandError, match=message):
        powered_mean(*arguments)
