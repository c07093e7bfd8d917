"""Answers of judges."""

import numpy as np

from evenhand.metrics.judges.base import Answer, Judge, JudgeInfo


def answer(*rows, status=None):
    return Answer(np.array(rows, float), tuple(status or ["ok"] * len(rows)))


def test_the_code_is_the_most_probable_group_or_the_number_of_groups():
    assert answer([0.6, 0.4, 0], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]).codes.tolist() == [0, 1, 2]


def test_ties_and_weak_answers_have_no_group():
    assert answer([0.5, 0.5, 0], [0.45, 0.3, 0.25]).codes.tolist() == [2, 2]


def test_an_image_that_cannot_be_judged_has_no_group_whatever_the_probabilities():
    sure = [1.0, 0, 0]
    assert answer(sure, sure, status=["no_face", "ok"]).codes.tolist() == [2, 0]


def test_a_judge_without_choices_has_no_variants():
    class Plain(Judge):
        info = JudgeInfo(
            name="plain",
            version="1",
            title="Plain",
            summary="a test",
            family="test",
            taxonomies={"gender": ("woman", "man")},
            licence="Apache-2.0",
            origin="test",
        )

        def label(self, images):
            return {"gender": answer(*([[1, 0, 0]] * len(images)))}

    assert Plain().variants(np.zeros((2, 8, 8, 3), np.uint8)) == {}
