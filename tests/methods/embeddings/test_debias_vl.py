"""Debias-VL's matrix minimizes the paper's objective and only changes prompts with a concept."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, make_task, mini_text

from evenhand.bench.errors import EvenhandError
from evenhand.methods.embeddings.debias_vl import TRAINING_PROFESSIONS, DebiasVl

PROFESSIONS = ("auditor", "editor", "construction worker")
TEMPLATE = "a photo of a {adjective} {concept}"


def fit(model, cells, **parameters):
    parameters = {"template": TEMPLATE, "professions": PROFESSIONS} | parameters
    return DebiasVl(**parameters).fit(make_task(Studio({}), cells=cells, model=model))


def differences(model, cells):
    """Unit differences of every pair of cells within every profession, one text at a time."""
    found = []
    for profession in PROFESSIONS:
        rows = []
        for cell in cells:
            encoded = model.encode([f"a photo of a {cell.adjective} {profession}".replace("a eld", "an eld")])
            row = encoded.states[0, encoded.first_eos[0]]
            rows.append(row / row.norm())
        found += [a - b for a, b in combinations(rows, 2)]
    return found


@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
@pytest.mark.parametrize("cells", [GENDER, JOINT], ids=["one attribute", "joint cells"])
def test_the_matrix_equals_the_naive_one(model, cells):
    got = fit(model, cells, template="a photo of {a} {adjective} {concept}").tensors["P"]
    pairs = differences(model, cells)
    mean = np.mean([np.outer(pair, pair) for pair in pairs], axis=0)
    expected = np.linalg.inv(np.eye(len(mean)) + 500 * mean)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)


def test_the_matrix_minimises_the_papers_objective():
    model = NumericModel()
    P = fit(model, GENDER, lam=3.0).tensors["P"].double().requires_grad_()
    pairs = torch.stack(differences(model, GENDER))

    def objective(matrix):
        identity = torch.eye(len(matrix), dtype=matrix.dtype)
        return (matrix - identity).square().sum() + 3.0 * (pairs @ matrix.T).square().sum(dim=1).mean()

    (gradient,) = torch.autograd.grad(objective(P), P)
    assert gradient.abs().max() < 1e-5
    (elsewhere,) = torch.autograd.grad(objective(P + 0.01), P)
    assert elsewhere.abs().max() > 1e-2


def with_texts(model, texts):

    encoded = model.encode(texts)
    return replace(encoded, states=encoded.states.float(), texts=tuple(texts))


def test_only_prompts_with_a_concept_are_projected_in_every_row():
    model = NumericModel()
    intervention = fit(model, GENDER)
    text = with_texts(model, ["a photo of a nurse", "a photo of a cat"])
    changed = intervention.embedding(text, [np.random.default_rng(0)] * 2)
    P = intervention.tensors["P"]
    torch.testing.assert_close(changed.states[0], text.states[0] @ P.T)
    assert torch.equal(changed.states[1], text.states[1])
    everywhere = fit(model, GENDER, every_prompt=True).embedding(text, [np.random.default_rng(0)] * 2)
    torch.testing.assert_close(everywhere.states[1], text.states[1] @ P.T)


def test_the_projection_brings_groups_closer_and_zero_strength_changes_nothing():
    model = mini_text()
    text = with_texts(model, ["a photo of a female nurse", "a photo of a male nurse"])
    rows = text.at(text.first_eos)
    for lam, bound in ((0.0, 1.0), (1.0, 0.95), (500.0, 0.4)):
        moved = fit(model, GENDER, lam=lam).embedding(text, [np.random.default_rng(0)] * 2)
        if lam == 0:
            assert torch.equal(moved.states, text.states)
        after = moved.at(text.first_eos)
        assert (after[0] - after[1]).norm() <= bound * (rows[0] - rows[1]).norm()


def test_a_single_cell_raises_an_error():
    with pytest.raises(EvenhandError, match="two cells"):
        fit(NumericModel(), GENDER[:1])


def test_the_released_professions_are_the_default():
    assert DebiasVl().lam == 500
    assert DebiasVl().professions == TRAINING_PROFESSIONS
    assert len(set(TRAINING_PROFESSIONS)) == 80
    assert {"bus driver", "marine biologist", "zoologist"} < set(TRAINING_PROFESSIONS)
