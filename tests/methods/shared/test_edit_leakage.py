"""The record of a closed-form fit states the edit leakage into edited, explicit and unrelated texts."""

import json

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, counts, make_task, mini_text

from evenhand.methods.shared.closed_form import ClosedForm
from evenhand.methods.shared.edit_leakage import leakage_rows
from evenhand.methods.weights.mist import Mist
from evenhand.methods.weights.uce import Uce

HEADSHOT = "a headshot of a person of a {}"


def fit(method, *, concepts=("nurse",), cells=GENDER, model=None, prompt=HEADSHOT):
    studio = Studio(
        {prompt.format(concept): [counts(90, 10, *[0] * (len(cells) - 2))] for concept in concepts}
    )
    return method.fit(make_task(studio, concepts=concepts, cells=cells, model=model))


def pick(rows, texts, states):
    (row,) = [row for row in rows if (row["texts"], row["states"]) == (texts, states)]
    return row


def test_leakage_is_the_change_of_every_state_relative_to_the_edit():
    # one edited row: ||(W' - W) x|| = ||v - W c|| |q . x|, in every projection
    model = NumericModel()
    intervention = fit(Mist(rounds=1), model=model)
    texts = ["a cat", "a photo of a big dog"]
    encoded = model.encode(texts)
    (c,) = model.encode(["a person of a nurse"]).states[:, 6]
    empty = model.encode([""]).states[0]
    form = ClosedForm.factor(c[None], lam=0.5, preserved=empty, mu=0.2)
    rows = leakage_rows(model, form, texts={"those": texts})
    for name, weight in model.weights.items():
        edit = intervention.weights[name] - weight
        unit = torch.linalg.norm(edit @ c) / abs(form.directions[0] @ c)
        changes = torch.linalg.norm(encoded.states @ edit.T, dim=2) / unit
        for number, (place, chosen) in enumerate(
            {
                "begin": [(0, 0), (1, 0)],
                "content": [(0, 1), (0, 2), *((1, i) for i in range(1, 7))],
                "end": [(0, 3), (1, 7)],
                "pads": [*((0, i) for i in range(4, 12)), *((1, i) for i in range(8, 12))],
            }.items()
        ):
            values = np.array([float(changes[at]) for at in chosen])
            assert rows[number]["states"] == place
            assert rows[number]["mean"] == pytest.approx(values.mean(), rel=1e-9)
            assert rows[number]["max"] == pytest.approx(values.max(), rel=1e-9)


def test_leakage_is_the_maximum_over_the_edited_rows():
    model = NumericModel()
    states = model.encode(["a nurse", "a chef"]).states[:, 2]
    form = ClosedForm.factor(states, lam=0.5)
    (row,) = [r for r in leakage_rows(model, form, texts={"x": ["a cat"]}) if r["states"] == "end"]
    x = model.encode(["a cat"]).states[0, 3]
    assert row["mean"] == pytest.approx(max(abs(float(q @ x)) for q in form.directions))


def test_positions_that_do_not_occur_have_no_row():
    form = ClosedForm.factor(NumericModel().encode(["a nurse"]).states[0, 2:3], lam=0.5)
    places = [row["states"] for row in leakage_rows(NumericModel(), form, texts={"empty": [""], "none": []})]
    assert places == ["begin", "end", "pads"]


def test_leakage_is_large_for_edited_texts_and_small_for_preserved_ones():
    rows = fit(Mist(rounds=1), model=mini_text()).record["response"]
    edited = pick(rows, "edited", "end")
    assert 0.8 < edited["mean"] <= edited["max"] < 1
    # the state that begins every prompt is a row of the preserved empty prompt
    assert pick(rows, "unrelated", "begin")["max"] < 0.05 * edited["mean"]
    assert pick(rows, "edited", "begin") == pick(rows, "unrelated", "begin") | {"texts": "edited"}
    assert pick(rows, "unrelated", "end")["max"] < edited["mean"]


@pytest.mark.parametrize(
    "method", [Mist(rounds=1), Mist(form="p1"), Mist(form="p2"), Uce(rounds=1), Uce(version="v2", rounds=1)]
)
def test_every_closed_form_method_records_leakage_as_json(method):
    templates = getattr(method, "templates", ())
    script = {t.format(concept="nurse"): [counts(90, 10)] for t in templates} | {
        HEADSHOT.format("nurse"): [counts(90, 10)]
    }
    record = method.fit(make_task(Studio(script), model=mini_text())).record
    rows = record["response"]
    assert json.loads(json.dumps(record)) == record
    assert {row["texts"] for row in rows} == {"edited", "explicit", "unrelated"}
    assert {row["states"] for row in rows} == {"begin", "content", "end", "pads"}
    assert all(0 <= row["mean"] <= row["max"] < np.inf and row["concept"] == "" for row in rows)


def test_explicit_texts_come_from_the_task_and_unrelated_ones_from_a_parameter():
    model = NumericModel()
    method = Mist(rounds=1, unrelated=("a blue boat",))
    rows = fit(method, concepts=("nurse", "CEO"), cells=JOINT, model=model).record["response"]
    c = torch.stack([model.encode([f"a person of a {x}"]).states[0, 6] for x in ("nurse", "CEO")])
    form = ClosedForm.factor(c, lam=0.5, preserved=model.encode([""]).states[0], mu=0.2)
    explicit = ["a young female", "a young male", "an elderly female", "an elderly male"]
    texts = [f"{words} {concept}" for concept in ("nurse", "CEO") for words in explicit]
    expected = leakage_rows(model, form, texts={"explicit": texts, "unrelated": ["a blue boat"]})
    for row in expected:
        got = pick(rows, row["texts"], row["states"])
        assert got["mean"] == pytest.approx(row["mean"]) and got["max"] == pytest.approx(row["max"])


def test_with_one_model_per_concept_each_concept_has_its_own_rows():
    rows = fit(Mist(rounds=1, scope="per-concept"), concepts=("nurse", "CEO")).record["response"]
    assert [row["concept"] for row in rows] == ["nurse"] * 12 + ["CEO"] * 12
