"""FairImagen's projection equals fair PCA as released, and a drawn group's component is added."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, make_task, mini_text

from evenhand.bench.errors import EvenhandError
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.embeddings.fairimagen import (
    FairImagen,
    all_embeddings,
    embeddings,
    fair_pca,
    memberships,
)

PROFESSIONS = ("auditor", "editor", "mover", "chief", "accountant", "construction worker")
SMALL = {"templates": ("a photo of {a} {adjective} {concept}",), "contexts": ("", "smiling"), "kept": 0.2}


def fit(model, cells=GENDER, target=None, **parameters):
    task = make_task(Studio({}), cells=cells, model=model, target=target)
    return FairImagen(**SMALL | {"professions": PROFESSIONS} | parameters).fit(task)


def training(model, cells):
    """Embeddings of every cell's training prompts, one text at a time."""
    found = {}
    for cell in cells:
        rows = []
        for profession in PROFESSIONS:
            for context in ("", "smiling "):
                words = f"{context}{cell.adjective} {profession}"
                encoded = model.encode([f"a photo of {'an' if words[0] == 'e' else 'a'} {words}"])
                rows.append(encoded.states[0, encoded.first_eos[0]].double().numpy())
        found[cell.name] = np.stack(rows)
    return found


def released(groups, h):
    """Fair PCA on one block of prompts per group, by its definition: ``P``, unit rows, groups."""
    X = np.concatenate(groups)
    Z = np.zeros((len(X), len(groups)))
    Z[np.arange(len(X)), np.repeat(np.arange(len(groups)), [len(group) for group in groups])] = 1
    Z = Z[:, 1:] if len(groups) == 2 else Z
    B = (Z - Z.mean(axis=0)).T @ X
    N = scipy.linalg.null_space(B)
    _, Q = scipy.linalg.eigh(N.T @ X.T @ X @ N, subset_by_index=(N.shape[1] - h, N.shape[1] - 1))
    U = N @ Q
    return U @ U.T, B / np.linalg.norm(B, axis=1, keepdims=True)


@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
@pytest.mark.parametrize("cells", [GENDER, JOINT], ids=["one attribute", "cross"])
def test_projection_and_components_equal_the_naive_ones(model, cells):
    X = training(model, cells)
    blocks = [
        np.concatenate([X[c.name] for a in cell.groups for c in cells if c.groups[a] == cell.groups[a]])
        for cell in cells
    ]
    width = next(iter(X.values())).shape[1]
    got = fit(model, cells, kept=10 / width)
    P, b = released(blocks, h=10)
    np.testing.assert_allclose(got.tensors["P"].numpy(), P, atol=1e-6)
    b = np.repeat(b, 2, axis=0) if len(cells) == 2 else b
    np.testing.assert_allclose(got.tensors["directions"].numpy(), b, atol=1e-6)
    for k, block in enumerate(blocks):
        mine = got.tensors["coefficients"][k, : got.data["counts"][k]].numpy()
        np.testing.assert_allclose(np.sort(mine), np.sort(block @ b[k]), rtol=1e-5, atol=1e-5)


def test_keeping_every_direction_only_erases_the_group_differences():
    rng = np.random.default_rng(0)
    X, members = rng.standard_normal((60, 8)), np.repeat(np.eye(3, dtype=int), 20, axis=1)
    P, B = fair_pca(X, members, h=8)
    means = np.stack([X[20 * k : 20 * k + 20].mean(axis=0) for k in range(3)])
    assert np.allclose((means - means.mean(axis=0)) @ P, 0, atol=1e-12)
    assert np.allclose(P, np.eye(8) - np.linalg.pinv(B) @ B, atol=1e-12)


def test_all_directions_can_be_kept_with_fewer_prompts_than_directions():
    X = np.random.default_rng(0).standard_normal((6, 8))
    P, B = fair_pca(X, np.repeat(np.eye(2, dtype=int), 3, axis=1), h=8)
    assert np.allclose(P, np.eye(8) - B.T @ B / (B @ B.T), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["mini-2", "mini-gender"])
