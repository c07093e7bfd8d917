"""MIST's readings of the paper's objective equal their closed forms and solve their objectives."""

from itertools import product

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, counts, make_task, mini_text, relative_error
from scipy.optimize import minimize

from evenhand.methods.base import Budget, Cell
from evenhand.methods.weights.mist import Mist

TONES = ("pale", "fair", "olive", "brown", "dark")
TWENTY = tuple(
    Cell(
        groups={"gender": gender, "age": age, "tone": tone},
        adjective=f"{tone} {age} {gender}",
        noun=f"{tone} {age} {gender}",
    )
    for gender, age, tone in product(("woman", "man"), ("young", "old"), TONES)
)


def eos(model, text):
    encoded = model.encode([text])
    return encoded.states[0, encoded.first_eos[0]]


def naive(model, form, texts, cells, *, lam=0.5):
    """Both formulas with explicit inverses, column vectors and sums over all concepts."""
    weights = {}
    for name, weight in model.cross_attention().items():
        eye = lam * torch.eye(weight.shape[1], dtype=weight.dtype)
        a, m = lam * weight, eye
        for text in texts:
            s = eos(model, text)
            for cell in cells:
                g = eos(model, cell.noun)
                if form == "p1":
                    m = m + torch.outer(g - s, g - s)
                else:
                    a = a + torch.outer(weight @ g, s)
                    m = m + torch.outer(s, s)
        weights[name] = a @ torch.linalg.inv(m)
    return weights


def fit(form, *, concepts=("nurse",), cells=GENDER, model=None, **parameters):
    studio = Studio(script={})  # generating an image would raise a KeyError
    task = make_task(studio, concepts=concepts, cells=cells, model=model)
    intervention = Mist(form=form, **parameters).fit(task)
    assert not studio.calls and not studio.judged
    return intervention


@pytest.mark.slow
@pytest.mark.parametrize("form", ["p1", "p2"])
@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
@pytest.mark.parametrize(
    ("concepts", "cells"), [(("nurse",), GENDER), (("nurse", "CEO"), JOINT), (("nurse",), TWENTY)]
)
def test_each_form_equals_its_formula(form, model, concepts, cells):
    intervention = fit(form, concepts=concepts, cells=cells, model=model)
    texts = [f"a person of a {concept}" for concept in concepts]
    for name, expected in naive(model, form, texts, cells).items():
        edit = intervention.weights[name] - model.weights[name]
        assert relative_error(edit, expected - model.weights[name]) < 1e-9, name


@pytest.mark.parametrize("form", ["p1", "p2"])
def test_each_form_is_the_minimum_of_its_objective(form):
    model = NumericModel(width=4)
    model.weights = {"down.attn2.to_v.weight": model.weights["down.attn2.to_v.weight"][:2]}
    (old,) = model.weights.values()
    s, g = eos(model, "a person of a nurse"), torch.stack([eos(model, cell.noun) for cell in GENDER])

    def objective(flat):
        new = torch.tensor(flat).reshape(old.shape)
        expected = (g - s) @ new.T if form == "p1" else (new @ s - g @ old.T)
        return float((expected**2).sum() + 0.5 * ((new - old) ** 2).sum())

    found = minimize(objective, old.flatten().numpy(), method="BFGS", options={"gtol": 1e-10}).x
    (solved,) = fit(form, model=model).weights.values()
    np.testing.assert_allclose(solved.flatten().numpy(), found, atol=1e-5)


def test_p1_gives_source_and_guidance_the_same_output():
    model = mini_text()
    weights = fit("p1", model=model, lam=1e-6).weights
    texts = ["a person of a nurse", *(cell.noun for cell in GENDER)]
    x = torch.stack([eos(model, text) for text in texts])
    for name, weight in weights.items():
        spread = [torch.linalg.norm((x[1:] - x[0]) @ w.T) for w in (weight, model.weights[name])]
        assert spread[0] < 1e-5 * spread[1]


def test_p2_maps_the_source_to_the_mean_of_its_guidance():
    model = mini_text()
    weights = fit("p2", model=model, lam=1e-6).weights
    s, g = eos(model, "a person of a nurse"), torch.stack([eos(model, cell.noun) for cell in GENDER])
    for name, weight in weights.items():
        torch.testing.assert_close(weight @ s, model.weights[name] @ g.mean(dim=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["p1", "p2"])
def test_forms_respect_projections_and_scope(form):
    model = NumericModel()
    joint = fit(form, concepts=("nurse", "CEO"), model=model, projections="v")
    assert all(".to_v." in name for name in joint.weights)
    apart = fit(form, concepts=("nurse", "CEO"), model=model, scope="per-concept")
    for concept in ("nurse", "CEO"):
        alone = fit(form, concepts=(concept,), model=model)
        for name, weight in apart.concept_weights[concept].items():
            assert torch.equal(weight, alone.weights[name])


def test_forms_accept_the_guidance_texts_of_the_figure():
    model = NumericModel()
    expected = fit("p2", model=model, guidance="{a} {adjective} {concept}")
    by_noun = fit("p2", model=model)
    assert expected.digest() != by_noun.digest()
    s, g = eos(model, "a person of a nurse"), [eos(model, f"a {sex} nurse") for sex in ("female", "male")]
    for name, weight in model.weights.items():
        m = 0.5 * torch.eye(len(s), dtype=s.dtype) + 2 * torch.outer(s, s)
        solved = (0.5 * weight + sum(torch.outer(weight @ x, s) for x in g)) @ torch.linalg.inv(m)
        torch.testing.assert_close(expected.weights[name], solved, rtol=1e-9, atol=1e-9)


def test_forms_need_no_judge_and_no_images():
    for form in ("p1", "p2"):
        assert Mist(form=form).steering_judge is None
        assert Mist(form=form).budget(concepts=3, cells=JOINT) == Budget()
    assert Mist().steering_judge == "openai-clip-vit-b-32"
    assert Mist().budget(concepts=2, cells=JOINT).images == 2 * 100 * 150


def test_twenty_joint_cells_are_edited_by_the_released_loop():
    assert len(TWENTY) == 20
    prompt, model = "a headshot of a person of a nurse", NumericModel()
    numbers = [40, 20, *[10] * 2, *[2] * 10, *[0] * 6]
    studio = Studio({prompt: [counts(*numbers), counts(*[5] * 20)]})
    intervention = Mist().fit(make_task(studio, cells=TWENTY, model=model))
    (row,) = intervention.record["sources"]
    assert row["converged"] and row["edits"] == 1
    assert len(studio.judged[0]) == 20
    # the naive round: a running target shifted along twenty outputs, then the textbook solution
    empty, c = model.encode([""]).states[0], eos(model, "a person of a nurse")
    m = 0.5 * torch.eye(len(c), dtype=c.dtype) + torch.outer(c, c) + 0.2 * empty.T @ empty
    for name, weight in model.weights.items():
        target = weight @ c
        for cell, count in zip(TWENTY, numbers, strict=True):
            g = weight @ eos(model, cell.noun)
            target = target + 0.1 * (0.05 - count / 100) * target.norm() * g / g.norm()
        a = 0.5 * weight + torch.outer(target, c) + 0.2 * weight @ empty.T @ empty
        expected = a @ torch.linalg.inv(m) - weight
        assert relative_error(intervention.weights[name] - weight, expected) < 1e-9
