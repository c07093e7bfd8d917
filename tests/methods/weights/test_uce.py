"""UCE equals naive implementations of the three versions of its released code."""

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT, NumericModel, Studio, counts, make_task, mini_text, relative_error
from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.methods.weights._professions import PROFESSIONS
from evenhand.methods.weights.uce import VERSION_0, VERSION_2, Uce, windows

FIVE = ("image of {}", "photo of {}", "portrait of {}", "picture of {}", "{}")
LONG = (GENDER[0], type(GENDER[0])(groups={"gender": "man"}, adjective="male", noun="middle aged man"))


def released_v1(model, concepts, cells, rounds, *, templates=FIVE, preserve=(), lam=0.5, mu=0.1, tol=0.05):
    """Version 1, naively; ``rounds[t]`` maps every source text to its ratios in round ``t``."""
    weights = model.cross_attention()
    texts = [template.format(concept) for concept in concepts for template in templates]
    guides = [[t.format(cell.noun) for cell in cells] for _ in concepts for t in templates]
    kept = {name for name in preserve if name.lower() not in [text.lower() for text in texts]}

    def states_and_content(text):
        encoded = model.encode([text])
        return encoded.states[0], int(encoded.first_eos[0]) - 1

    for ratios in rounds:
        alphas = []
        for text in texts:
            difference = [1 / len(cells) - r for r in ratios[text]]
            alphas.append([0.0 if max(map(abs, difference)) <= tol else 0.1 * x for x in difference])
        kept |= {text for text, alpha in zip(texts, alphas, strict=True) if alpha[0] == 0}
        for name, weight in weights.items():
            a, m = lam * weight, lam * torch.eye(weight.shape[1], dtype=weight.dtype)
            for text, guide, alpha in zip(texts, guides, alphas, strict=True):
                source, n = states_and_content(text)
                others = [states_and_content(words) for words in guide]
                length = len(source) - max([n] + [k for _, k in others])
                context = source[n : n + length]
                target = context @ weight.T
                for step, (other, k) in zip(alpha, others, strict=True):
                    towards = other[k : k + length] @ weight.T
                    target = target + step * target.norm() * towards / towards.norm()
                for c, v in zip(context, target, strict=True):
                    a = a + torch.outer(v, c)
                    m = m + torch.outer(c, c)
            for text in kept:
                for p in model.encode([text]).states[0]:
                    a = a + mu * torch.outer(weight @ p, p)
                    m = m + mu * torch.outer(p, p)
            weights[name] = a @ torch.linalg.inv(m)
    return weights


def released_v2(model, concepts, cells, rounds, *, preserve=(), lam=0.5, mu=1.0):
    """Version 2, naively, with the cached outputs that it adds to in place."""
    originals = model.cross_attention()

    def last(text):
        encoded = model.encode([text])
        return encoded.states[0, encoded.first_eos[0] - 1]

    texts = {*concepts, *preserve}
    cache = {name: {text: weight @ last(text) for text in texts} for name, weight in originals.items()}
    for ratios in rounds:
        weights = {}
        for name, weight in originals.items():
            a, m = lam * weight, lam * torch.eye(weight.shape[1], dtype=weight.dtype)
            for concept in concepts:
                move = [1 / len(cells) - r for r in ratios[concept]]
                if max(move) < 0.05 and abs(min(move)) < 0.05:
                    move = [0.0] * len(cells)
                for amount, cell in zip(move, cells, strict=True):
                    cache[name][concept] += amount * (weight @ last(cell.noun))
                c = last(concept)
                a, m = a + torch.outer(cache[name][concept], c), m + torch.outer(c, c)
            for text in preserve:
                p = last(text)
                a, m = a + mu * torch.outer(cache[name][text], p), m + mu * torch.outer(p, p)
            weights[name] = a @ torch.linalg.inv(m)
    return weights


