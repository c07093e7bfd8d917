"""Vectors on the bottleneck: which cells get one, and what it is added to."""

import pytest
import torch
from helpers.activations import PROMPTS, PROTOCOL, make
from helpers.methods import GENDER, JOINT

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler, image_stream
from evenhand.methods.activations._mid_block import (
    MidBlockIntervention,
    codes,
    for_cells,
    shape_of_h,
    training_cells,
)
from evenhand.methods.shared.randomness import drawn_cell

H = (192, 4, 4)


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def test_training_cells_are_single_groups_or_whole_cells():
    assert [cell.adjective for cell in training_cells(JOINT, "groups")] == [
        "female",
        "male",
        "young",
        "elderly",
    ]
    assert [cell.noun for cell in training_cells(JOINT, "groups")][2:] == ["young person", "elderly person"]
    assert training_cells(JOINT, "cells") == list(JOINT)
    assert training_cells(GENDER, "groups") == list(GENDER)


def test_codes_are_one_for_the_groups_of_a_cell():
    # Female, male, young, elderly.
    expected = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
    assert codes(JOINT, JOINT).tolist() == expected
    assert torch.equal(codes(training_cells(JOINT, "groups"), JOINT), torch.eye(4))


def test_a_cell_gets_the_weighted_sum_of_its_groups(mini):
    v = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    fitted = for_cells(make(mini, cells=JOINT), v, scale=0.5, scales={"age": 3.0}, record={})
    female, male, young, elderly = v
    expected = torch.stack(
        [
            0.5 * (sex + 3 * age)
            for sex, age in [(female, young), (male, young), (female, elderly), (male, elderly)]
        ]
    )
    torch.testing.assert_close(fitted.tensors["vectors"], expected)


def test_the_drawn_cell_is_added_to_the_conditional_half_of_images_with_a_concept(mini):
    vectors = torch.randn(2, *H, generator=torch.Generator().manual_seed(0))
    target = {"nurse": [0.5, 0.5], "construction worker": [0.0, 1.0]}
    fitted = MidBlockIntervention(tensors={"vectors": vectors}, data={"target": target})
    seen = []

    class Watched(MidBlockIntervention):
        def steer(self, batch):
            steering, feature = super().steer(batch), None
            feature = steering.feature

            def keep(step, site, h):
                changed = feature(step, site, h)
                seen.append(changed - h)
                return changed

            steering.feature = keep
            return steering

    watched = Watched(tensors=fitted.tensors, data=fitted.data)
    Sampler(mini, PROTOCOL)(PROMPTS, [1, 2, 3, 4], intervention=watched)
    drawn = [
        drawn_cell(text, image_stream(watched.digest(), text, seed), target)
        for text, seed in zip(PROMPTS, [1, 2, 3, 4], strict=True)
    ]
    assert drawn[1] is None and drawn[2] == ("construction worker", 1)
    rows = torch.stack([torch.zeros(H) if cell is None else vectors[cell[1]] for cell in drawn])
    assert len(seen) == PROTOCOL.steps
    for difference in seen:
        assert difference.shape == (8, *H)
        assert not difference[:4].any()
        torch.testing.assert_close(difference[4:], rows, atol=1e-5, rtol=0)


def test_the_shape_of_the_bottleneck_is_found(mini):
    assert shape_of_h(mini, torch.zeros(3, 4, 16, 16)) == H
    assert shape_of_h(mini, torch.zeros(3, 4, 32, 16)) == (192, 8, 4)
