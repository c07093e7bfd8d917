"""Details of MIST's released code that are easy to get wrong; see also ``test_mist.py``."""

import copy

import numpy as np
import pytest
import torch
from helpers import mist_release as released
from helpers.methods import GENDER, JOINT, NumericModel, Studio, counts, make_task, mini_text, relative_error

from evenhand.bench.prompts.prompt_set import load_prompt_set
from evenhand.methods.shared.closed_form import ClosedForm, leakage
from evenhand.methods.weights.mist import Mist


def measured(concept, *numbers):
    return f"a headshot of a person of a {concept}", [counts(*numbers)]


def one_projection(model):
    """The model with its first value projection only."""
    small = copy.copy(model)
    name = next(name for name in model.weights if ".to_v." in name)
    small.weights = {name: model.weights[name]}
    return small


@pytest.mark.parametrize("cells", [GENDER, JOINT], ids=["2 cells", "4 cells"])
def test_the_update_equals_the_textbook_form_at_the_size_of_stable_diffusion(cells):
    # 77 states of width 768, as in Stable Diffusion 1.x
    model = one_projection(NumericModel(width=768, length=77))
    numbers = (70, 30) if len(cells) == 2 else (70, 20, 10, 0)
    prompt, script = measured("nurse", *numbers)
    intervention = Mist(rounds=1).fit(make_task(Studio({prompt: script}), cells=cells, model=model))
    ratio = tuple(n / 100 for n in numbers)
    expected = released.released_rounds(model, ["a person of a nurse"], cells, [[ratio]])
    released.assert_same_edit(intervention, expected, model)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 40])
def test_the_update_form_equals_the_textbook_form_for_one_and_for_forty_concepts(number):
    prompts = load_prompt_set("winobias-40").prompts
    concepts = tuple(dict.fromkeys(prompt.concept for prompt in prompts))[:number]
    assert len(concepts) == number
    model = one_projection(mini_text())
    ratios = [(50 + i, 50 - i) for i in range(6, 6 + number)]
    script = dict(measured(concept, *ratio) for concept, ratio in zip(concepts, ratios, strict=True))
    # the template's article is "a" for every concept here, as in the release
    method = Mist(rounds=1, source="a person of a {concept}", measure="a headshot of a person of a {concept}")
    intervention = method.fit(make_task(Studio(script), concepts=concepts, model=model))
    texts = [f"a person of a {concept}" for concept in concepts]
    shares = [tuple(n / 100 for n in ratio) for ratio in ratios]
    released.assert_same_edit(intervention, released.released_rounds(model, texts, GENDER, [shares]), model)
    (weight,) = intervention.weights.values()
    (old,) = model.weights.values()
    values = torch.linalg.svdvals(weight - old)
    # every concept moves along the outputs of the same guidance texts
    assert int((values > 1e-10 * values[0]).sum()) == min(number, len(GENDER))


@pytest.mark.parametrize("rows", [1, 40])
def test_naive_and_low_rank_closed_forms_agree_on_any_targets(rows):
    generator = torch.Generator().manual_seed(rows)
    weight, c, v, p = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((32, 192), (rows, 192), (rows, 32), (24, 192))
    )
    m = 0.5 * torch.eye(192, dtype=torch.float64) + c.T @ c + 0.2 * p.T @ p
    naive = (0.5 * weight + v.T @ c + 0.2 * weight @ p.T @ p) @ torch.linalg.inv(m)
    form = ClosedForm.factor(c, lam=0.5, preserved=p, mu=0.2)
    assert relative_error(form.solve(weight, v) - weight, naive - weight) < 1e-9


def test_all_77_rows_of_the_empty_prompt_are_preserved_with_weight_two_tenths():
    model = NumericModel(width=96, length=77)
    prompt, script = measured("nurse", 90, 10)
    intervention = Mist(rounds=1).fit(make_task(Studio({prompt: script}), model=model))
    c = model.encode(["a person of a nurse"]).states[0, 6]

    def direction(rows, mu):
        matrix = 0.5 * torch.eye(96, dtype=c.dtype) + torch.outer(c, c)
        for p in rows:
            matrix = matrix + mu * torch.outer(p, p)
        q = torch.linalg.solve(matrix, c)
        return q / q.norm()

    empty = model.encode([""]).states[0]
    assert len(empty) == 77
    others = [direction(empty[:76], 0.2), direction(empty[1:], 0.2), direction(empty, 0.1)]
    for name, weight in intervention.weights.items():
        row = torch.linalg.svd(weight - model.weights[name], full_matrices=False).Vh[0]
        assert abs(row @ direction(empty, 0.2)) == pytest.approx(1, abs=1e-12)
        assert all(abs(row @ other) < 1 - 1e-6 for other in others)


def test_preserved_rows_keep_the_outputs_of_the_current_projections():
    # held in full by test_preserved_rows_enter_with_current_weights; here: the same as a fresh start
    model = NumericModel()
    prompt, _ = measured("nurse")
    twice = Mist(rounds=2).fit(make_task(Studio({prompt: [counts(90, 10), counts(80, 20)]}), model=model))
    texts, rounds = ["a person of a nurse"], [[(0.9, 0.1)], [(0.8, 0.2)]]
    released.assert_same_edit(twice, released.released_rounds(model, texts, GENDER, rounds), model)


def test_a_prompt_without_pads_has_fewer_keys_and_the_same_edited_row():
    # the release's evaluation encodes "a X" with max_length = words + 2, so that no pad reaches the U-Net
    model = mini_text()
    text = "a person of a nurse"
    prompt, script = measured("nurse", 90, 10)
    intervention = Mist(rounds=1).fit(make_task(Studio({prompt: script}), model=model))
    tokens = model.tokenizer(
        [text], padding="max_length", max_length=len(text.split()) + 2, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        short = model.encoder(tokens.input_ids).last_hidden_state[0]
    padded = model.encode([text]).states[0]
    end = len(short) - 1
    assert tokens.input_ids[0, -1] == model.tokenizer.eos_token_id
    assert len(padded) == model.tokenizer.model_max_length > len(short)
    # causal: what both have is the same, so the edited row moves in the same way
    torch.testing.assert_close(short, padded[: len(short)], rtol=1e-9, atol=1e-9)
    form = ClosedForm.factor(padded[end : end + 1], lam=0.5, preserved=model.encode([""]).states[0], mu=0.2)
    answers = leakage(form.directions, padded)[:, 0]
    assert answers[end] > 0.8
    # the edit also changes the pads, which only the padded prompt has
    assert answers[end + 1 :].mean() > 0.5
    for name, weight in intervention.weights.items():
        edit = weight - model.weights[name]
        moved = torch.linalg.norm(padded @ edit.T, dim=1)
        assert moved[end + 1 :].sum() > moved[: end + 1].sum()
        unpadded = torch.linalg.norm(short @ edit.T, dim=1)
        np.testing.assert_allclose(unpadded, moved[: end + 1], rtol=1e-6, atol=1e-9)
