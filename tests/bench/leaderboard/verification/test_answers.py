"""Repeated labels are compared with stated ones of the same image, judge and attribute."""

import pandas as pd
import pytest

from evenhand.bench.leaderboard.verification.answers import PROBABILITY_TOLERANCE, label_answers


def labels(*probabilities, judge="vit", status="ok"):
    return pd.DataFrame(
        [
            {
                "key": f"k{number}",
                "judge": judge,
                "attribute": "gender",
                "label": "woman" if share > 0.5 else "man",
                "status": status,
                "probabilities": [share, 1 - share, 0.0],
            }
            for number, share in enumerate(probabilities)
        ]
    )


def pairs(*same):
    return pd.DataFrame(
        [(f"k{number}", f"k{number}", one) for number, one in enumerate(same)],
        columns=["key", "key_stated", "same"],
    )


def test_equal_labels_agree():
    (row,) = label_answers(labels(0.9, 0.2), labels(0.9, 0.2), pairs(True, True))
    assert (row.name, row.asked, row.other, row.contradicted, row.furthest) == ("vit, gender", 2, 0, 0, 0.0)


@pytest.mark.parametrize(
    ("stated", "same", "other", "contradicted"),
    [
        (0.1, True, 1, 1),
        (0.1, False, 1, 0),
        (0.9 - 0.9 * PROBABILITY_TOLERANCE, True, 0, 0),
        (0.9 - 1.1 * PROBABILITY_TOLERANCE, True, 0, 1),
        (0.9 - 1.1 * PROBABILITY_TOLERANCE, False, 0, 0),
    ],
)
def test_an_answer_may_move_by_the_tolerance_and_a_label_only_with_the_pixels(
    stated, same, other, contradicted
):
    (row,) = label_answers(labels(0.9), labels(stated), pairs(same))
    assert (row.other, row.contradicted) == (other, contradicted)


def test_a_label_at_a_tie_may_change_within_the_tolerance():
    (row,) = label_answers(labels(0.501), labels(0.499), pairs(True))
    assert (row.other, row.contradicted) == (0, 0)


def test_a_judge_that_only_one_side_has_is_not_compared():
    assert [*label_answers(labels(0.9), labels(0.9, judge="other"), pairs(True))] == []
