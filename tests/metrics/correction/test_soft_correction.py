"""Corrections that use a judge's probabilities, against QuaPy and worked examples."""

import numpy as np
import pytest
from abstention.calibration import TempScaling
from helpers.metrics import woman
from quapy.method.aggregative import ACC, EMQ, PACC
from sklearn.linear_model import LogisticRegression

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction import soft_correction as soft


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


def posteriors(table):
    return np.column_stack([table["deepface_p_woman"], 1 - table["deepface_p_woman"]])


def man(table):
    return (table["true_gender"] == "Male").to_numpy(int)


def blurred(rng, *, n, groups=3):
    """Posteriors of a judge that is right most of the time and surer of itself than it should be."""
    truth = rng.integers(0, groups, n)
    logits = rng.normal(size=(n, groups)) * 2 + 2 * np.eye(groups)[truth]
    logits[:, 0] += 0.7
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth


def test_probabilistic_counts_of_the_test_bed(faces):
    anchors, audited = faces
    matrix = soft.soft_matrix(posteriors(anchors), man(anchors))
    assert soft.pcc_shares(posteriors(audited))[0] == near(0.234053)
    assert soft.pacc_shares(posteriors(audited), matrix)[0] == near(0.503002)
    assert matrix == near(PACC.getPteCondEstim([0, 1], man(anchors), posteriors(anchors)).T)


def test_adjusted_mean_posteriors_agree_with_quapy_inside_and_outside_the_simplex():
    anchors, truth = blurred(np.random.default_rng(0), n=900)
    audited, other = blurred(np.random.default_rng(1), n=900)
    matrix = soft.soft_matrix(anchors, truth)
    for chosen in (audited, audited[other == 2], audited[audited[:, 1] > 0.5]):
        theirs = ACC.solve_adjustment(matrix.T, chosen.mean(axis=0), method="inversion", solver="minimize")
        assert soft.pacc_shares(chosen, matrix) == near(theirs, 2e-3)


def test_uninformative_posteriors_are_an_error():
    flat = np.full((6, 2), 0.5)
    with pytest.raises(EvenhandError, match="do not distinguish the groups"):
        soft.pacc_shares(flat, soft.soft_matrix(flat, np.array([0, 0, 0, 1, 1, 1])))
    with pytest.raises(EvenhandError, match="group 1 of 2 has no anchor"):
        soft.soft_matrix(flat, np.zeros(6, int))


def test_sld_golden_value_and_agreement_with_quapy():
    first = np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.95, 0.55, 0.2])
    table, even = np.column_stack([first, 1 - first]), np.array([0.5, 0.5])
    assert soft.sld_shares(table, even) == near([0.946086, 0.053914])
    assert soft.pcc_shares(table)[0] == near(0.625)
    three, _ = blurred(np.random.default_rng(2), n=500)
    prevalence = np.array([0.5, 0.3, 0.2])
    assert soft.sld_shares(three, prevalence) == near(EMQ.EM(prevalence, three, epsilon=1e-9)[0], 1e-5)


def test_sld_needs_the_recalibration_on_anchors(faces):
    anchors, audited = faces
    scale = soft.recalibrate(posteriors(anchors), man(anchors))
    assert soft.sld_shares(posteriors(audited), np.array([0.5, 0.5]))[0] == near(0.145, 5e-4)
    assert soft.sld_shares(scale.of(posteriors(audited)), scale.prevalence)[0] == near(0.467, 5e-4)


def test_a_shifted_subset_of_the_test_bed_is_corrected(faces):
    anchors, audited = faces
    women = audited[audited["true_gender"] == "Female"].iloc[::5]
    shifted = audited[(audited["true_gender"] == "Male") | audited.index.isin(women.index)]
    scale = soft.recalibrate(posteriors(anchors), man(anchors))
    matrix = soft.soft_matrix(posteriors(anchors), man(anchors))
    assert (len(shifted), 1 - man(shifted).mean()) == (1487, near(0.153329))
    assert woman(shifted, "deepface_gender").mean() == near(0.095, 5e-4)
    assert soft.pacc_shares(posteriors(shifted), matrix)[0] == near(0.161025)
    calibrated = scale.of(posteriors(shifted))
    assert soft.pcc_shares(calibrated)[0] == near(0.354, 5e-4)
    assert soft.sld_shares(calibrated, scale.prevalence)[0] == near(0.147, 1e-3)


def test_recalibration_agrees_with_abstention_and_with_logistic_regression(faces):
    anchors, _ = faces
    odds = np.log(np.clip(posteriors(anchors), 1e-6, 1 - 1e-6))
    plain = LogisticRegression(C=np.inf, tol=1e-10).fit((odds[:, 0] - odds[:, 1])[:, None], 1 - man(anchors))
    found = soft.recalibrate(posteriors(anchors), man(anchors))
    assert 1 / found.temperature == near(plain.coef_[0, 0], 1e-4)
    assert found.biases[0] == near(plain.intercept_[0], 1e-4)
    three, truth = blurred(np.random.default_rng(3), n=2000)
    theirs = TempScaling(bias_positions="all")(
        valid_preacts=three, valid_labels=np.eye(3)[truth], posterior_supplied=True
    )
    assert soft.recalibrate(three, truth).of(three) == near(theirs(three), 2e-3)
