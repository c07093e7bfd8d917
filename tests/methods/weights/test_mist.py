"""MIST equals a naive implementation of its released code."""

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, counts, make_task, mini_text, relative_error
from helpers.mist_release import assert_same_edit, released_rounds, total_edit

from evenhand.methods.shared.closed_form import ClosedForm, leakage
from evenhand.methods.weights.mist import Mist

NURSE, CEO = "a headshot of a person of a nurse", "a headshot of a person of a CEO"
RATES = ((90, 10), (80, 20), (50, 50))


def fit(rates, *, concepts=("nurse",), model=None, cells=GENDER, **parameters):
    """Fit MIST on scripted counts, ``rates[concept][round]``."""
    script = {
        f"a headshot of a person of a {concept}": [counts(*row) for row in rows]
        for concept, rows in zip(concepts, rates, strict=True)
    }
    studio = Studio(script)
    task = make_task(studio, concepts=concepts, cells=cells, model=model)
    return Mist(**parameters).fit(task), studio


@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
def test_one_round_equals_the_naive_algorithm(model):
    intervention, _ = fit([RATES], model=model, rounds=1)
    expected = released_rounds(model, ["a person of a nurse"], GENDER, [[(0.9, 0.1)]])
    assert_same_edit(intervention, expected, model)


def test_joint_cells_are_one_flat_list():
    model = NumericModel()
    rates = [[(60, 20, 20, 0), (40, 30, 20, 10)]]
    intervention, studio = fit(rates, model=model, cells=JOINT, rounds=2)
    expected = released_rounds(
        model, ["a person of a nurse"], JOINT, [[(0.6, 0.2, 0.2, 0.0)], [(0.4, 0.3, 0.2, 0.1)]]
    )
    assert_same_edit(intervention, expected, model)
    assert studio.judged[0] == ("young woman", "young man", "elderly woman", "elderly man")


def test_running_norm_differs_from_a_fixed_norm():
    model = NumericModel()
    intervention, _ = fit([RATES], model=model, rounds=1)
    fixed = released_rounds(model, ["a person of a nurse"], GENDER, [[(0.9, 0.1)]], aliased=False)
    errors = [
        relative_error(edit, fixed[name] - model.weights[name])
        for name, edit in total_edit(intervention, model).items()
    ]
    assert min(errors) > 1e-4


def test_a_converged_concept_joins_the_preserved_texts_and_stays_in_the_edit():
    model = NumericModel()
    rates = [[(90, 10), (52, 48), (52, 48), (70, 30)], [(20, 80), (30, 70), (40, 60), (40, 60)]]
    intervention, studio = fit(rates, concepts=("nurse", "CEO"), model=model, rounds=4)
    texts = ["a person of a nurse", "a person of a CEO"]
    measured = [[tuple(x / 100 for x in row) for row in rows] for rows in zip(*rates, strict=True)]
    assert_same_edit(intervention, released_rounds(model, texts, GENDER, measured), model)
    assert len(studio.calls) == 4
    # dropping the converged text from either place changes the edit
    dropped = released_rounds(model, texts[1:], GENDER, [ratio[1:] for ratio in measured])
    name = "mid.attn2.to_v.weight"
    assert relative_error(total_edit(intervention, model)[name], dropped[name] - model.weights[name]) > 1e-3


def test_a_concept_whose_first_ratio_equals_its_target_is_preserved_even_if_others_deviate():
    model = NumericModel()
    rates = [[(25, 55, 10, 10), (25, 45, 20, 10)]]
    intervention, _ = fit(rates, model=model, cells=JOINT, rounds=2)
    measured = [[(0.25, 0.55, 0.1, 0.1)], [(0.25, 0.45, 0.2, 0.1)]]
    expected = released_rounds(model, ["a person of a nurse"], JOINT, measured)
    assert_same_edit(intervention, expected, model)
    for edit in total_edit(intervention, model).values():
        assert torch.linalg.norm(edit) > 1e-3


@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
def test_the_whole_edit_of_one_concept_has_rank_one(model):
    intervention, _ = fit([[(90, 10), (80, 20), (70, 30), (85, 15)]], model=model, rounds=4)
    for edit in total_edit(intervention, model).values():
        values = torch.linalg.svdvals(edit)
        assert values[1] < 1e-10 * values[0]


def test_the_edited_row_is_the_first_end_of_text_token():
    model = mini_text()
    text = "a person of a nurse"
    intervention, _ = fit([RATES], model=model, rounds=1)
    tokens = model.tokens([text])
    position = int(tokens.attention_mask[0].sum()) - 1
    assert tokens.input_ids[0].tolist().index(model.tokenizer.eos_token_id) == position
    c = model.encode([text]).states[0, position]
    empty = model.encode([""]).states[0]
    direction = ClosedForm.factor(c[None], lam=0.5, preserved=empty, mu=0.2).directions[0]
    for edit in total_edit(intervention, model).values():
        row = torch.linalg.svd(edit, full_matrices=False).Vh[0]
        assert abs(torch.dot(row, direction / direction.norm())) == pytest.approx(1, abs=1e-9)


