"""Cells as texts, and names of metrics."""

import pytest

from evenhand.metrics.terms import KINDS, METRIC_TERMS, format_cell, parse_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("", {}),
        ("gender=woman", {"gender": "woman"}),
        ("gender=woman;race7=East Asian", {"gender": "woman", "race7": "East Asian"}),
    ],
)
def test_a_cell_reads_as_it_is_written(text, cell):
    assert parse_cell(text) == cell and format_cell(cell) == text


@pytest.mark.parametrize(
    "text",
    ["woman", "gender=", "=woman", "Gender=woman", "gender=woman;", "gender=a*b", "gender=a  b", "g=a=b"],
)
def test_another_text_is_an_error_that_shows_it(text):
    with pytest.raises(ValueError, match="cell must be attribute=group") as fault:
        parse_cell(text)
    assert str(fault.value).endswith(repr(text))


def test_an_attribute_named_twice_is_an_error():
    with pytest.raises(ValueError, match="must name each attribute once, got 'tone=dark;tone=light'"):
        parse_cell("tone=dark;tone=light")


def test_a_long_text_is_shortened_in_the_error():
    with pytest.raises(ValueError, match=r"xxx…'$"):
        parse_cell("x" * 61)


def test_kinds_that_are_shown_together_exist():
    assert {kind for terms in METRIC_TERMS.values() for kind in terms.kinds} <= set(KINDS)
