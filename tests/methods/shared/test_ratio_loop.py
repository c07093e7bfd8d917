"""The loop of UCE and MIST: measuring, stopping and recording."""

import json

import numpy as np
import pytest
import torch
from helpers.methods import NAN, TIE, NumericModel, Studio, counts, make_task

from evenhand.bench.errors import EvenhandError
from evenhand.methods.shared import ratio_loop
from evenhand.methods.shared.ratio_loop import shares
from evenhand.methods.weights.mist import Mist
from evenhand.methods.weights.uce import Uce

NURSE, CEO = "a headshot of a person of a nurse", "a headshot of a person of a CEO"


def two_concepts(nurse, ceo, **parameters):
    studio = Studio({NURSE: [counts(*row) for row in nurse], CEO: [counts(*row) for row in ceo]})
    task = make_task(studio, concepts=("nurse", "CEO"))
    return Mist(**parameters).fit(task), studio


def sampled(call):
    return set(call["prompts"])


def test_a_balanced_model_is_measured_once_and_not_edited():
    model = NumericModel()
    studio = Studio({NURSE: [counts(48, 52)]})
    intervention = Mist().fit(make_task(studio, model=model))
    assert len(studio.calls) == 1
    assert all(torch.equal(weight, model.weights[name]) for name, weight in intervention.weights.items())
    (row,) = intervention.record["sources"]
    assert row["converged"]
    assert (row["rounds"], row["edits"]) == (1, 0)


def test_the_loop_ends_in_the_first_round_with_every_concept_balanced():
    intervention, studio = two_concepts([(90, 10), (50, 50)], [(90, 10), (80, 20), (70, 30), (52, 48)])
    assert len(studio.calls) == 4
    nurse, ceo = intervention.record["sources"]
    assert nurse["converged"] and ceo["converged"]
    assert nurse["edits"] == ceo["edits"] == 3
    assert ceo["ratios"] == [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.52, 0.48]]


def test_a_converged_concept_that_drifts_is_edited_again():
    intervention, studio = two_concepts(
        [(90, 10), (50, 50), (80, 20), (50, 50)], [(90, 10), (80, 20), (50, 50), (50, 50)]
    )
    assert len(studio.calls) == 4
    assert intervention.record["sources"][0]["gaps"] == pytest.approx([0.4, 0, 0.3, 0])


def test_without_remeasuring_a_converged_concept_gets_no_more_images():
    intervention, studio = two_concepts(
        [(90, 10), (52, 48)], [(90, 10), (80, 20), (70, 30), (52, 48)], remeasure=False
    )
    assert [sampled(call) for call in studio.calls] == [{NURSE, CEO}, {NURSE, CEO}, {CEO}, {CEO}]
    nurse, _ = intervention.record["sources"]
    assert nurse["converged"]
    assert nurse["rounds"] == 2


def test_a_gap_equal_to_the_tolerance_zeroes_the_edit_but_does_not_stop_the_loop():
    model = NumericModel()
    studio = Studio({NURSE: [counts(75, 25)]})
    intervention = Mist(tolerance=0.25, rounds=3).fit(make_task(studio, model=model))
    assert len(studio.calls) == 3
    assert not intervention.record["sources"][0]["converged"]
    for name, weight in intervention.weights.items():
        torch.testing.assert_close(weight, model.weights[name], rtol=1e-12, atol=1e-12)


def test_the_edit_of_the_last_round_is_not_measured():
    model = NumericModel()
    studio = Studio({NURSE: [counts(90, 10)]})
    intervention = Mist(rounds=5).fit(make_task(studio, model=model))
    (row,) = intervention.record["sources"]
    assert len(studio.calls) == row["rounds"] == row["edits"] == 5
    assert not row["converged"]
    last = studio.calls[-1]["by"].weights
    assert any(not torch.equal(weight, last[name]) for name, weight in intervention.weights.items())


def test_each_round_measures_the_projections_edited_so_far():
    model = NumericModel()
    studio = Studio({NURSE: [counts(90, 10)]})
    Mist(rounds=3).fit(make_task(studio, model=model))
    drawn = [call["by"].digest() for call in studio.calls]
    assert len(set(drawn)) == 3
    first = studio.calls[0]["by"].weights
    assert all(torch.equal(weight, model.weights[name]) for name, weight in first.items())


def test_seeds_are_new_in_every_round_and_shared_by_its_concepts():
    _, studio = two_concepts([(90, 10)], [(90, 10)], rounds=3)
    for call in studio.calls:
        assert call["seeds"][:100] == call["seeds"][100:]
        assert len(set(call["seeds"])) > 95
        assert min(call["seeds"]) >= 0 and max(call["seeds"]) < 2**31
    assert len({tuple(call["seeds"]) for call in studio.calls}) == 3


