"""How often prompts get their group, and the sampling weights that compensate."""

import numpy as np
import pytest
from helpers.methods import JOINT

from evenhand.methods.base import Cell
from evenhand.methods.sortition import _compliance

TWENTY = tuple(
    Cell(groups={"gender": g, "race": str(r), "age": a}, adjective="", noun="", adjectives={})
    for g in ("woman", "man")
    for r in range(5)
    for a in ("adult", "older")
)


def test_groups_are_numbered_in_order_of_appearance():
    of = _compliance.group_indices(JOINT)
    assert {name: group.tolist() for name, group in of.items()} == {
        "gender": [0, 1, 0, 1],
        "age": [0, 0, 1, 1],
    }


def test_a_compliant_model_and_a_perfect_judge_give_the_target():
    of = _compliance.group_indices(TWENTY)
    target = np.random.default_rng(0).dirichlet(np.ones(20))
    tables = [np.eye(group.max() + 1)[group] for group in of.values()]
    compliant = [
        _compliance.compliant_reading(target, group=group, confusion=np.eye(group.max() + 1))
        for group in of.values()
    ]
    assert np.allclose(
        _compliance.sampling_weights(target, tables=tables, compliant=compliant), target, atol=1e-6
    )


def test_sampling_weights_compensate_for_non_compliance():
    """A model that shows a man for a third of the images assigned to women gets more women assigned."""
    of = _compliance.group_indices(JOINT)
    compliance = {"gender": np.array([[2 / 3, 1 / 3], [0.0, 1.0]]), "age": np.eye(2)}
    tables = [compliance[name][group] for name, group in of.items()]
    uniform = np.full(4, 0.25)
    compliant = [
        _compliance.compliant_reading(uniform, group=group, confusion=np.eye(2)) for group in of.values()
    ]
    rho = _compliance.sampling_weights(uniform, tables=tables, compliant=compliant)
    assert rho.sum() == pytest.approx(1)
    assert np.allclose(tables[0].T @ rho, 0.5, atol=0.01)
    assert np.allclose(tables[1].T @ rho, 0.5, atol=0.01)
    assert rho[of["gender"] == 0].sum() == pytest.approx(0.75, abs=0.01)


def test_sampling_weights_are_probabilities_even_if_none_meet_the_target():
    uniform = np.full(2, 0.5)
    rho = _compliance.sampling_weights(
        uniform, tables=[np.array([[0.0, 1.0], [0.0, 1.0]])], compliant=[uniform]
    )
    assert (rho >= 0).all()
    assert rho.sum() == pytest.approx(1)


def test_effects_measure_how_one_attribute_moves_another():
    """Half of the images assigned to elderly women show men; those assigned to young women never do."""
    of = _compliance.group_indices(JOINT)
    cells = np.repeat(np.arange(4), 4000)
    assigned = of["gender"][cells]
    rng = np.random.default_rng(0)
    swapped = (of["age"][cells] == 1) & (assigned == 0) & (rng.random(len(cells)) < 0.5)
    read = np.where(swapped, 1, assigned)
    effects = _compliance.estimate_effects(
        cells, read, groups=of, attribute="gender", confusion=np.eye(2), m=0.0
    )
    assert np.allclose(effects["age"], [[0, 0], [-0.25, 0.25]], atol=0.02)
    assert np.allclose(effects["gender"], [[-0.25, 0.25], [0, 0]], atol=0.02)
    shrunk = _compliance.estimate_effects(
        cells, read, groups=of, attribute="gender", confusion=np.eye(2), m=8000.0
    )
    assert np.allclose(shrunk["age"], effects["age"] / 2)


def test_the_confusion_matrix_adds_one_correct_image_per_group():
    table = _compliance.confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
    assert np.allclose(table, [[3 / 4, 1 / 4], [0, 1]])


@pytest.mark.slow
def test_the_bounds_on_the_deviation_hold_at_all_checks():
    """In at most 5 % of 200 runs of a non-compliant model may any check exclude the true deviation."""
    rng, missed = np.random.default_rng(0), 0
    truth = np.array([0.05 - 0.1, 0.1 - 0.05])
    for _ in range(200):
        assigned = rng.integers(0, 2, 300)
        flips = rng.random(300) < np.where(assigned == 0, 0.2, 0.1)
        read = np.where(flips, 1 - assigned, assigned)
        inside = True
        for n in range(20, 301, 20):
            half = np.full(2, 0.5)
            low, high = _compliance.deviation_bounds(
                assigned[:n], read[:n], drawn=half, compliant=half, significance_level=0.05
            )
            inside &= bool(((low <= truth) & (truth <= high)).all())
        missed += not inside
    assert missed <= 10


def test_known_sampling_weights_do_not_add_uncertainty():
    """With a compliant model a hundred images prove more than their shares alone."""
    assigned = np.array([0, 1] * 100)
    half = np.full(2, 0.5)
    low, high = _compliance.deviation_bounds(
        assigned, assigned, drawn=half, compliant=half, significance_level=0.05
    )
    assert (np.abs([low, high]) < 0.07).all()