def released_v0(model, concepts, cells, rounds, *, preserve=(), lam=0.5, mu=0.1):
    """Version 0, naively, with the aggregated weights of its two directions."""
    originals = model.cross_attention()
    aggregated = {concept: [0.0] * len(cells) for concept in concepts}
    kept = [text for text in preserve if text.lower() not in [concept.lower() for concept in concepts]]
    for ratios in rounds:
        for concept in concepts:
            move = [1 / len(cells) - r for r in ratios[concept]]
            if max(map(abs, move)) > 0.08:
                aggregated[concept] = [w + 0.1 * x for w, x in zip(aggregated[concept], move, strict=True)]
        weights = {}
        for name, weight in originals.items():
            a, m = lam * weight, lam * torch.eye(weight.shape[1], dtype=weight.dtype)
            for concept in concepts:
                context = model.encode([concept]).states[0]
                output = context @ weight.T
                target = output.clone()
                for w, cell in zip(aggregated[concept], cells, strict=True):
                    towards = model.encode([cell.noun]).states[0] @ weight.T
                    target += w * output.norm() * towards / towards.norm()
                a, m = a + target.T @ context, m + context.T @ context
            for text in kept:
                p = model.encode([text]).states[0]
                a, m = a + mu * (p @ weight.T).T @ p, m + mu * p.T @ p
            weights[name] = a @ torch.linalg.inv(m)
    return weights


def fit(rates, *, concepts=("nurse",), model=None, cells=GENDER, **parameters):
    """Fit UCE on scripted images in hundredths, ``rates[source text][round]``."""
    studio = Studio({text: [counts(*row) for row in rows] for text, rows in rates.items()})
    task = make_task(studio, concepts=concepts, cells=cells, model=model)
    return Uce(images=100, **parameters).fit(task), studio


def measured(rates, number):
    """The ratios of the first rounds; a converged text keeps its last one."""
    return [
        {text: [x / 100 for x in rows[min(t, len(rows) - 1)]] for text, rows in rates.items()}
        for t in range(number)
    ]


def assert_same_edit(intervention, expected, model, bound=1e-9):
    for name, weight in intervention.weights.items():
        edit = weight - model.weights[name]
        assert relative_error(edit, expected[name] - model.weights[name]) < bound, name


def unbalanced(concept, *rows):
    return {template.format(concept): list(rows) for template in FIVE}


@pytest.mark.slow
@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
@pytest.mark.parametrize("cells", [GENDER, LONG], ids=["short", "long"])
def test_version_1_equals_the_naive_algorithm(model, cells):
    rates = unbalanced("nurse", (90, 10), (80, 20))
    preserve = ("chef", "Nurse", "lawyer")
    intervention, _ = fit(rates, model=model, cells=cells, preserve=preserve, rounds=2)
    expected = released_v1(model, ["nurse"], cells, measured(rates, 2), preserve=preserve)
    assert_same_edit(intervention, expected, model)


def test_version_1_preserves_and_edits_converged_texts_and_does_not_measure_them_again():
    model = NumericModel()
    rates = unbalanced("nurse", (90, 10), (80, 20), (70, 30)) | unbalanced("CEO", (10, 90))
    rates["photo of nurse"] = [(90, 10), (52, 48)]
    rates["CEO"] = [(47, 53)]
    intervention, studio = fit(rates, concepts=("nurse", "CEO"), model=model, rounds=3)
    expected = released_v1(model, ["nurse", "CEO"], GENDER, measured(rates, 3))
    assert_same_edit(intervention, expected, model)
    drawn = [set(call["prompts"]) for call in studio.calls]
    assert drawn == [set(rates), set(rates) - {"CEO"}, set(rates) - {"CEO", "photo of nurse"}]


def test_preserved_names_equal_to_a_source_text_in_any_case_are_left_out():
    model = NumericModel()
    rates = unbalanced("nurse", (90, 10))
    without, _ = fit(rates, model=model, rounds=1)
    same, _ = fit(rates, model=model, rounds=1, preserve=("NURSE", "Photo of Nurse"))
    other, _ = fit(rates, model=model, rounds=1, preserve=("chef",))
    assert without.digest() == same.digest() != other.digest()


def test_the_released_professions_are_preserved_without_those_that_are_treated():
    model, rates = NumericModel(), {"a nurse": [(90, 10)]}
    intervention, _ = fit(rates, model=model, templates=("a {concept}",), rounds=1, preserve="professions")
    others = [name for name in PROFESSIONS if name != "nurse"]
    expected = released_v1(model, ["nurse"], GENDER, measured(rates, 1), templates=("a {}",), preserve=others)
    assert len(others) == 224
    assert_same_edit(intervention, expected, model)


