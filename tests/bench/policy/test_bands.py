"""Bands: harm that is proven outweighs what is unchecked, and that what is not proven."""

import pytest

from evenhand.bench.policy.bands import band
from evenhand.bench.policy.gates import Gate


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "ranked"),
        (["passed", "passed"], "ranked"),
        (["passed", "not proven"], "not proven"),
        (["not proven", "unchecked"], "unchecked"),
        (["unchecked", "harm proven", "not proven"], "harm proven"),
    ],
)
def test_worst_gate_decides_the_band(statuses, expected):
    assert band([Gate("a gate", status, "a reason") for status in statuses]) == expected
