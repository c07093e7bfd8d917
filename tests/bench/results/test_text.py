"""Numbers, names and lists as readers see them."""

import doctest
import math

import pytest

from evenhand.bench.results import text


def test_the_examples_in_the_docstrings_are_correct():
    assert doctest.testmod(text).failed == 0


@pytest.mark.parametrize(
    ("value", "options", "shown"),
    [
        (0.31174, {}, "0.312"),
        (-0.31174, {}, "−0.312"),
        (-0.0004, {}, "0.000"),
        (12.34, {}, "12.3"),
        (0.9642, {"percent": True}, "96.4%"),
        (-0.00001, {"percent": True}, "0.0%"),
        (0.31174, {"digits": 2}, "0.31"),
        (math.inf, {}, "∞"),
        (-math.inf, {}, "−∞"),
        (math.nan, {}, "not estimable"),
    ],
)
def test_numbers_have_fixed_digits_and_a_real_minus_sign(value, options, shown):
    assert text.number(value, **options) == shown


def test_an_interval_without_an_end_is_empty():
    assert text.interval(0.28, 0.345) == "0.280 to 0.345"
    assert text.interval(-0.1, 0.1, percent=True) == "−10.0% to 10.0%"
    assert text.interval(math.nan, 0.3) == text.interval(0.3, math.nan) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (112, "112th"),
    ],
)
def test_ordinals_follow_english(value, shown):
    assert text.ordinal(value) == shown


def test_counts_and_lists():
    assert text.plural(1, "method") == "1 method" and text.plural(1200, "method") == "1,200 methods"
    assert text.plural(2, "entry", "entries") == "2 entries"
    assert [text.listing(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert text.listing(["a", "b"], joint="or") == "a or b"


def test_attributes_and_cells_have_titles():
    assert text.attribute("gender*tone") == "gender × skin tone" and text.cell("woman*dark") == "woman × dark"
    assert text.sentence("some MIST") == "Some MIST" and text.sentence("") == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3599.6, "1 h 0 min"),
        (3780, "1 h 3 min"),
    ],
)
def test_durations_are_rounded_before_they_are_split(seconds, shown):
    assert text.seconds(seconds) == shown


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (5 * 10**12, "5000.0 GB")],
)
def test_sizes_are_in_the_largest_fitting_unit(bytes_, shown):
    assert text.size(bytes_) == shown


def test_slugs_are_safe_in_file_names():
    assert text.slug("MIST: step=0.3 / é") == "mist-step-0.3" and text.slug("../..") == ""


def test_columns_are_as_wide_as_their_widest_cell():
    assert text.aligned(["a", "b"], [["long", "x"], ["", "y"]]) == ["a     b", "long  x", "      y"]
