"""Corrections of judge errors against quapy, ppi-python, abstention and scikit-learn on real labels."""

import numpy as np
import pytest
from quapy.method.aggregative import ACC

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction import correction as c
from evenhand.metrics.correction import soft_correction as soft
from evenhand.metrics.correction.prediction_powered import powered_mean

M3 = np.array([[0.90, 0.06, 0.04], [0.10, 0.80, 0.10], [0.05, 0.15, 0.80]])


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


@pytest.mark.parametrize("seen", [(0.74, 0.16, 0.10), (0.655, 0.217, 0.128)])
def test_inversion_agrees_with_quapy(seen):
    matrix = np.column_stack([M3, np.zeros(3)])
    found = c.invert(np.array([seen]) * 1000, c.inverse_of(matrix)).shares[0]
    assert found == near(ACC.solve_adjustment(M3.T, np.array(seen), method="inversion", solver="exact-raise"))


@pytest.mark.parametrize("seen", [(0.97, 0.02, 0.01), (0.02, 0.08, 0.90), (0.74, 0.16, 0.10)])
def test_constrained_least_squares_matches_quapy_and_stays_on_the_simplex(seen):
    observed = np.array(seen)
    found = c.least_squares_shares(observed, M3)
    theirs = ACC.solve_adjustment(M3.T, observed, method="inversion", solver="minimize")
    assert found.sum() == near(1) and (found >= 0).all()
    assert found == near(theirs, 1e-3)
    loss = [((observed - M3.T @ pi) ** 2).sum() for pi in (found, theirs)]
    assert loss[0] <= loss[1] + 1e-12


def test_least_squares_finds_the_optimum_for_rectangular_matrices():
    rng = np.random.default_rng(0)
    for groups, answers in ((2, 5), (3, 3), (4, 9)):
        matrix = 0.5 * np.eye(groups, answers) + 0.5 * rng.dirichlet(np.ones(answers), groups)
        observed = rng.dirichlet(np.ones(answers))
        found = c.least_squares_shares(observed, matrix)
        slope = matrix @ (matrix.T @ found - observed)
        # No group with a share can lower the loss by giving some of it to another group.
        assert found @ (slope - slope.min()) == near(0, 1e-12)


def test_invalid_weights_are_an_error():
    with pytest.raises(EvenhandError, match=r"weights must be positive, got 0\.0"):
        powered_mean([1, 0], [1, 0], [1, 0], weights=[1, 0])
    with pytest.raises(EvenhandError, match="got 0 images and prevalences"):
        soft.sld_shares(np.empty((0, 2)), np.array([0.5, 0.5]))
