"""TIME solves the released least squares, maps tokens as released, and adds the rarest cell."""

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, counts, make_task, mini_text, relative_error
from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.methods.weights.time import AUGMENTATIONS, Time, token_map


def released(model, pairs, *, lam, letters="kv"):
    """The textbook form, row by row; ``pairs`` maps a source text to its destination."""
    weights = {n: w for n, w in model.cross_attention().items() if any(f"to_{x}." in n for x in letters)}
    an, a = (model.token_ids(word)[1] for word in ("an", "a"))
    for name, weight in weights.items():
        top, bottom = lam * weight, lam * torch.eye(weight.shape[1], dtype=weight.dtype)
        for source, destination in pairs:
            c, d = model.encode([source]).states[0], model.encode([destination]).states[0]
            theirs = [a if i == an else i for i in model.token_ids(destination)]
            position = -1
            mapped = []
            for i in (a if i == an else i for i in model.token_ids(source)):
                position = theirs.index(i, position + 1)
                mapped.append(position)
            mapped += range(position + 1, len(c))
            mapped += [len(c) - 1] * (len(c) - len(mapped))
            for row, place in zip(c, mapped, strict=True):
                top = top + torch.outer(weight @ d[place], row)
                bottom = bottom + torch.outer(row, row)
        weights[name] = top @ torch.linalg.inv(bottom)
    return weights


def fit(rates, *, model=None, concepts=("nurse",), cells=GENDER, scope="joint", **parameters):
    """Fit on scripted images of ``{a} {concept}``, ``rates[concept][round]`` in images per cell."""
    script = {f"a {concept}": [counts(*row) for row in rows] for concept, rows in rates.items()}
    studio = Studio(script)
    task = make_task(studio, concepts=concepts, cells=cells, model=model)
    return Time(images=10, measure="a {concept}", scope=scope, **parameters).fit(task), studio


@pytest.mark.slow
@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
@pytest.mark.parametrize("augmented", [False, True])
def test_the_edit_equals_the_naive_solution_for_all_concepts_at_once(model, augmented):
    rates = {"nurse": [(9, 1)], "construction worker": [(2, 8)]}
    intervention, _ = fit(rates, model=model, concepts=tuple(rates), with_augs=augmented)
    pairs = [
        ("a nurse", "a male nurse"),
        ("a construction worker", "a female construction worker"),
    ]
    if augmented:
        pairs += [(f"{x} {s}", f"{x} {d}") for x in AUGMENTATIONS for s, d in pairs]
    expected = released(model, pairs, lam=0.1)
    assert intervention.weights.keys() == model.weights.keys()
    for name, weight in intervention.weights.items():
        edit = expected[name] - model.weights[name]
        assert relative_error(weight - model.weights[name], edit) < 1e-8, name


def test_without_the_flag_only_value_projections_are_edited():
    model = NumericModel()
    intervention, _ = fit({"nurse": [(9, 1)]}, model=model, with_to_k=False, with_augs=False)
    assert set(intervention.weights) == {name for name in model.weights if ".to_v." in name}
    expected = released(model, [("a nurse", "a male nurse")], lam=0.1, letters="v")
    for name, weight in intervention.weights.items():
        torch.testing.assert_close(weight, expected[name])


def test_a_changed_article_does_not_break_the_token_map():
    model = mini_text()
    intervention, _ = fit({"nurse": [(9, 0, 1, 0)]}, model=model, cells=JOINT, with_augs=False)
    expected = released(model, [("a nurse", "an elderly male nurse")], lam=0.1)
    for name, weight in intervention.weights.items():
        edit = expected[name] - model.weights[name]
        assert relative_error(weight - model.weights[name], edit) < 1e-8


def test_tokens_map_to_themselves_and_pads_follow():
    assert token_map([9, 5, 6, 1], [9, 5, 3, 6, 1], length=77) == [0, 1, 3, 4, *range(5, 77), 76]
    assert token_map([9, 5, 1], [9, 5, 1], length=6) == [0, 1, 2, 3, 4, 5]
    assert token_map([9, 5, 6, 1], [9, 6, 5, 1], length=6) is None


def test_a_destination_that_drops_a_word_raises_an_error():
    with pytest.raises(EvenhandError, match="may only insert words"):
        fit({"nurse": [(9, 1)]}, destination="{adjective} {concept}")