def test_states_come_from_padded_ids_without_an_attention_mask():
    # the rows that MIST preserves include the pads, which see the whole prompt only without a mask
    model = mini_text()
    tokens = model.tokens(["a person of a nurse"])
    with torch.no_grad():
        masked = model.encoder(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state[0]
    states = model.encode(["a person of a nurse"])
    assert len(states.states[0]) == model.tokenizer.model_max_length
    first = int(states.first_eos[0])
    torch.testing.assert_close(states.states[0, : first + 1], masked[: first + 1])
    assert relative_error(states.states[0, first + 1 :], masked[first + 1 :]) > 1e-2


def test_preserving_the_empty_prompt_excludes_the_begin_token_from_the_edit():
    model = mini_text()
    encoded = model.encode(["a person of a nurse"])
    c = encoded.at(encoded.first_eos)
    kept = ClosedForm.factor(c, lam=0.5, preserved=model.encode([""]).states[0], mu=0.2)
    free = ClosedForm.factor(c, lam=0.5)
    begin = encoded.states[0, :1]
    assert leakage(kept.directions, begin) < 0.05 * leakage(kept.directions, c)
    assert leakage(kept.directions, begin) < 0.5 * leakage(free.directions, begin)


def test_preserved_rows_enter_with_current_weights():
    # with targets from the originals, the second round would pull the first edit back
    model = NumericModel()
    intervention, _ = fit([[(90, 10), (90, 10)]], model=model, rounds=2)
    once, _ = fit([[(90, 10)]], model=model, rounds=1)
    second = NumericModel()
    second.weights = dict(once.weights)
    again, _ = fit([[(90, 10)]], model=second, rounds=1)
    for name, weight in intervention.weights.items():
        torch.testing.assert_close(weight, again.weights[name], rtol=1e-12, atol=1e-12)


def test_alphas_do_not_accumulate_while_projections_do():
    model = NumericModel()
    first, _ = fit([[(90, 10)]], model=model, rounds=1)
    swung_back, _ = fit([[(90, 10), (10, 90)]], model=model, rounds=2)
    name = "mid.attn2.to_v.weight"
    # accumulated alphas would be zero in the second round and leave the first edit in place
    assert relative_error(swung_back.weights[name], first.weights[name]) > 1e-3
    assert relative_error(total_edit(swung_back, model)[name], total_edit(first, model)[name]) > 0.5


@pytest.mark.parametrize(("projections", "untouched"), [("kv", ""), ("v", ".to_k."), ("k", ".to_v.")])
def test_projections_choose_keys_values_or_both(projections, untouched):
    model = NumericModel()
    intervention, _ = fit([RATES], model=model, rounds=1, projections=projections)
    edited = {name for name in model.weights if not untouched or untouched not in name}
    assert set(intervention.weights) == edited
    assert all(not torch.equal(weight, model.weights[name]) for name, weight in intervention.weights.items())


def test_measured_images_are_headshots_while_the_source_text_is_edited():
    _, studio = fit([RATES], rounds=1)
    assert set(studio.calls[0]["prompts"]) == {NURSE}
    assert len(studio.calls[0]["prompts"]) == 100
    assert studio.calls[0]["negative"] == "black and white, drawing, painting, unrealistic, low quality"
    assert studio.judged == [("woman", "man")]


def test_defaults_are_those_of_the_release():
    method = Mist()
    assert (method.step_size, method.lam, method.mu, method.tolerance) == (0.1, 0.5, 0.2, 0.05)
    assert (method.images, method.rounds, method.preserve, method.projections) == (100, 150, ("",), "kv")
    assert method.steering_judge == "openai-clip-vit-b-32"


def test_a_target_other_than_uniform_replaces_the_uniform_shares():
    studio = Studio({NURSE: [counts(90, 10), counts(72, 28)]})
    task = make_task(studio, target=(0.7, 0.3))
    (row,) = Mist().fit(task).record["sources"]
    assert row["converged"]
    np.testing.assert_allclose(row["gaps"], [0.2, 0.02])


@pytest.mark.parametrize("kind", ["explicit", "unrelated"])
def test_kept_texts_leak_less(kind):
    leaks = {}
    for keep in ((), (kind,)):
        intervention, _ = fit([RATES] * 2, concepts=("nurse", "CEO"), model=mini_text(), rounds=1, keep=keep)
        rows = intervention.record["response"]
        leaks[keep] = {row["texts"]: row["mean"] for row in rows if row["states"] == "end"}
    assert leaks[(kind,)][kind] < 0.5 * leaks[()][kind]
    assert leaks[(kind,)]["edited"] > 0.5 * leaks[()]["edited"]


def test_kept_explicit_texts_state_every_cell_and_every_group_alone():
    model, method = NumericModel(), Mist(keep=("explicit",), preserve=(), rounds=1)
    task = make_task(Studio({}), cells=JOINT, model=model)
    form = method.editor(task, method.sources(task), {}).form
    cells = ["a young female nurse", "a young male nurse", "an elderly female nurse", "an elderly male nurse"]
    alone = ["a young nurse", "an elderly nurse", "a female nurse", "a male nurse"]
    kept, source = (model.encode(texts) for texts in ([*cells, *alone], ["a person of a nurse"]))
    expected = ClosedForm.factor(
        source.at(source.first_eos), lam=0.5, preserved=kept.at(kept.first_eos), mu=0.2
    )
    torch.testing.assert_close(form.directions, expected.directions)
