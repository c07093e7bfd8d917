"""Details of the released code of UCE, TIME and Debias-VL, one test per detail.

Whole edits are compared with naive computations in ``weights/test_uce.py``, ``weights/test_time.py`` and
``embeddings/test_debias_vl.py``; the details of MIST are in ``weights/test_mist_parity.py``.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.methods import NumericModel, Studio, counts, make_task, mini_text, relative_error

from evenhand.bench.models.loading import load_model
from evenhand.methods.base import Intervention
from evenhand.methods.embeddings.debias_vl import DebiasVl
from evenhand.methods.weights.mist import Mist
from evenhand.methods.weights.time import Time, token_map
from evenhand.methods.weights.uce import Uce, windows


def uce(model, *rounds, version="v1", source="nurse", **parameters):
    """UCE on one source text whose measured images are scripted, in hundredths per round."""
    text = f"picture of {source}" if version == "v0" else source
    task = make_task(Studio({text: [counts(*row) for row in rounds]}), concepts=(source,), model=model)
    given = {"templates": ("{concept}",), "images": 100, "rounds": len(rounds)} | parameters
    return Uce(version=version, **given).fit(task).weights


def time(model, **parameters):
    task = make_task(Studio({}), concepts=("doctor",), model=model)
    return Time(towards={"doctor": "woman"}, **parameters).fit(task).concept_weights["doctor"]


def edit(model, weights):
    return {name: weight - model.weights[name] for name, weight in weights.items()}


def test_the_first_eos_is_the_mask_sum_minus_one_and_uce_uses_the_token_before_it():
    model = mini_text()
    tokens, encoded = model.tokens(["a photo of a nurse"]), model.encode(["a photo of a nurse"])
    end = int(tokens.attention_mask[0].sum()) - 1
    assert int(encoded.first_eos[0]) == end
    assert int(tokens.input_ids[0, end]) == model.tokenizer.eos_token_id
    rows, _ = windows(encoded, model.encode(["woman", "man"]), 2)
    assert torch.equal(rows[0][0], encoded.states[0, end - 1])


def test_texts_are_encoded_with_padding_and_without_an_attention_mask():
    model, naive = load_model("mini"), mini_text()
    tokens = naive.tokens(["a nurse"])
    with torch.no_grad():
        unmasked = naive.encoder(tokens.input_ids).last_hidden_state
        masked = naive.encoder(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    states = model.encode(["a nurse"]).states
    assert states.shape[1] == model.text_encoders[0][0].model_max_length
    torch.testing.assert_close(states.double(), unmasked, atol=1e-3, rtol=1e-3)
    assert (masked - unmasked).abs().max() > 1e-2  # the mask would make a difference


def test_uce_v1_edits_77_minus_the_longest_text_rows_from_the_last_content_token_on():
    model = NumericModel(length=77)
    edited, guiding = model.encode(["photo of nurse"]), model.encode(["photo of middle aged man", "woman"])
    rows, guidance = windows(edited, guiding, 2)
    n, f = 3, 5
    assert torch.equal(rows[0], edited.states[0, n : n + 76 - f + 1])
    assert len(rows[0]) == 77 - f
    assert torch.equal(guidance[0][0], guiding.states[0, 5:77])
    assert torch.equal(guidance[0][1], guiding.states[1, 1 : 1 + 77 - f])


def test_uce_v1_scales_directions_by_norms_over_the_whole_window():
    model = NumericModel()
    got = edit(model, uce(model, (90, 10)))
    rows, guidance = windows(model.encode(["nurse"]), model.encode(["woman", "man"]), 2)
    C = rows[0]

    def with_norms(dim):
        found = {}
        for name, W in model.weights.items():
            V = V0 = C @ W.T
            for alpha, G in zip((0.1 * (0.5 - 0.9), 0.1 * (0.5 - 0.1)), guidance[0], strict=True):
                U = G @ W.T
                V = V + alpha * V.norm(dim=dim, keepdim=True) * U / U.norm(dim=dim, keepdim=True)
            M = 0.5 * torch.eye(C.shape[1], dtype=C.dtype) + C.T @ C
            found[name] = (V - V0).T @ C @ torch.linalg.inv(M)
        return found

    whole, by_row = with_norms((0, 1)), with_norms(1)
    for name, difference in got.items():
        assert relative_error(difference, whole[name]) < 1e-9
        assert relative_error(difference, by_row[name]) > 1e-2


def test_uce_v1_accumulates_projections_and_not_alphas():
    model = NumericModel()
    once, twice = uce(model, (90, 10)), uce(model, (90, 10), (90, 10))
    moved = NumericModel()
    moved.weights = once
    again = uce(moved, (90, 10))
    for name, weight in twice.items():
        # the second round equals a first round from the edited projections
        assert relative_error(weight - once[name], again[name] - once[name]) < 1e-9


def test_uce_v2_accumulates_targets_and_restarts_the_projections():
    model = NumericModel()
    once = edit(model, uce(model, (90, 10), version="v2"))
    twice = edit(model, uce(model, (90, 10), (90, 10), version="v2"))
    for name, difference in twice.items():
        assert relative_error(difference, 2 * once[name]) < 1e-9


def test_the_token_map_of_a_doctor_and_a_female_doctor():
    begin, a, female, doctor, end = 49406, 320, 2308, 2870, 49407
    mapped = token_map([begin, a, doctor, end], [begin, a, female, doctor, end], length=77)
    assert mapped == [0, 1, 3, *range(4, 77), 76]


def test_lam_is_one_tenth_in_time_and_one_half_in_uce_and_mist():
    assert Time().lam == 0.1
    assert [Uce(version=version).lam for version in ("v0", "v1", "v2")] == [0.5] * 3
    assert Mist().lam == 0.5


@pytest.mark.parametrize("flag", [False, True])
def test_uce_and_mist_edit_keys_and_time_does_with_its_flag(flag):
    model = NumericModel()
    keys = {name for name in model.weights if ".to_k." in name}
    assert len(keys) == 2
    assert (keys <= time(model, with_to_k=flag).keys()) == flag
    assert keys <= uce(model, (90, 10)).keys()
    assert Mist().projections == "kv"


def test_debias_vl_inverts_in_double_precision_and_projects_only_conditional_rows():
    model = mini_text()
    parameters = {"professions": ("editor", "mover"), "template": "a photo of {a} {adjective} {concept}"}
    intervention = DebiasVl(**parameters).fit(make_task(Studio({}), model=model))
    texts = [f"a photo of a {sex} {x}" for x in parameters["professions"] for sex in ("female", "male")]
    encoded = model.encode(texts)
    z = encoded.at(encoded.first_eos)
    z = z / z.norm(dim=1, keepdim=True)
    d = z[0::2] - z[1::2]
    expected = np.linalg.inv(np.eye(d.shape[1]) + 500 * (d.T @ d / 2).numpy())
    # exact to the last bit of single precision, so nothing before the cast was rounded
    np.testing.assert_allclose(intervention.tensors["P"].numpy(), expected, rtol=2e-7, atol=1e-9)
    text = replace(model.encode(["a photo of a nurse"]), texts=("a photo of a nurse",))
    moved = intervention.embedding(text, [np.random.default_rng(0)])
    torch.testing.assert_close(moved.states, text.states @ intervention.tensors["P"].double().T)
    # `embedding` only receives conditional rows, and nothing else is changed
    assert type(intervention).steer is Intervention.steer and not intervention.weights


def test_a_balanced_text_of_uce_v1_is_preserved_and_stays_in_the_sum_of_edits():
    model = NumericModel()
    task = make_task(
        Studio({"nurse": [counts(90, 10)], "clerk": [counts(50, 50)]}),
        concepts=("nurse", "clerk"),
        model=model,
    )
    got = Uce(templates=("{concept}",), images=100, rounds=1).fit(task).weights
    nurse, clerk = (
        windows(model.encode([x]), model.encode(["woman", "man"]), 2)[0][0] for x in ("nurse", "clerk")
    )
    alone = edit(model, uce(model, (90, 10)))
    kept = model.encode(["clerk"]).states[0]
    identity = torch.eye(kept.shape[1], dtype=kept.dtype)
    before = 0.5 * identity + nurse.T @ nurse
    both = before + clerk.T @ clerk + 0.1 * kept.T @ kept
    preserved_only = before + 0.1 * kept.T @ kept
    for name, difference in edit(model, got).items():
        # a balanced text adds to M alone, so the edit of the other is that of itself times M_alone M^-1
        assert relative_error(difference, alone[name] @ before @ torch.linalg.inv(both)) < 1e-9
        assert relative_error(difference, alone[name] @ before @ torch.linalg.inv(preserved_only)) > 1e-2


def test_time_edits_only_the_cross_attention():
    model = load_model("mini")
    edited = time(model, with_augs=False)
    width = model.unet.config.cross_attention_dim
    as_wide = [
        name
        for name, value in model.unet.named_parameters()
        if name.endswith(("to_k.weight", "to_v.weight")) and value.shape[1] == width
    ]
    assert all(".attn2." in name for name in edited)
    assert len(edited) == sum(".attn2." in name for name in as_wide)
    # the release's filter by width alone would include self-attention
    assert any(".attn1." in name for name in as_wide)
