"""What a measurement looks at: rows, targets, and concepts that are drawn or fixed."""

import numpy as np
import pytest
from helpers.measurement import FAIR, estimates
from helpers.metrics import TAXONOMY, World, one

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.estimation.encode import encode
from evenhand.metrics.estimation.views import MANY_CONCEPTS, Sampling, make_views


def test_a_target_replaces_the_uniform_one():
    world = World()
    world.draw("base", "neutral", prompt_id="n", concept="job", template="t", cells=[0, 3, 3, 3])
    rows = estimates(world, target={"gender": (0.25, 0.75)})
    assert one(rows, metric="delta_tv", attributes="gender", judge="a").value == 0
    with pytest.raises(EvenhandError, match="target of gender"):
        estimates(world, target={"gender": (0.25, 0.25)})


def test_a_fixed_list_of_concepts_has_narrower_intervals():
    world = World()
    shares = np.array([FAIR, [0.5, 0.3, 0.2, 0, 0, 0]] * 5)
    world.neutral("base", shares, seeds=20)
    key = {"metric": "excess_agreement", "attributes": "gender", "judge": "panel", "concept": ""}
    sampled, fixed = (one(estimates(world, resample_concepts=flag), **key) for flag in (True, False))
    assert sampled.value == fixed.value
    assert fixed.high - fixed.low < 0.8 * (sampled.high - sampled.low)


def views(*prompts, target=None):
    """The views of one method; a prompt is its kind, concept and cell."""
    world = World()
    for number, (kind, concept, cell) in enumerate(prompts):
        world.draw(
            "base", kind, prompt_id=f"p{number}", concept=concept, template="t", cell=cell, cells=[0, 3]
        )
    study = encode(world.images(), world.labels("a"), taxonomy=TAXONOMY)
    sampling = Sampling(draws=10, seed=0, resample_concepts=True)
    sets = (("gender",), ("gender", "tone"))
    found = make_views(study, attribute_sets=sets, target=target or {}, sampling=sampling)
    return {(view.kind, view.name): view for view in found}


def test_rows_are_concepts_or_the_cells_that_prompts_name():
    found = views(
        ("neutral", "nurse", ""),
        ("neutral", "CEO", ""),
        ("explicit", "nurse", "gender=man"),
        ("explicit", "CEO", "gender=man"),
        ("explicit", "CEO", "gender=woman"),
        ("over_correction", "queen", "gender=woman;tone=light"),
    )
    assert set(found) == {
        ("neutral", "gender"),
        ("neutral", "gender*tone"),
        ("explicit", "gender"),
        ("over_correction", "gender"),
        ("over_correction", "gender*tone"),
    }
    assert found["neutral", "gender"].layout.names == ("CEO", "nurse")
    explicit = found["explicit", "gender"]
    assert explicit.layout.names == ("woman", "man") and explicit.expected.tolist() == [0, 1]
    assert explicit.layout.sizes[1] == (2, 2)  # of men, two images of each of two concepts
    assert found["over_correction", "gender*tone"].expected.tolist() == [0]
    assert found["neutral", "gender*tone"].shape == (2, 3) and found["neutral", "gender"].expected is None


def test_a_target_by_concept_is_of_neutral_prompts_and_others_are_even():
    prompts = [("neutral", "nurse", ""), ("neutral", "CEO", ""), ("explicit", "nurse", "gender=man")]
    target = {"gender": {"nurse": (0.9, 0.1), "CEO": (0.3, 0.7)}}
    found = views(*prompts, target=target)
    assert found["neutral", "gender"].target.tolist() == [[0.3, 0.7], [0.9, 0.1]]
    assert found["explicit", "gender"].target.tolist() == [[0.5, 0.5]]
    with pytest.raises(
        EvenhandError, match="target of gender has no shares for concept 'CEO'; give 2 shares"
    ):
        views(*prompts, target={"gender": {"nurse": (0.9, 0.1)}})


def test_a_defined_person_has_one_cell():
    with pytest.raises(
        EvenhandError, match="concept 'queen' expects two different cells; use one concept per"
    ):
        views(("over_correction", "queen", "gender=woman"), ("over_correction", "queen", "gender=man"))


def test_whole_concepts_are_resampled_if_there_are_many():
    assert Sampling(10, 0, resample_concepts=True).nested(MANY_CONCEPTS - 1)
    assert not Sampling(10, 0, resample_concepts=True).nested(MANY_CONCEPTS)
    assert Sampling(10, 0, resample_concepts=True, scheme="two-stage").nested(MANY_CONCEPTS)