def test_the_training_prompts_of_a_bundled_suite_span_what_is_kept(suite):
    chosen = load_suite(suite)
    task = make_task(Studio({}), cells=chosen.cells(), model=mini_text())
    P = FairImagen(**chosen.methods["fairimagen"]).fit(task).tensors["P"]
    assert np.linalg.matrix_rank(P.numpy(), tol=1e-3) == round(0.88 * 192)


def test_a_cell_counts_the_prompts_of_each_of_its_groups():
    np.testing.assert_array_equal(memberships(GENDER), np.eye(2))
    np.testing.assert_array_equal(memberships(JOINT)[0], [2, 1, 1, 0])


def states(model, texts):
    return replace(model.encode(texts), texts=tuple(texts))


def test_rows_of_a_concept_are_projected_and_get_the_drawn_component():
    model = NumericModel()
    got = fit(model, target=(0, 1))
    text = states(model, ["a photo of a nurse", "a photo of a cat"])
    moved = got.embedding(text, [np.random.default_rng(seed) for seed in (3, 4)])
    assert torch.equal(moved.states[1], text.states[1])
    rest = moved.states[0] - text.states[0] @ got.tensors["P"].double()
    b = got.tensors["directions"][1].double()
    delta = rest @ b / 0.36
    torch.testing.assert_close(rest, 0.36 * delta[:, None] * b)
    known = got.tensors["coefficients"][1, : got.data["counts"][1]].double()
    assert (known - delta[0]).abs().min() < 1e-5
    torch.testing.assert_close(delta, delta[:1].expand(len(delta)))
    projected = fit(model, target=(0, 1), eps=0).embedding(text, [np.random.default_rng(0)] * 2)
    torch.testing.assert_close(projected.states[0], text.states[0] @ got.tensors["P"].double())


class Pooled(NumericModel):
    """Like SDXL, with pooled vectors as wide as the last columns of the states."""

    def encode(self, texts):
        return replace(super().encode(texts), pooled=torch.stack([self._random(t, 10) for t in texts]))


def test_pooled_vectors_and_the_columns_of_their_width_are_projected():
    model = Pooled()
    got = fit(model, kept=0.5, eps=0)
    assert got.tensors["P"].shape == (10, 10)
    text = states(model, ["a photo of a nurse"])
    assert torch.equal(embeddings(text), text.pooled)
    moved, P = got.embedding(text, [np.random.default_rng(0)]), got.tensors["P"].double()
    torch.testing.assert_close(moved.pooled, text.pooled @ P)
    assert torch.equal(moved.states[..., :6], text.states[..., :6])
    torch.testing.assert_close(moved.states[..., 6:], text.states[..., 6:] @ P)


def test_the_default_of_kept_depends_on_the_number_of_attributes():
    model = NumericModel()
    ranks = [
        np.linalg.matrix_rank(fit(model, cells, kept=None).tensors["P"].numpy(), tol=1e-3)
        for cells in (GENDER, JOINT)
    ]
    assert ranks == [round(16 * 1800 / 2048), round(16 * 1400 / 2048)]


def test_too_few_training_prompts_raise_an_error():
    with pytest.raises(EvenhandError, match="span"):
        fit(NumericModel(), professions=("editor",), kept=0.9)


def test_a_single_cell_raises_an_error():
    with pytest.raises(EvenhandError, match="two cells"):
        fit(NumericModel(), GENDER[:1])


def test_training_prompts_are_encoded_in_parts():
    class Counted(NumericModel):
        def encode(self, texts):
            sizes.append(len(texts))
            return super().encode(texts)

    sizes, model = [], Counted()
    texts = [f"a photo of a nurse {number}" for number in range(300)]
    found = all_embeddings(model, texts)
    assert sizes == [256, 44]
    assert torch.equal(found, embeddings(model.encode(texts)))
