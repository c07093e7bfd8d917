"""The evidence of a row in words: what a verification found, and what it excludes."""

import pytest

from evenhand.bench.results.entry import Verification
from evenhand.reports.leaderboard.evidence import EVIDENCE, verification_text

ANSWERS = {"name": "vit, gender", "asked": 60, "other": 0, "contradicted": 0, "furthest": 0.0}


def said(*answers, **changes):
    fields = {
        "entry": "00" * 32,
        "evenhand": "1",
        "device": "cpu",
        "fitted": True,
        "same_intervention": True,
        "seed": 1,
        "images": 60,
        "same_images": 60,
        "answers": [ANSWERS | answer for answer in answers or ({},)],
    }
    return verification_text(Verification.model_validate(fields | changes))


def test_equal_images_exclude_a_larger_share_of_differing_ones():
    assert said() == (
        "60 of 60 regenerated images have the same bytes, and 60 of 60 labels and scores are the same; the "
        "intervention was refitted on cpu. With 95% confidence, at most 4.9% of its images differ"
    )
    assert pytest.approx(0.0487, abs=1e-4) == 1 - 0.05 ** (1 / 60), (
        "so many images would be missed in 1 of 20 samples"
    )


def test_different_answers_to_equal_pixels_contradict_the_entry():
    assert "Identical pixels gave different answers: 2 of 60 of vit, gender;" in said(
        {"contradicted": 2, "other": 1}
    )


def test_too_many_different_answers_are_distinguished_from_those_of_another_machine():
    few, many = (said({"other": other}, same_images=0) for other in (2, 3))
    assert "Images differ only as between two machines" in few and "58 of 60 labels and scores" in few
    assert "More than one answer in 30 differs: 3 of 60 of vit, gender;" in many


def test_source_of_the_intervention_and_another_digest_are_named():
    assert "taken from the submitted run on cpu and its digest differs" in said(
        fitted=False, same_intervention=False
    )


def test_at_most_three_answers_are_named():
    names = [{"name": f"judge {place}", "contradicted": 1} for place in range(4)]
    found = said(*names)
    assert "judge 2" in found and "judge 3" not in found


def test_kinds_of_evidence_are_ordered_from_the_strongest():
    assert list(EVIDENCE) == ["verified", "recomputed", "reported"]
