"""Target groups of generated images, against optimal transport."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from evenhand.methods.finetuning._dynamic_targets import group_targets, target_shares


def transport(cost, labels):
    """The transport plan between images of mass one and the labels' counts, as a linear program."""
    count, cells = cost.shape
    rows = [np.kron(np.eye(count)[n], np.ones(cells)) for n in range(count)]
    columns = [np.tile(np.eye(cells)[c], count) for c in range(cells)]
    wanted = [1.0] * count + [float((labels == c).sum()) for c in range(cells)]
    found = linprog(cost.reshape(-1), A_eq=np.array(rows + columns), b_eq=wanted)
    return found.x.reshape(count, cells), found.fun


def test_targets_are_optimal_transport_plans():
    rng = np.random.default_rng(1)
    marginals = [rng.dirichlet([0.5] * 2, size=7), rng.dirichlet([0.5] * 3, size=7)]
    groups = [np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2])]
    desired = np.full(6, 1 / 6)
    cost = np.empty((7, 6))
    for n, c in itertools.product(range(7), range(6)):
        apart = [
            ((p[n] - np.eye(p.shape[1])[g[c]]) ** 2).sum() for p, g in zip(marginals, groups, strict=True)
        ]
        cost[n, c] = np.sqrt(sum(apart))
    for seed in range(3):
        got = target_shares(marginals, groups, desired, draws=1, rng=np.random.default_rng(seed))
        labels = np.random.default_rng(seed).choice(6, size=7, p=desired)
        plan, least = transport(cost, labels)
        assert (cost * got).sum() == pytest.approx(least)
        np.testing.assert_allclose(got.sum(axis=0), plan.sum(axis=0), atol=1e-8)
        np.testing.assert_allclose(got.sum(axis=1), 1)
    many = target_shares(marginals, groups, desired, draws=40, rng=np.random.default_rng(0))
    np.testing.assert_allclose(many.sum(axis=1), 1)
    assert len(np.unique(many)) > 6


@pytest.mark.parametrize("desired", [0.5, 0.2])
def test_ranking_two_groups_equals_optimal_transport(desired):
    first = np.random.default_rng(3).uniform(size=9)
    marginals, groups = [np.column_stack([first, 1 - first])], [np.array([0, 1])]
    got = target_shares(
        marginals, groups, np.array([desired, 1 - desired]), draws=0, rng=np.random.default_rng(0)
    )
    rng = np.random.default_rng(4)
    cost = np.sqrt(((marginals[0][:, None] - np.eye(2)[None]) ** 2).sum(axis=2))
    plans = []
    for _ in range(400):
        labels = rng.choice(2, size=9, p=[desired, 1 - desired])
        # the same transport without ranks: the largest gain of the first group comes first
        order = np.argsort(cost[:, 0] - cost[:, 1])
        plan = np.zeros((9, 2))
        plan[order, np.where(np.arange(9) < (labels == 0).sum(), 0, 1)] = 1
        plans.append(plan)
    np.testing.assert_allclose(got, np.mean(plans, axis=0), atol=0.09)
    one = transport(cost, np.array([0] * 4 + [1] * 5))[0]
    assert set(np.flatnonzero(one[:, 0] > 0.5)) == set(np.argsort(-first)[:4])


def test_the_first_group_may_belong_to_the_second_cell():
    marginals, groups = [np.array([[0.9, 0.1], [0.2, 0.8]])], [np.array([1, 0])]
    got = target_shares(marginals, groups, np.array([0.5, 0.5]), draws=0, rng=np.random.default_rng(0))
    group, certain = group_targets(got, groups[0], most_uncertain=0.3)
    assert group.tolist() == [0, 1] and certain.all()


def test_uncertain_targets_do_not_count():
    shares = np.array([[0.5, 0.4, 0.1], [0.1, 0.05, 0.85]])
    group, certain = group_targets(shares, np.array([0, 0, 1]), most_uncertain=0.1)
    assert group.tolist() == [0, 1] and certain.tolist() == [True, False]