def test_the_same_random_stream_gives_the_same_fit():
    fits = [Mist(rounds=2).fit(make_task(Studio({NURSE: [counts(90, 10)]}), seed=5)) for _ in range(2)]
    assert fits[0].digest() == fits[1].digest()
    seeds = []
    for seed in (5, 6):
        studio = Studio({NURSE: [counts(90, 10)]})
        Mist(rounds=1).fit(make_task(studio, seed=seed))
        seeds.append(studio.calls[0]["seeds"])
    assert seeds[0] != seeds[1]


def test_per_concept_scope_edits_one_model_per_concept():
    studio = Studio({NURSE: [counts(90, 10)], CEO: [counts(10, 90)]})
    joint_task = make_task(studio, concepts=("nurse", "CEO"))
    intervention = Mist(scope="per-concept", rounds=2).fit(joint_task)
    assert not intervention.weights
    assert [sampled(call) for call in studio.calls] == [{NURSE}, {NURSE}, {CEO}, {CEO}]
    for concept, prompt, row in (("nurse", NURSE, (90, 10)), ("CEO", CEO, (10, 90))):
        alone = Mist(rounds=2).fit(make_task(Studio({prompt: [counts(*row)]}), concepts=(concept,)))
        for name, weight in intervention.concept_weights[concept].items():
            assert torch.equal(weight, alone.weights[name])
    assert [row["concept"] for row in intervention.record["sources"]] == ["nurse", "CEO"]


def test_the_seeds_of_a_concept_do_not_depend_on_the_rounds_of_another():
    seeds = []
    for nurse in ([counts(90, 10), counts(50, 50)], [counts(50, 50)]):
        studio = Studio({NURSE: nurse, CEO: [counts(50, 50)]})
        Mist(scope="per-concept").fit(make_task(studio, concepts=("nurse", "CEO")))
        seeds.append(studio.calls[-1]["seeds"])
    assert seeds[0] == seeds[1]


def test_a_tie_counts_for_every_tied_class():
    probabilities = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.4, 0.2, 0.4], [1.0, 0.0, 0.0]])
    assert shares(probabilities).tolist() == [0.75, 0.25, 0.5]
    studio = Studio({NURSE: [{0: 50, TIE: 50}, counts(50, 50)]})
    (row,) = Mist().fit(make_task(studio)).record["sources"]
    assert row["ratios"][0] == [1.0, 0.5]


def test_non_finite_probabilities_raise_an_error_with_concept_and_round():
    studio = Studio({NURSE: [counts(90, 10)], CEO: [counts(90, 10), {0: 99, NAN: 1}]})
    with pytest.raises(EvenhandError, match=r"mist diverged for 'CEO'.*round 2; lower `step_size`"):
        Mist().fit(make_task(studio, concepts=("nurse", "CEO")))


def test_an_overflow_raises_an_error_with_concept_round_and_precision():
    model = NumericModel(dtype=torch.float16)
    studio = Studio({NURSE: [counts(100, 0)]})
    with pytest.raises(
        EvenhandError, match=r"mist diverged in round \d+: .*float16 .*'nurse'.*lower `step_size`"
    ):
        Mist(step_size=1e4, rounds=9).fit(make_task(studio, model=model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_edited_projections_keep_the_precision_of_the_model(dtype):
    studio = Studio({NURSE: [counts(90, 10)]})
    intervention = Mist(rounds=2).fit(make_task(studio, model=NumericModel(dtype=dtype)))
    assert {weight.dtype for weight in intervention.weights.values()} == {dtype}
    assert {weight.dtype for weight in studio.calls[1]["by"].weights.values()} == {dtype}


def test_the_fit_does_not_change_the_model():
    model = NumericModel()
    before = model.cross_attention()
    Mist(rounds=2).fit(make_task(Studio({NURSE: [counts(90, 10)]}), model=model))
    assert all(torch.equal(weight, before[name]) for name, weight in model.weights.items())


@pytest.mark.parametrize("method", [Mist(rounds=2), Uce(version="v2", rounds=2, images=100)])
def test_the_record_is_json(method):
    studio = Studio({NURSE: [counts(90, 10)], "nurse": [counts(90, 10)]})
    record = method.fit(make_task(studio)).record
    assert json.loads(json.dumps(record)) == record


def test_images_are_judged_before_more_than_the_limit_are_in_memory(monkeypatch):
    rounds = {NURSE: [(90, 10), (50, 50)], CEO: [(90, 10), (50, 50)]}
    together, studio = two_concepts(rounds[NURSE], rounds[CEO])
    monkeypatch.setattr(ratio_loop, "MAX_IMAGES", 150)
    script = {text: [counts(*row) for row in rows for _ in range(2)] for text, rows in rounds.items()}
    parted = Studio(script)
    alone = Mist().fit(make_task(parted, concepts=("nurse", "CEO")))
    assert [sampled(call) for call in parted.calls] == [{NURSE}, {CEO}] * 2
    assert alone.digest() == together.digest() and alone.record == together.record
    assert [call["seeds"] * 2 for call in parted.calls[::2]] == [call["seeds"] for call in studio.calls]
