"""Sortition: its closed form, the prompts it does not change, and the cell that an image draws."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, Studio, make_task
from sklearn.linear_model import Ridge

from evenhand.bench.models.loading import load_model
from evenhand.methods.shared.randomness import drawn_cell, image_stream
from evenhand.methods.sortition.sortition import Sortition, gate, last_token, reduced, stated, word_states

CONCEPTS = ("nurse", "construction worker", "CEO", "cook", "farmer", "janitor", "teacher", "guard")


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


def fit(model, cells=JOINT, **parameters):
    task = replace(make_task(Studio({}), concepts=CONCEPTS, cells=cells), model=model)
    return Sortition(judge="clip-xs", anchors=0, images=0, templates=("{a} {concept}",), **parameters).fit(
        task
    )


@pytest.fixture(scope="module")
def fitted(model):
    return fit(model)


def streams(texts, seed=0):
    return [np.random.default_rng((seed, index)) for index in range(len(texts))]


def test_the_edit_is_a_ridge_regression_of_the_moves_on_the_rows(model):
    intervention = fit(model, cells=GENDER, pads=0)
    rows, moves = [], []
    for concept in CONCEPTS:
        neutral, explicit = model.encode([f"a {concept}"]), model.encode([f"a female {concept}"])
        for offset in (-1, 0):
            before = neutral.states[0, neutral.first_eos[0] + offset]
            rows.append(before.double().numpy())
            moves.append((explicit.states[0, explicit.first_eos[0] + offset] - before).double().numpy())
    reference = Ridge(alpha=0.1, fit_intercept=False).fit(np.array(rows), np.array(moves)).coef_
    tensors = intervention.tensors
    edit = (tensors["up/gender/woman"] @ tensors["down/gender/woman"]).numpy()
    assert np.abs(edit - reference).max() < 1e-5 * np.abs(reference).max()


def test_the_edit_is_fitted_from_the_last_token_of_the_concept_on_wherever_it_stands(model):
    """Words after the concept have rows of their own in the regression."""
    task = replace(make_task(Studio({}), concepts=CONCEPTS), model=model)
    method = Sortition(judge="clip-xs", anchors=0, images=0, pads=0, templates=("{a} {concept} with a cat",))
    tensors = method.fit(task).tensors
    rows, moves = [], []
    for concept in CONCEPTS:
        neutral, explicit = (model.encode([f"a {word}{concept} with a cat"]) for word in ("", "female "))
        end, end_explicit = int(neutral.first_eos[0]), int(explicit.first_eos[0])
        count = end - (len(model.token_ids(f"a {concept}")) - 2) + 1
        before = neutral.states[0, end + 1 - count : end + 1].double()
        rows.append(before.numpy())
        moves.append((explicit.states[0, end_explicit + 1 - count : end_explicit + 1] - before).numpy())
    rows, moves = np.concatenate(rows), np.concatenate(moves)
    reference = Ridge(alpha=0.1, fit_intercept=False).fit(rows, moves).coef_
    edit = (tensors["up/gender/woman"] @ tensors["down/gender/woman"]).numpy()
    assert np.abs(edit - reference).max() < 1e-5 * np.abs(reference).max()


def forced(intervention, cell):
    """The intervention with one cell for all images."""
    weights = np.eye(len(JOINT))[cell].tolist()
    return replace(intervention, data={**intervention.data, "lots": dict.fromkeys(CONCEPTS, weights)})


@pytest.fixture(scope="module")
def worded(model):
    return fit(model, words=True)


def mean_state(model, word, before):
    """The mean state of a word after an article and each of the words ``before`` it, over all concepts."""
    states = []
    for said, concept in itertools.product(before, CONCEPTS):
        words = [said, word] if said else [word]
        article = "an" if words[0][0] in "aeiou" else "a"
        text = model.encode([" ".join([article, *words, concept])])
        states.append(text.states[0, 1 + len(words)])
    return torch.stack(states).mean(0)


def test_the_last_rows_hold_the_states_of_the_words_of_the_drawn_groups(model, fitted, worded):
    text = model.encode(["a photo of a nurse"])
    plain = forced(fitted, 2).embedding(text, streams([0])).states[0]
    placed = forced(worded, 2).embedding(text, streams([0])).states[0]
    assert torch.equal(placed[:-2], plain[:-2])
    assert torch.allclose(placed[-2], mean_state(model, "female", ["", "young", "elderly"]), atol=1e-5)
    assert torch.allclose(placed[-1], mean_state(model, "elderly", [""]), atol=1e-5)


def test_no_row_holds_a_word_of_an_attribute_that_the_prompt_states(model, fitted, worded):
    text = model.encode(["a photo of a female nurse"])
    plain, placed = (forced(one, 2).embedding(text, streams([0])).states[0] for one in (fitted, worded))
    assert torch.equal(placed[:-1], plain[:-1]) and not torch.equal(placed[-1], plain[-1])


@pytest.mark.parametrize(("free", "rows"), [(2, 2), (1, 0)])
def test_words_need_free_padding_rows(worded, free, rows):
    found = worded.word_rows({"gender": "woman", "age": "older"}, torch.zeros(24, 192), free=free)
    assert found.shape == (rows, 192)


def test_word_states_are_the_mean_over_the_texts_wherever_the_word_stands():
    states = torch.arange(2 * 6 * 1.0).reshape(2, 6, 1)
    ids = [[0, 7, 8, 5, 9], [0, 5, 7, 8, 3, 9]]
    assert word_states(states, ids, [7, 8])[:, 0].tolist() == [(1 + 8) / 2, (2 + 9) / 2]


def test_a_reduced_edit_is_the_best_of_its_rank_on_the_rows():
    generator = torch.Generator().manual_seed(0)
    edit = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    rows = torch.randn(50, 12, generator=generator, dtype=torch.float64)
    up, down = reduced(edit, rows, 3)
    assert up.shape == (12, 3)
    assert down.shape == (3, 12)
    moved = rows @ edit.T
    left, values, right = torch.linalg.svd(moved, full_matrices=False)
    best = left[:, :3] * values[:3] @ right[:3]
    assert torch.allclose(rows @ down.double().T @ up.double().T, best, atol=1e-5)


def test_full_rank_keeps_the_edit():
    edit, rows = torch.randn(6, 6, dtype=torch.float64), torch.randn(20, 6, dtype=torch.float64)
    up, down = reduced(edit, rows, 0)
    assert torch.allclose((up @ down).double(), edit, atol=1e-5)


def test_composed_edits_bring_the_states_near_those_of_explicit_prompts(model, fitted):
    """Composed edits of gender and age are compared with the states of prompts that state both."""
    for index, cell in enumerate(JOINT):
        texts = [f"a portrait of a {concept}" for concept in CONCEPTS]
        neutral = model.encode(texts)
        made = forced(fitted, index).embedding(neutral, streams(texts))
        words = model.encode([f"a portrait of a {cell.adjective} {concept}" for concept in CONCEPTS])
        distance = (made.at(made.first_eos) - words.at(words.first_eos)).norm(dim=-1)
        before = (neutral.at(neutral.first_eos) - words.at(words.first_eos)).norm(dim=-1)
        assert (distance / before).mean() < 0.35


@pytest.mark.parametrize(
    "text",
    [
        "a photo of a cat",
        "a photo of a person",
        "a young female nurse",
        "an elderly male construction worker",
        "",
    ],
)
def test_prompts_without_a_concept_or_with_all_groups_stated_keep_their_states(model, fitted, text):
    states = model.encode([text])
    assert torch.equal(fitted.embedding(states, streams([text])).states, states.states)


def test_only_attributes_that_the_prompt_leaves_open_are_moved(model, fitted):
    """For "a female nurse" only the age moves, as if gender were not balanced."""
    text = model.encode(["a female nurse"])
    made = forced(fitted, 0).embedding(text, streams([0]))
    rows = text.states[0, 3:]
    expected = rows + (rows @ fitted.tensors["down/age/adult"].T) @ fitted.tensors["up/age/adult"].T
    assert torch.allclose(made.states[0, 3:], expected, atol=1e-6)
    assert torch.equal(made.states[0, :3], text.states[0, :3])


def test_the_gate_recognizes_statements_without_known_words(model, fitted):
    silent = replace(fitted, data={**fitted.data, "stating": {"gender": {}, "age": {}}})
    for concept in CONCEPTS:
        text = model.encode([f"a picture of an elderly female {concept}"])
        assert torch.equal(silent.embedding(text, streams([0])).states, text.states)
        neutral = model.encode([f"a picture of a {concept}"])
        assert not torch.equal(silent.embedding(neutral, streams([0])).states, neutral.states)


def test_the_gate_is_a_weighted_ridge_regression():
    generator = torch.Generator().manual_seed(0)
    unsaid = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    said = torch.randn(60, 5, generator=generator, dtype=torch.float64) + 1
    weights = gate(unsaid, said, 0.1).double().numpy()
    rows = np.vstack([unsaid.numpy(), said.numpy()])
    constant = np.hstack([rows, np.ones((90, 1))])
    reference = Ridge(alpha=0.1, fit_intercept=False).fit(
        constant, np.repeat([0.0, 1.0], [30, 60]), sample_weight=np.repeat([1.0, 0.5], [30, 60])
    )
    assert np.allclose(weights, reference.coef_, atol=1e-5)
    assert stated(torch.ones(5), torch.ones(6) / 5)
    assert not stated(torch.zeros(5), torch.ones(6) / 5)


def test_every_image_gets_the_cell_of_its_random_stream(model, fitted):
    text = "a photo of a nurse"
    states = model.encode([text] * 6)
    made = fitted.embedding(states, [image_stream("d", text, seed) for seed in range(6)])
    cells = [drawn_cell(text, image_stream("d", text, seed), fitted.data["lots"])[1] for seed in range(6)]
    assert len(set(cells)) > 1
    for i in range(6):
        for j in range(6):
            assert torch.equal(made.states[i], made.states[j]) == (cells[i] == cells[j])


@pytest.mark.parametrize(
    ("ids", "concept", "position"),
    [
        ((1, 5, 6, 7, 2), (6, 7), 3),
        ((1, 6, 7, 9, 9, 2), (6, 7), 2),
        ((1, 6, 4, 6, 2), (6,), 3),
        ((1, 5, 8, 2), (6,), 2),
    ],
)
def test_the_edit_starts_at_the_last_token_of_the_concept(ids, concept, position):
    assert last_token(ids, concept) == position


def test_scale_zero_does_not_change_the_states(model):
    still = fit(model, scale=0.0)
    text = model.encode(["a photo of a nurse"])
    assert torch.equal(still.embedding(text, streams([0])).states, text.states)
