"""Sensitivity of a judge to crop, order of options and wording."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, World, one, pick

from evenhand.metrics.judge_quality.audit import CLAIM, seen_by_judges
from evenhand.metrics.judge_quality.sensitivity import NO_CHOICE, Asked, codes_of, sensitivity_rows
from evenhand.metrics.judges.base import Answer
from evenhand.metrics.statistics.uncertainty import wilson

IMAGES = 240
WOMAN, MAN, NOBODY = 0, 1, 2


@pytest.fixture(scope="module")
def seen():
    """A judge's images of gender, half of them of female and half of male occupations."""
    made = World(seed=1)
    made.draw("m", "person", prompt_id="p", cells=np.repeat(np.arange(6), IMAGES // 6))
    truth = made.anchors()
    keys = sorted(set(truth["key"]))
    sides = pd.DataFrame({"stereotype": ["female", "male"] * (IMAGES // 2)}, index=keys)
    found = seen_by_judges(truth, made.labels("judge"), taxonomy=TAXONOMY, strata=sides)
    return next(each for each in found if each.attribute == "gender")


def rows_of(seen, asked):
    return list(sensitivity_rows(seen, asked, draws=400, seed=0))


def asked(seen, aspect, *choices, order=None):
    """The judge's answers, its images in another order than they were seen in."""
    order = np.random.default_rng(3).permutation(IMAGES) if order is None else order
    codes = np.stack([np.asarray(choice)[order] for choice in choices])
    return Asked(keys=[seen.keys[number] for number in order], codes={(aspect, "gender"): codes})


def test_sensitivity_is_the_share_of_decided_images_with_another_label_under_another_choice(seen):
    face = np.zeros(IMAGES, int)
    face[:40] = NOBODY
    whole = face.copy()
    whole[:40], whole[40:60], whole[60:70] = WOMAN, MAN, NOBODY
    row = one(rows_of(seen, asked(seen, "crop", face, whole)), quantity="crop_sensitivity", within="")
    assert (row.value, row.n) == (pytest.approx(30 / 200), 200)
    assert (row.low, row.high) == pytest.approx(tuple(map(float, wilson(30, 200))))


def test_an_image_counts_once_however_many_orders_differ(seen):
    listed, turned, mixed = (np.zeros(IMAGES, int) for _ in range(3))
    turned[:24], mixed[:24], mixed[100:112] = MAN, MAN, MAN
    rows = rows_of(seen, asked(seen, "order", listed, turned, mixed))
    assert one(rows, quantity="order_sensitivity", within="").value == pytest.approx(36 / IMAGES)
    assert not pick(rows, quantity="context_effect"), "order has no context effect"


def test_a_judge_that_uses_the_occupation_has_a_context_effect(seen):
    female = seen.strata["stereotype"] == "female"
    face = np.full(IMAGES, MAN)
    whole = np.where(female & (np.arange(IMAGES) % 4 < 2), WOMAN, MAN)
    rows = rows_of(seen, asked(seen, "crop", face, whole))
    parts = {row.within: row.value for row in pick(rows, quantity="crop_sensitivity")}
    effect = one(rows, quantity="context_effect", within="stereotype")
    gap = parts["stereotype=female"] - parts["stereotype=male"]
    assert effect.value == pytest.approx(gap) and gap > 0.4 and effect.low > 0.2 and effect.claim


def test_context_effect_is_missing_with_a_reason_if_strata_are_small(seen):
    few = np.full(IMAGES, NOBODY)
    few[: CLAIM - 1] = WOMAN
    effect = one(rows_of(seen, asked(seen, "crop", few, few)), quantity="context_effect")
    assert np.isnan(effect.value) and effect.reason.startswith("fewer than two groups of stereotype")


def test_text_spread_is_the_deviation_of_the_shares_over_wordings(seen):
    rng = np.random.default_rng(0)
    choices = [(rng.random(IMAGES) < share).astype(int) for share in (0.3, 0.5, 0.6)]
    choices[0][:20] = NOBODY
    rows = rows_of(seen, asked(seen, "text", *choices))
    for code, group in ((WOMAN, "woman"), (MAN, "man")):
        shares = [(choice[choice < 2] == code).mean() for choice in choices]
        row = one(rows, quantity="text_spread", group=group)
        assert row.value == pytest.approx(np.std(shares, ddof=1)) and row.n == IMAGES - 20
        assert 0 <= row.low < row.value < row.high
    same = rows_of(seen, asked(seen, "text", choices[1], choices[1]))
    assert one(same, quantity="text_spread", group="woman").value == 0


def test_text_spread_is_missing_with_a_reason_if_a_wording_decides_nothing(seen):
    rows = rows_of(seen, asked(seen, "text", np.zeros(IMAGES, int), np.full(IMAGES, NOBODY)))
    row = one(rows, quantity="text_spread", group="woman")
    assert np.isnan(row.value) and row.reason == "no image is decided under one of the wordings"


def test_sensitivity_is_missing_with_a_reason_if_a_judge_has_no_choice(seen):
    rows = rows_of(seen, Asked(keys=list(seen.keys), codes={}))
    assert [row.reason for row in rows] == list(NO_CHOICE.values())
    assert all(np.isnan(row.value) and row.n == 0 for row in rows)
    lost = rows_of(seen, "the judge cannot be asked again: its weights are missing")
    assert {row.reason for row in lost} == {"the judge cannot be asked again: its weights are missing"}


def test_labels_of_variants_follow_the_label_rule():
    shares = np.array([[0.9, 0.1, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5], [0.1, 0.9, 0]])
    answer = Answer(shares, ("ok", "ok", "ok", "no_face"))
    found = codes_of({"crop": ({"gender": answer}, {"gender": answer})}, ["gender"])
    assert found["crop", "gender"].tolist() == [[WOMAN, NOBODY, NOBODY, NOBODY]] * 2
