"""The random stream of an image, and the cell drawn from it."""

import numpy as np
from scipy.stats import binomtest

from evenhand.methods.shared.randomness import drawn_cell, image_stream


def test_a_text_without_a_concept_draws_nothing():
    draw = np.random.default_rng(0)
    assert drawn_cell("a photo of a cat", draw, {"nurse": [0.5, 0.5]}) is None
    assert draw.random() == np.random.default_rng(0).random()


def test_a_cell_of_the_first_concept_is_drawn_from_its_target():
    target = {"nurse": [0.2, 0.8], "CEO": [1.0, 0.0]}
    drawn = [drawn_cell("a nurse beside a CEO", np.random.default_rng(seed), target) for seed in range(500)]
    assert {concept for concept, _ in drawn} == {"nurse"}
    assert binomtest(sum(cell for _, cell in drawn), 500, 0.8).pvalue > 0.001
    assert drawn_cell("a CEO", np.random.default_rng(0), target) == ("CEO", 0)


def test_the_stream_of_an_image_depends_on_intervention_prompt_and_seed():
    given = [
        ("d", "a nurse", 1),
        ("e", "a nurse", 1),
        ("d", "a CEO", 1),
        ("d", "a nurse", 2),
        ("d\n1", "a nurse", 1),
    ]
    drawn = [image_stream(*each).integers(2**63) for each in given]
    assert len(set(drawn)) == len(given)
    assert image_stream(*given[0]).integers(2**63) == drawn[0]
