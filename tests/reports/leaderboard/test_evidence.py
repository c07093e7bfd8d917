"""The evidence of a row in words: what a verification found, and what it excludes."""

import pytest
from helpers.fresh import SALT, STEERED, a_fresh, a_gap, an_agreement
from helpers.report import a_result
from helpers.verification import A_VERIFICATION, AN_ANSWER

from evenhand.bench.results.entry import EVIDENCES, Verification
from evenhand.reports.leaderboard.evidence import EVIDENCE, band_title, fresh_texts, verification_text


def said(*answers, **changes):
    fields = A_VERIFICATION | {"answers": [AN_ANSWER | answer for answer in answers or ({},)]}
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
    assert tuple(EVIDENCE) == EVIDENCES == ("verified on fresh noise", "recomputed", "reported")


BASE, MIST = (a_result(name, concepts=["nurse"]) for name in ("base", "mist"))


def said_of(**changes):
    return ". ".join(fresh_texts(a_fresh(MIST, BASE, **changes)))


def test_outcome_on_fresh_noise_says_how_it_was_drawn_and_reveals_the_salt():
    assert said_of().startswith(
        "On fresh noise, with all 1,674 images, on cpu; the method was fitted again; anybody can "
        f"repeat this with the salt {SALT}"
    )
    assert "not fitted again: its submitted intervention was used" in said_of(fitted=False)
    assert "300 images of 1,674, too few to be published" in said_of(images=300)
    assert said_of(holdout=["one", "two"]).endswith("Held-back judges: one and two")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.02, 0.04, "difference 0.010 (−0.020 to 0.040 at the 99% level); they agree"),
        (0.01, 0.04, "the submission looks better than chance explains"),
        (-0.04, -0.01, "the submission looks worse"),
        (float("nan"), float("nan"), "too few images or concepts to compare"),
    ],
)
def test_agreement_is_said_with_its_interval(low, high, words):
    assert words in said_of(agreement=an_agreement(low=low, high=high))


def test_family_that_alone_sees_an_improvement_is_named():
    found = said_of(gaps=[a_gap(), a_gap(**STEERED)])
    assert "Supervised judges (vit) vote and see 5.0% of the baseline's deviation in skin tone left" in found
    assert "all other families at least 60.0% (the gap is at least 40.0%); steering by them is not" in found
    assert "judges (vit)" not in said_of()


def test_band_has_its_evidence_only_where_several_kinds_are_ranked():
    assert band_title("ranked", "recomputed") == "Ranked, recomputed"
    assert band_title("ranked", None) == "Ranked"
