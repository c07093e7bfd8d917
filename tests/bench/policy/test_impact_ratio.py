"""Impact ratios: the example of the rules, small categories, unknowns, and what the intervals allow."""

import pytest
from helpers.report import a_result, an_estimate

from evenhand.bench.policy.impact_ratio import impact_ratios
from evenhand.bench.results.lookup import Reading


def a_reading(shares, *, half=0.01, unknown=0.0, attributes="tone"):
    rows = [
        an_estimate(
            "share", share, attributes=attributes, group=group, low=share - half, high=share + half, n=500
        )
        for group, share in shares.items()
    ]
    rows.append(an_estimate("undetermined", unknown, attributes=attributes, n=520))
    return Reading.of(a_result("base").model_copy(update={"estimates": rows}))


def test_ratio_is_the_share_divided_by_the_largest_share():
    # Selection rates 0.48, 0.20 and 0.32 give impact ratios 1, 0.42 and 0.67.
    found = impact_ratios(a_reading({"light": 0.48, "medium": 0.20, "dark": 0.32}), "tone")
    assert [round(category.ratio, 2) for category in found.categories] == [1.0, 0.42, 0.67]
    assert [category.side for category in found.categories] == ["highest", "below", "below"]


def test_four_fifths_are_missed_only_where_both_intervals_say_so():
    wide = impact_ratios(a_reading({"light": 0.40, "medium": 0.30, "dark": 0.30}, half=0.05), "tone")
    assert [category.side for category in wide.categories] == ["highest", "undecided", "undecided"]
    assert wide.categories[1].low == pytest.approx(0.25 / 0.45)
    even = impact_ratios(a_reading({"light": 0.34, "medium": 0.33, "dark": 0.33}), "tone")
    assert [category.side for category in even.categories] == ["highest", "above", "above"]


def test_small_categories_are_marked_and_kept_and_unknown_images_are_counted():
    found = impact_ratios(a_reading({"light": 0.97, "medium": 0.019, "dark": 0.02}, unknown=0.05), "tone")
    assert [category.small for category in found.categories] == [False, True, False]
    assert (found.known, found.unknown) == (500, 26)


def test_intersections_are_categories_too():
    shares = {"woman*adult": 0.4, "woman*older": 0.1, "man*adult": 0.4, "man*older": 0.1}
    found = impact_ratios(a_reading(shares, attributes="gender*age"), "gender*age")
    assert [category.name for category in found.categories] == list(shares)


def test_nothing_measured_gives_no_table():
    assert impact_ratios(a_reading({}), "tone") is None
