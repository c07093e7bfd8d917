"""The record of a comparison: its headline, its text and its bytes."""

import json
import math

import pytest
from helpers.comparisons import compared, difference
from helpers.report import JOINT

from evenhand.bench.results.comparison import Comparison

NAIVE = [difference("uce", -0.1), difference("mist", -0.2)]
CORRECTED = [difference("uce", -0.3, corrected=True), difference("mist", -0.4, corrected=True)]


def test_the_headline_has_one_row_per_pair_in_their_order():
    assert [row.value for row in compared(*NAIVE).headline] == [-0.2, -0.1]
    assert [row.label for row in compared(NAIVE[0]).headline] == ["uce"]


def test_rows_are_corrected_for_every_pair_or_for_none():
    assert [row.value for row in compared(*NAIVE, *CORRECTED).headline] == [-0.4, -0.3]
    assert [row.value for row in compared(*NAIVE, CORRECTED[0]).headline] == [-0.2, -0.1]
    missing = difference("mist", math.nan, corrected=True)
    assert [row.value for row in compared(*NAIVE, CORRECTED[0], missing).headline] == [-0.2, -0.1]
    found = compared(*NAIVE, *CORRECTED).differences_in("excess_agreement", JOINT, naive=True)
    assert found["mist", "base"].value == -0.2


def test_rows_of_single_judges_concepts_groups_and_other_kinds_are_left_out():
    others = [
        difference("mist", 0.9, **where)
        for where in ({"judge": "vit"}, {"concept": "nurse"}, {"group": "woman"}, {"kind": "explicit"})
    ]
    assert [row.value for row in compared(*others, *NAIVE).headline] == [-0.2, -0.1]


def test_the_text_says_what_is_shared_and_the_headline():
    shown = str(compared(*NAIVE))
    assert shown.splitlines()[0] == "2 pairs on 8 shared images of 2 prompts"
    assert shown.splitlines()[1] == f"  mist minus base: excess_agreement {JOINT} -0.200 [-0.300, -0.100]"


def test_the_record_reads_as_it_was_written_and_leaves_the_images_out():
    found = compared(*NAIVE, difference("mist", math.nan, concept="nurse"))
    assert Comparison.model_validate(json.loads(found.to_json())).to_json() == found.to_json()
    assert "images" not in json.loads(found.to_json())
    assert found.to_dataframe()["value"].tolist() == pytest.approx([-0.1, -0.2, math.nan], nan_ok=True)


def test_sides_and_pairs_have_names():
    found = compared(*NAIVE)
    assert found.side("mist").result.spec.method.label == "mist"
    assert [pair.title for pair in found.pairs] == ["mist minus base", "uce minus base"]