@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
def test_windows_start_at_the_last_content_token_and_share_one_length(model):
    sources, guides = (
        ["photo of nurse", "nurse"],
        ["photo of middle aged man", "photo of man", "woman", "man"],
    )
    edited, guiding = model.encode(sources), model.encode(guides)
    rows, guidance = windows(edited, guiding, 2)
    size = edited.states.shape[1]
    contents = [[int(e) - 1 for e in guiding.first_eos[i : i + 2]] for i in (0, 2)]
    for index, source in enumerate(rows):
        n = int(edited.first_eos[index]) - 1
        furthest = max(n, *contents[index])
        assert source.shape == (size - furthest, edited.states.shape[2])
        assert guidance[index].shape == (2, *source.shape)
        # rows n .. n + size - 1 - f
        torch.testing.assert_close(source[0], edited.states[index, n])
        torch.testing.assert_close(source[-1], edited.states[index, n + size - 1 - furthest])
        for j, k in enumerate(contents[index]):
            torch.testing.assert_close(guidance[index][j, 0], guiding.states[2 * index + j, k])
    assert len(rows[0]) != len(rows[1])


def test_the_last_content_token_is_the_second_last_of_the_mask():
    model = mini_text()
    tokens = model.tokens(["a nurse"])
    position = int(tokens.attention_mask[0].sum()) - 2
    assert model.tokenizer.decode([tokens.input_ids[0, position]]).strip() == "nurse"
    rows, _ = windows(model.encode(["a nurse"]), model.encode(["man", "woman"]), 2)
    torch.testing.assert_close(rows[0][0], model.encode(["a nurse"]).states[0, position])


@pytest.mark.slow
@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
@pytest.mark.parametrize("preserve", [(), ("chef",), ("chef", "nurse")], ids=["none", "other", "itself"])
def test_version_2_equals_the_naive_algorithm(model, preserve):
    rates = {"nurse": [(90, 10), (60, 40), (52, 48)], "CEO": [(0, 100), (30, 70), (40, 60)]}
    intervention, _ = fit(
        rates, concepts=("nurse", "CEO"), model=model, version="v2", rounds=3, preserve=preserve
    )
    expected = released_v2(model, ["nurse", "CEO"], GENDER, measured(rates, 3), preserve=preserve)
    assert_same_edit(intervention, expected, model)


def test_version_2_targets_accumulate_and_projections_restart_from_the_originals():
    model = NumericModel()
    once, _ = fit({"nurse": [(90, 10)]}, model=model, version="v2", rounds=1)
    twice, _ = fit({"nurse": [(90, 10)]}, model=model, version="v2", rounds=2)
    undone, _ = fit({"nurse": [(90, 10), (10, 90)]}, model=model, version="v2", rounds=2)
    for name, weight in model.weights.items():
        # the edit is linear in the target, so equal moves double it and opposite moves undo it
        torch.testing.assert_close(twice.weights[name] - weight, 2 * (once.weights[name] - weight))
        torch.testing.assert_close(undone.weights[name], weight, rtol=1e-10, atol=1e-10)


def test_version_2_zeroes_a_concept_within_the_tolerance():
    model = NumericModel()
    rates = {"nurse": [(54, 46)], "CEO": [(10, 90)]}
    both, _ = fit(rates, concepts=("nurse", "CEO"), model=model, version="v2", rounds=1)
    expected = released_v2(model, ["nurse", "CEO"], GENDER, [{"nurse": [0.5, 0.5], "CEO": [0.1, 0.9]}])
    assert_same_edit(both, expected, model)


def test_measured_texts_are_the_edited_texts():
    _, studio = fit(unbalanced("nurse", (90, 10)), rounds=1)
    assert list(dict.fromkeys(studio.calls[0]["prompts"])) == [template.format("nurse") for template in FIVE]
    assert studio.judged == [(t.format("woman"), t.format("man")) for t in FIVE]
    assert studio.calls[0]["negative"] == ""


def test_version_2_judges_with_the_template_of_its_classifier():
    _, studio = fit({"nurse": [(90, 10)]}, version="v2", rounds=1)
    assert studio.judged == [("This is a photo of woman.", "This is a photo of man.")]


