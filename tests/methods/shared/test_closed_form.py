"""The closed form solves the regularized least squares it states."""

import numpy as np
import pytest
import torch
from helpers.methods import NumericModel, relative_error
from scipy.optimize import minimize

from evenhand.methods.shared.closed_form import ClosedForm, leakage, shift


def solve_directly(weight, rows, targets, *, lam, preserved, mu, scale):
    """The textbook form ``A M^-1``, summed row by row with an explicit inverse."""
    eye = torch.eye(weight.shape[1], dtype=weight.dtype)
    a, m = lam * weight, lam * eye
    for c, v, s in zip(rows, targets, scale, strict=True):
        a = a + s * torch.outer(v, c)
        m = m + s * torch.outer(c, c)
    for p in preserved:
        a = a + mu * torch.outer(weight @ p, p)
        m = m + mu * torch.outer(p, p)
    return a @ torch.linalg.inv(m)


def problem(seed, rows, preserved, m=5, d=12):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((m, d), (rows, d), (rows, m), (preserved, d))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize(("rows", "preserved"), [(1, 0), (1, 4), (3, 4), (20, 40)])
@pytest.mark.parametrize("lam", [0.1, 0.5])
def test_update_form_equals_direct_solution(rows, preserved, lam):
    weight, c, v, p = problem(rows, rows, preserved)
    scale = torch.linspace(0.5, 2, rows, dtype=torch.float64)
    form = ClosedForm.factor(c, lam=lam, preserved=p, mu=0.2, scale=scale)
    expected = solve_directly(weight, c, v, lam=lam, preserved=p, mu=0.2, scale=scale)
    assert relative_error(form.solve(weight, v) - weight, expected - weight) < 1e-9


def test_solution_is_the_minimum_of_the_objective():
    weight, c, v, p = problem(7, 2, 3, m=2, d=4)

    def objective(flat):
        new = torch.tensor(flat).reshape(weight.shape)
        edit = ((c @ new.T - v) ** 2).sum()
        keep = ((p @ (new - weight).T) ** 2).sum()
        return float(edit + 0.2 * keep + 0.5 * ((new - weight) ** 2).sum())

    found = minimize(objective, weight.flatten().numpy(), method="BFGS", options={"gtol": 1e-10}).x
    form = ClosedForm.factor(c, lam=0.5, preserved=p, mu=0.2)
    np.testing.assert_allclose(form.solve(weight, v).flatten().numpy(), found, atol=1e-5)


def test_one_factorisation_serves_every_projection():
    model = NumericModel()
    c = model.encode(["a nurse", "a chef"]).states[:, 2]
    form = ClosedForm.factor(c, lam=0.5)
    for weight in model.weights.values():
        v = torch.ones(2, len(weight), dtype=torch.float64)
        expected = solve_directly(weight, c, v, lam=0.5, preserved=[], mu=0.0, scale=torch.ones(2))
        assert relative_error(form.solve(weight, v) - weight, expected - weight) < 1e-9


def test_targets_equal_to_current_outputs_do_not_change_the_projection():
    weight, c, _, p = problem(1, 3, 4)
    form = ClosedForm.factor(c, lam=0.5, preserved=p, mu=0.2)
    assert torch.equal(form.solve(weight, c @ weight.T), weight)


def test_leakage_is_the_change_of_another_state_per_unit_of_the_edit():
    weight, c, v, p = problem(3, 1, 4)
    form = ClosedForm.factor(c, lam=0.5, preserved=p, mu=0.2)
    others = problem(4, 5, 0)[1]
    change = others @ (form.solve(weight, v) - weight).T
    delta = torch.linalg.norm(v - c @ weight.T)
    torch.testing.assert_close(
        leakage(form.directions, others)[:, 0] * delta, torch.linalg.norm(change, dim=1)
    )


def test_shift_uses_the_running_norm():
    outputs = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    towards = torch.tensor([[[2.0, 0.0]], [[0.0, 5.0]]], dtype=torch.float64)
    pushed = shift(outputs, towards, torch.tensor([1.0, 0.5], dtype=torch.float64))
    # 3 + 1 * |3| = 6 along the first direction, then half of 6, not of 3, along the second
    assert pushed.tolist() == [[6.0, 3.0]]


def test_shift_uses_frobenius_norms_over_the_window():
    outputs = torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    towards = torch.tensor([[[0.0, 6.0], [8.0, 0.0]]], dtype=torch.float64)
    pushed = shift(outputs, towards, torch.tensor([1.0], dtype=torch.float64))
    # ||V||_F = 5 and G / ||G||_F = [[0, 0.6], [0.8, 0]]
    torch.testing.assert_close(pushed, torch.tensor([[3.0, 3.0], [4.0, 4.0]], dtype=torch.float64))
