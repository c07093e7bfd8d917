"""Which annotators are excluded, and which images need more annotators."""

import numpy as np
import pandas as pd
import pytest
from helpers.answers import TRUTH, flip, said, table_of, three_and_one
from krippendorff import alpha as reference_alpha

from evenhand.metrics.annotation.checks import alpha_against_others, answers_needed, check_annotators
from evenhand.metrics.annotation.truth import human_rows

TAXONOMY = {"gender": ("woman", "man"), "age": ("adult", "older")}
NO_GOLD = pd.DataFrame(columns=["key", "attribute", "label"])


def check_of(table, name, gold=NO_GOLD):
    (found,) = [c for c in check_annotators(table, taxonomy=TAXONOMY, gold=gold) if c.annotator == name]
    return found


def gold_of(labels):
    return pd.DataFrame(
        {"key": [f"k{n:02d}" for n in range(len(labels))], "attribute": "gender", "label": labels}
    )


def test_annotators_who_agree_with_the_others_are_kept():
    check = check_of(three_and_one(TRUTH), "odd")
    assert (check.reason, check.alpha, check.shared, check.images) == ("", 1.0, 30, 30)


def test_annotators_who_disagree_with_the_others_are_excluded():
    check = check_of(three_and_one([*TRUTH[:15], *map(flip, TRUTH[15:])]), "odd")
    assert check.alpha < 0.1
    assert check.reason.startswith("alpha ") and check.reason.endswith(
        "with the other annotators on gender, 0.6 needed"
    )
    assert check_of(three_and_one([*TRUTH[:27], *map(flip, TRUTH[27:])]), "odd").reason == ""


def test_low_gold_accuracy_excludes_an_annotator_and_cannot_tell_is_wrong():
    table = three_and_one(["cannot_tell", "cannot_tell", *TRUTH[2:]])
    check = check_of(table, "odd", gold_of(TRUTH[:5]))
    assert (check.gold, check.gold_accuracy) == (5, 0.6)
    assert check.reason == "60% correct on gender of 5 gold images, 80% needed"
    assert check_of(table, "odd", gold_of(TRUTH[:4])).reason == ""
    assert check_of(table, "ann", gold_of(TRUTH[:5])).reason == ""


def test_an_annotator_of_one_image_is_excluded_unchecked():
    check = check_of(three_and_one(TRUTH[:1]), "odd")
    assert check.reason == "1 images annotated, 10 needed for a check"


def test_repeats_measure_consistency_and_exclude_nobody():
    again = said("odd", ["woman", "woman", "woman", "man"], is_repeat=True)
    table = pd.concat([three_and_one(TRUTH), table_of(again)], ignore_index=True)
    check = check_of(table, "odd")
    assert (check.repeats, check.consistency, check.reason) == (4, 0.75, "")
    alone = human_rows(three_and_one(TRUTH), taxonomy=TAXONOMY)
    pd.testing.assert_frame_equal(human_rows(table, taxonomy=TAXONOMY), alone)


def test_alpha_against_one_other_rater_equals_krippendorffs_alpha():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, size=(2, 80))
    data = np.where(codes < 3, codes, np.nan).astype(float)
    found, units = alpha_against_others(codes, 0, 3)
    assert found == pytest.approx(reference_alpha(data, level_of_measurement="nominal"), abs=1e-12)
    assert units == (codes < 3).all(axis=0).sum()


def test_a_bad_annotator_does_not_lower_the_alpha_of_good_ones():
    rng = np.random.default_rng(2)
    table = three_and_one(rng.choice(["woman", "man"], len(TRUTH)).tolist())
    assert [bool(c.reason) for c in check_annotators(table, taxonomy=TAXONOMY, gold=NO_GOLD)] == [
        False,
        False,
        False,
        True,
    ]


def test_images_on_which_three_disagree_need_more_annotators():
    rows = [
        *said("ann", ["woman", "woman", "woman", "woman"]),
        *said("bo", ["woman", "man", "woman", "man"]),
        *said("cy", [None, "cannot_tell", "woman", "man"]),
        *said("dee", [None, None, None, "woman"]),
    ]
    assert answers_needed(table_of(rows), taxonomy=TAXONOMY).to_dict() == {
        "k00": 1,
        "k01": 2,
        "k02": 0,
        "k03": 1,
    }
    assert answers_needed(table_of(rows), taxonomy=TAXONOMY, without=["cy"])["k02"] == 1
