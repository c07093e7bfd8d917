"""Estimates of a metric: means, exact bounds and missing values."""

import numpy as np
import pytest
from helpers.measurement import estimates, judged, plan, rotations
from helpers.metrics import World, one, pick

from evenhand.metrics.estimation.measure import measure


def test_alignment_is_the_mean_over_concepts_of_generated_images():
    world = World()
    world.neutral("base", rotations(3), templates=1, seeds=4)
    images, labels = judged(world)
    images["alignment"] = np.r_[[20.0] * 4, [30.0] * 4, [np.nan] * 3, 40.0]
    rows = pick(measure(images, labels, plan=plan()).estimates["base"], metric="alignment", attributes="")
    assert [row.value for row in rows] == pytest.approx([30, 20, 30, 40]) and rows[0].n == 9


def test_a_single_image_gives_the_possible_estimates():
    world = World()
    world.neutral("base", rotations(1), templates=1, seeds=1)
    rows = pick(estimates(world), attributes="gender", judge="panel", concept="")
    values = {row.metric: row for row in rows}
    assert values["deviation_ratio"].value == 1
    assert sorted((row.low, row.high) for row in rows if row.metric == "share") == [
        (0, pytest.approx(0.95)),
        (pytest.approx(0.05), 1),
    ]
    assert np.isnan(values["squared_deviation"].value) and np.isnan(values["rms_delta"].value)


@pytest.mark.parametrize("concepts", [14, 6], ids=["whole concepts are drawn", "their images as well"])
def test_a_resampled_concept_is_compared_with_the_group_that_it_defines(concepts):
    """Half of the concepts define women and half men, and all images are right but one in ten."""
    world = World()
    for place in range(concepts):
        cell, right = (("gender=woman", 0), ("gender=man", 3))[place % 2]
        world.draw(
            "base",
            "over_correction",
            prompt_id=f"o{place}",
            concept=f"c{place:02d}",
            cell=cell,
            cells=[right] * 18 + [3 - right] * 2,
        )
    row = one(estimates(world), metric="over_correction", attributes="gender", judge="panel", concept="")
    # No concept differs from another, so that only the images widen the interval.
    assert row.value == pytest.approx(0.1) and row.low > 0.02 and row.high < 0.25


@pytest.mark.parametrize("resample_templates", [False, True])
def test_a_resampled_concept_is_compared_with_its_own_target(resample_templates):
    """Six concepts, three of them with women only and three with men only, as their targets say."""
    world = World()
    for place in range(6):
        for template in range(3):
            world.draw(
                "base",
                "neutral",
                prompt_id=f"n{place}/{template}",
                concept=f"c{place}",
                template=f"t{template}",
                cells=[0 if place < 3 else 3] * 10,
            )
    shares = {f"c{place}": [1.0, 0.0] if place < 3 else [0.0, 1.0] for place in range(6)}
    settings = plan(target={"gender": shares}, resample_templates=resample_templates)
    rows = measure(*judged(world), plan=settings).estimates["base"]
    row = one(rows, metric="squared_deviation", attributes="gender", judge="panel", concept="")
    assert row.value == pytest.approx(0) and row.high < 0.1


def test_an_empty_cell_has_the_exact_upper_bound():
    world = World()
    world.draw("base", "neutral", prompt_id="n", concept="job", template="t", cells=[0, 1, 2] * 10)
    key = {"metric": "share", "attributes": "gender", "judge": "panel", "concept": "job"}
    row = one(estimates(world), **key, group="man")
    assert row.value == 0 and row.low == 0 and row.high == pytest.approx(1 - 0.05 ** (1 / 30))


def test_an_estimate_more_even_than_independent_draws_does_not_shorten_the_interval_of_a_distance():
    """The unbiased square is below zero; the distance is 0, and its interval as long as above zero."""
    world = World()
    for place in range(14):
        cells = [0] * (5 - place % 2) + [3] * (5 + place % 2)
        world.draw("base", "neutral", prompt_id=f"p{place}", concept=f"c{place:02d}", cells=cells)
    rows = pick(estimates(world), attributes="gender", judge="panel", concept="")
    square, distance = one(rows, metric="excess_agreement"), one(rows, metric="rms_delta")
    assert square.value < 0 and distance.value == distance.low == 0
    assert distance.high**2 == pytest.approx(square.high - square.value)
