"""The edit of UCE and MIST: normal equations written out, and texts that join the preserved ones."""

import numpy as np
import pytest
import torch
from helpers.methods import NumericModel

from evenhand.methods.shared.ratio_loop import encode
from evenhand.methods.weights._directional import DirectionalEdit
from evenhand.methods.weights.mist import Mist

METHOD = Mist(step_size=0.5, lam=0.5, mu=0.2, tolerance=0.1)
TEXTS = ["a nurse", "a young CEO"]
NAME = "mid.attn2.to_v.weight"


def rows_of(model, text, count=1):
    """The first ``count`` rows of a text from its second state on."""
    return encode(model, [text]).states[0, 2 : 2 + count]


@pytest.fixture
def edit():
    """Two sources of one and of two rows, two cells each."""
    model = NumericModel()
    lengths = {text: count for count, text in enumerate(TEXTS, start=1)}
    guidance = [
        torch.stack([rows_of(model, f"{text} {cell}", count) for cell in ("woman", "man")])
        for text, count in lengths.items()
    ]
    rows = [rows_of(model, text, count) for text, count in lengths.items()]
    found = DirectionalEdit(
        METHOD, model, model.cross_attention(), texts=TEXTS, rows=rows, guidance=guidance, preserve=["a cat"]
    )
    return found, model, [block.numpy() for block in rows], [block.numpy() for block in guidance]


def written_out(weight, rows, guidance, alphas, preserved):
    """The minimum of the objective, by its normal equations."""
    left, right = 0.5 * weight, 0.5 * np.eye(weight.shape[1])
    for block, towards, steps in zip(rows, guidance, alphas, strict=True):
        moved = block @ weight.T
        for direction, alpha in zip(towards @ weight.T, steps, strict=True):
            moved = moved + alpha * np.linalg.norm(moved) * direction / np.linalg.norm(direction)
        left, right = left + moved.T @ block, right + block.T @ block
    kept = np.concatenate(preserved)
    left, right = left + 0.2 * weight @ kept.T @ kept, right + 0.2 * kept.T @ kept
    return left @ np.linalg.inv(right)


def states(model, *texts):
    return [encode(model, [text]).states[0].numpy() for text in texts]


def test_a_round_solves_the_normal_equations_with_steps_of_the_difference(edit):
    found, model, rows, guidance = edit
    found.edit(np.array([[0.4, -0.4], [-0.3, 0.3]]))
    expected = written_out(
        model.weights[NAME].numpy(), rows, guidance, [(0.2, -0.2), (-0.15, 0.15)], states(model, "a cat")
    )
    np.testing.assert_allclose(found.weights[NAME], expected, rtol=1e-9)


def test_the_second_round_starts_from_the_edited_projections(edit):
    found, model, rows, guidance = edit
    found.edit(np.array([[0.4, -0.4], [-0.3, 0.3]]))
    once = found.weights[NAME].numpy()
    found.edit(np.array([[0.2, -0.2], [0.2, -0.2]]))
    expected = written_out(once, rows, guidance, [(0.1, -0.1)] * 2, states(model, "a cat"))
    np.testing.assert_allclose(found.weights[NAME], expected, rtol=1e-9)


def test_a_source_within_the_tolerance_is_preserved_from_this_round_on(edit):
    found, model, rows, guidance = edit
    found.edit(np.array([[0.1, -0.1], [-0.3, 0.3]]))
    assert found.preserved == {"a cat", "a nurse"}
    expected = written_out(
        model.weights[NAME].numpy(),
        rows,
        guidance,
        [(0, 0), (-0.15, 0.15)],
        states(model, "a cat", "a nurse"),
    )
    np.testing.assert_allclose(found.weights[NAME], expected, rtol=1e-9)
    found.edit(np.array([[0.4, -0.4], [-0.3, 0.3]]))
    assert found.preserved == {"a cat", "a nurse"}


def test_kept_states_enter_the_normal_equations_without_the_other_rows_of_their_text(edit):
    _, model, rows, guidance = edit
    kept = rows_of(model, "a male nurse")
    found = DirectionalEdit(
        METHOD,
        model,
        model.cross_attention(),
        texts=TEXTS,
        rows=[torch.from_numpy(block) for block in rows],
        guidance=[torch.from_numpy(block) for block in guidance],
        preserve=["a cat"],
        kept=kept,
    )
    found.edit(np.array([[0.4, -0.4], [-0.3, 0.3]]))
    preserved = [*states(model, "a cat"), kept.numpy()]
    alphas = [(0.2, -0.2), (-0.15, 0.15)]
    expected = written_out(model.weights[NAME].numpy(), rows, guidance, alphas, preserved)
    np.testing.assert_allclose(found.weights[NAME], expected, rtol=1e-9)


def test_without_differences_and_preserved_texts_nothing_changes():
    model = NumericModel()
    rows = [rows_of(model, "a nurse")]
    found = DirectionalEdit(
        METHOD, model, model.cross_attention(), texts=["a nurse"], rows=rows,
        guidance=[torch.stack(rows * 2)], preserve=[],
    )  # fmt: skip
    found.edit(np.zeros((1, 2)))
    for name, weight in found.weights.items():
        np.testing.assert_allclose(weight, model.weights[name], atol=1e-12)
