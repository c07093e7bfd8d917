"""Ranges and choices of parameters."""

import pytest

from evenhand.methods.space import Choice, Range


@pytest.mark.parametrize("wrong", [{"low": 1.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True}])
def test_a_range_without_room_is_refused(wrong):
    with pytest.raises(ValueError, match="low < high"):
        Range(**wrong)


def test_a_range_contains_its_ends_and_numbers_only():
    scale = Range(low=0.5, high=2)
    assert 0.5 in scale and 2 in scale and 1 in scale
    assert 0.499 not in scale and 2.001 not in scale
    assert "1" not in scale and float("nan") not in scale


def test_a_choice_contains_its_values_and_needs_two():
    assert "kv" in Choice(("k", "kv")) and "v" not in Choice(("k", "kv"))
    with pytest.raises(ValueError, match="at least two values"):
        Choice(("kv",))