@pytest.mark.slow
@pytest.mark.parametrize("model", [NumericModel(), mini_text()], ids=lambda model: model.name)
@pytest.mark.parametrize("preserve", [(), ("chef", "Nurse")], ids=["none", "some"])
def test_version_0_equals_the_naive_algorithm(model, preserve):
    rates = {"nurse": [(90, 10), (60, 40), (57, 43)], "CEO": [(0, 100), (30, 70), (40, 60)]}
    script = {f"picture of {text}": rows for text, rows in rates.items()}
    intervention, _ = fit(
        script, concepts=tuple(rates), model=model, version="v0", rounds=3, preserve=preserve
    )
    expected = released_v0(model, list(rates), GENDER, measured(rates, 3), preserve=preserve)
    assert_same_edit(intervention, expected, model)


def test_version_0_draws_the_same_seeds_of_its_own_prompt_in_every_round():
    _, studio = fit({"picture of nurse": [(90, 10)]}, version="v0", rounds=3)
    assert [call["seeds"] for call in studio.calls] == [studio.calls[0]["seeds"]] * 3
    assert len(set(studio.calls[0]["seeds"])) == 100
    assert studio.judged == [("picture of woman", "picture of man")] * 3


def test_version_0_does_not_measure_a_balanced_concept_again():
    model = NumericModel()
    rates = {"nurse": [(90, 10), (80, 20)], "CEO": [(53, 47), (0, 100)]}
    script = {f"picture of {text}": rows for text, rows in rates.items()}
    intervention, studio = fit(script, concepts=tuple(rates), model=model, version="v0", rounds=2)
    assert [set(call["prompts"]) for call in studio.calls] == [set(script), {"picture of nurse"}]
    bypassed = [{"nurse": row, "CEO": [0.53, 0.47]} for row in ([0.9, 0.1], [0.8, 0.2])]
    assert_same_edit(intervention, released_v0(model, list(rates), GENDER, bypassed), model)


def test_version_0_rejects_more_than_two_cells_and_sequential_stopping():
    Uce(version="v0").check(family="sd1", cells=GENDER)
    with pytest.raises(EvenhandError, match="exactly two cells"):
        Uce(version="v0").check(family="sd1", cells=JOINT)
    with pytest.raises(ValidationError, match="same seeds"):
        Uce(version="v0", stopping="sequential")


def test_each_version_has_the_defaults_of_its_release():
    v0, v1, v2 = Uce(version="v0"), Uce(), Uce(version="v2")
    assert (v0.step_size, v0.lam, v0.mu, v0.tolerance, v0.images, v0.rounds) == (0.1, 0.5, 0.1, 0.08, 50, 30)
    assert (v1.step_size, v1.lam, v1.mu, v1.tolerance, v1.images, v1.rounds) == (0.1, 0.5, 0.1, 0.05, 50, 30)
    assert (v2.step_size, v2.lam, v2.mu, v2.tolerance, v2.images, v2.rounds) == (1.0, 0.5, 1.0, 0.05, 10, 30)
    assert (len(v1.templates), v2.templates) == (5, ("{concept}",))
    assert {*VERSION_0, *VERSION_2} <= set(Uce.model_fields)


def test_given_parameters_win_over_the_defaults_of_a_version():
    assert Uce(version="v2", step_size=0.3).step_size == 0.3
    assert Uce.model_validate(Uce(version="v2", mu=0.2).model_dump()) == Uce(version="v2", mu=0.2)


@pytest.mark.parametrize(
    "bad",
    [{"templates": ("photo",)}, {"label": "photo"}, {"version": "v3"}, {"measure": "photo"}, {"steps": 1}],
)
def test_invalid_parameters_raise_an_error(bad):
    with pytest.raises(ValidationError):
        Uce(**bad)


def test_every_source_text_has_its_own_record():
    intervention, _ = fit(unbalanced("nurse", (90, 10), (50, 50)))
    rows = intervention.record["sources"]
    assert [row["text"] for row in rows] == [template.format("nurse") for template in FIVE]
    assert all(row["concept"] == "nurse" and row["converged"] for row in rows)
    np.testing.assert_allclose(rows[0]["ratios"], [[0.9, 0.1], [0.5, 0.5]])
