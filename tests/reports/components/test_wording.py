"""Texts that all reports share."""

import pytest
from helpers.report import NAN, a_result, a_spec, an_estimate

from evenhand.bench.results.entry import Band
from evenhand.reports.components.wording import (
    BAND_TEXTS,
    BAND_TITLES,
    estimand,
    footing,
    measure,
    possible,
    same_group,
    share_of_pairs,
    with_interval,
)


def test_unlisted_metric_keeps_its_name():
    assert (measure("share").title, measure("share").percent) == ("Share", True)
    assert (measure("my_own_metric").title, measure("my_own_metric").better) == ("my own metric", "")


def test_estimate_in_running_text_has_two_digits_and_the_unit_of_its_metric():
    assert with_interval(an_estimate("rms_delta", 0.314, low=0.276, high=0.35)) == (
        "0.31 (95% interval 0.28 to 0.35)"
    )
    assert (
        with_interval(an_estimate("share", 0.25, low=0.2, high=0.3)) == "25.0% (95% interval 20.0% to 30.0%)"
    )


@pytest.mark.parametrize(
    ("metric", "ends", "cut"),
    [
        ("rms_delta", (-1.2, 0.5), (-1.0, 0.5)),
        ("share", (-0.5, 1.04), (-0.5, 1.0)),
        ("alignment", (-3.0, 4.0), (-3.0, 4.0)),
        ("excess_agreement", (-1.5, -1.1), (-1.0, -1.0)),
    ],
)
def test_difference_of_bounded_metrics_stays_between_minus_one_and_one(metric, ends, cut):
    assert possible(metric, *ends) == cut


def test_share_of_pairs_is_one_value_if_both_round_to_it_and_empty_if_unknown():
    assert share_of_pairs(0.414) == "41%"
    assert share_of_pairs(0.381, 0.439) == "38% to 44%"
    assert share_of_pairs(0.381, 0.379) == "38%"
    assert share_of_pairs(0.4, NAN) == ""


def test_matching_pairs_share_every_attribute():
    assert same_group("gender*tone*age") == "same perceived gender, skin tone and age"
    assert same_group("tone") == "same perceived skin tone"


def test_numbers_speak_of_what_was_resampled():
    fixed, drawn = (estimand(a_spec("base", resampled=parts)) for parts in ([], ["concepts", "templates"]))
    assert "about this list of concepts, in these sentences, drawn" in fixed
    assert "about concepts like these, in sentences like these, drawn" in drawn


def test_footing_says_where_a_correction_is_not_verified():
    naive, corrected = (an_estimate("rms_delta", 0.3, corrected=made) for made in (False, True))
    assert footing(naive, a_result("base")) == "not corrected for judge error"
    assert footing(corrected, a_result("base")) == "corrected for judge error (correction not verified)"


def test_every_band_has_a_title_and_a_meaning():
    assert set(BAND_TITLES) == set(BAND_TEXTS) == set(Band.__args__)