def test_the_added_cell_combines_the_rarest_group_of_every_attribute():
    # 10 images over young/elderly x woman/man: women 9 of 10, young 6 of 10 -> elderly men lack most
    intervention, _ = fit({"nurse": [(6, 0, 3, 1)]}, cells=JOINT)
    assert intervention.record["towards"] == {"nurse": JOINT[3].name}


def test_a_concept_that_meets_its_target_is_not_edited():
    intervention, _ = fit({"nurse": [(5, 5)], "clerk": [(0, 10)]}, concepts=("nurse", "clerk"))
    alone, _ = fit({"clerk": [(0, 10)]}, concepts=("clerk",))
    assert intervention.record["towards"] == {"nurse": None, "clerk": "woman"}
    for name, weight in alone.weights.items():
        assert torch.equal(intervention.weights[name], weight)
    nothing, _ = fit({"nurse": [(5, 5)]})
    assert nothing.weights == {}


def test_a_given_cell_is_not_measured():
    given, studio = fit({"nurse": [(5, 5)]}, towards={"nurse": "man"})
    measured, _ = fit({"nurse": [(9, 1)]})
    assert studio.calls == []
    assert given.digest() == measured.digest()


def test_an_unknown_cell_raises_an_error():
    with pytest.raises(EvenhandError, match="the cells are woman, man"):
        fit({"nurse": [(5, 5)]}, towards={"nurse": "boy"})


def test_the_search_takes_the_multiple_nearest_to_the_target_and_counts_its_images():
    rates = {"nurse": [(9, 1), (2, 8), (6, 4), (8, 2)]}
    found, studio = fit(rates, lam=2.0, search=(0.25, 1.0, 4.0))
    fixed, _ = fit(rates, lam=2.0)
    assert found.record["lam"] == 2.0
    assert [row["lam"] for row in found.record["measured"]] == [None, 0.5, 2.0, 8.0]
    assert found.digest() == fixed.digest()
    assert [call["seeds"] for call in studio.calls] == [studio.calls[0]["seeds"]] * 4
    budget = Time(images=10, search=(0.25, 1.0, 4.0)).budget(concepts=1, cells=GENDER)
    assert sum(len(call["seeds"]) for call in studio.calls) == budget.images
    np.testing.assert_allclose([row["distance"] for row in found.record["measured"]], [0.4, 0.3, 0.1, 0.3])


def test_a_large_lam_edits_less():
    model = NumericModel()
    sizes = [
        max(float((weight - model.weights[name]).norm()) for name, weight in fitted.weights.items())
        for fitted in (fit({"nurse": [(9, 1)]}, model=model, lam=lam)[0] for lam in (0.1, 10.0, 1e6))
    ]
    assert sizes[0] > sizes[1] > 1e3 * sizes[2]


def test_as_released_every_concept_has_its_own_model():
    assert Time().scope == "per-concept" and Time().track == "a model per concept"
    assert Time(scope="joint").track == "one model"
    rates = {"nurse": [(9, 1)], "clerk": [(0, 10)]}
    both, _ = fit(rates, concepts=("nurse", "clerk"), scope="per-concept")
    for concept in rates:
        alone, _ = fit({concept: rates[concept]}, concepts=(concept,))
        for name, weight in alone.weights.items():
            assert torch.equal(both.concept_weights[concept][name], weight)


def test_the_search_chooses_for_every_model():
    """In the first of their three rounds the second candidate is nearer, in the other's the first."""
    rates = {"nurse": [(9, 1), (2, 8), (6, 4)], "clerk": [(0, 10)] * 4 + [(5, 5), (9, 1)]}
    found, _ = fit(rates, concepts=("nurse", "clerk"), scope="per-concept", lam=2.0, search=(0.5, 3.0))
    assert {concept: of["lam"] for concept, of in found.record.items()} == {"nurse": 6.0, "clerk": 1.0}


@pytest.mark.parametrize("bad", [{"lam": 0}, {"search": (0.0,)}, {"source": "a nurse"}, {"label": "person"}])
def test_invalid_parameters_raise_an_error(bad):
    with pytest.raises(ValidationError):
        Time(**bad)
