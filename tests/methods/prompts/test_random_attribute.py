"""The random attribute prompt inserts cells by the target, with correct articles, before a concept only."""

from collections import Counter

import numpy as np
import pytest
from helpers.methods import GENDER, JOINT, Studio, make_task
from scipy.stats import chisquare

from evenhand.methods.base import Cell
from evenhand.methods.prompts.random_attribute import RandomAttributePrompt

CONCEPTS = ("nurse", "worker", "construction worker", "CEO")
OLDER = Cell(
    groups={"age": "older"}, adjective="elderly dark-skinned female", noun="elderly dark-skinned woman"
)


def fit(cells=GENDER, target=None, **parameters):
    task = make_task(Studio({}), concepts=CONCEPTS, cells=cells, target=target)
    return RandomAttributePrompt(**parameters).fit(task)


def always(cell, **parameters):
    """Fitted so that the same cell is always drawn."""
    return fit(cells=(cell, GENDER[1]), target=(1.0, 0.0), **parameters)


def rewrite(intervention, text, seed=0):
    return intervention.prompt(text, np.random.default_rng(seed))


@pytest.mark.parametrize("target", [(0.25, 0.25, 0.25, 0.25), (0.1, 0.2, 0.3, 0.4)])
def test_cells_are_drawn_from_the_target(target):
    intervention = fit(cells=JOINT, target=target)
    draws = 4000
    texts = Counter(rewrite(intervention, "a photo of a nurse", seed) for seed in range(draws))
    expected = {
        f"a photo of {'an' if cell.adjective[0] == 'e' else 'a'} {cell.adjective} nurse": draws * share
        for cell, share in zip(JOINT, target, strict=True)
    }
    assert set(texts) == set(expected)
    assert chisquare([texts[text] for text in expected], list(expected.values())).pvalue > 0.001


def test_the_same_stream_draws_the_same_cell():
    intervention = fit(cells=JOINT)
    assert len({rewrite(intervention, "a photo of a nurse", 3) for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("a photo of a nurse", "a photo of an elderly dark-skinned female nurse"),
        ("A nurse at work", "An elderly dark-skinned female nurse at work"),
        ("nurse", "elderly dark-skinned female nurse"),
        ("the nurse and a dog", "the elderly dark-skinned female nurse and a dog"),
        ("a photo of a construction worker", "a photo of an elderly dark-skinned female construction worker"),
        ("a photo of a CEO.", "a photo of an elderly dark-skinned female CEO."),
        ("a banana for a nurse", "a banana for an elderly dark-skinned female nurse"),
    ],
)
def test_the_adjective_precedes_the_longest_concept_with_its_article(text, rewritten):
    assert rewrite(always(OLDER), text) == rewritten


def test_the_article_agrees_with_the_inserted_adjective():
    task = make_task(Studio({}), concepts=("attendant",), target=(1.0, 0.0))
    intervention = RandomAttributePrompt().fit(task)
    assert rewrite(intervention, "a photo of an attendant") == "a photo of a female attendant"


@pytest.mark.parametrize(
    "text", ["a photo of a house", "a photo of a ceo", "a photo of nurses", "a nurse-led clinic", ""]
)
def test_a_text_without_a_concept_as_a_whole_word_is_unchanged(text):
    assert rewrite(always(OLDER), text) == text


def test_a_group_is_inserted_even_if_the_prompt_states_the_attribute():
    assert rewrite(always(GENDER[0]), "a photo of a male nurse") == "a photo of a male female nurse"


def test_the_fit_generates_and_judges_nothing_and_does_not_change_the_model():
    intervention = fit()
    assert not intervention.flat_tensors()
    assert RandomAttributePrompt().steering_judge is None
