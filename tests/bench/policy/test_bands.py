"""Bands: which gate decides, and its reason in a few words."""

import pytest
from helpers.losses import a_loss

from evenhand.bench.policy.bands import band, change, why_not_ranked
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


def a_gate(name, status, value=0.0, **changes):
    return Gate(name, status, "a reason", a_loss(name, value, **changes))


def test_a_ranked_method_has_no_reason():
    assert why_not_ranked([a_gate("alignment", "passed")]) == ""


def test_of_several_harms_the_one_furthest_beyond_its_margin_is_named():
    harms = [
        a_gate("alignment", "harm proven", 0.3),
        a_gate("explicit fidelity", "harm proven", 0.25),
        a_gate("undetermined rate", "not proven", needed=9e9),
    ]
    assert why_not_ranked(harms) == "explicit fidelity −25.0 points"
    assert why_not_ranked(harms[:1]) == "alignment −30.0%"


def test_a_harm_to_one_group_names_it():
    harm = a_gate("explicit fidelity", "harm proven", 0.5, group="woman")
    assert why_not_ranked([harm]) == "explicit fidelity of woman −50.0 points"


def test_of_several_open_gates_the_one_that_lacks_most_images_is_named():
    gates = [
        a_gate("explicit fidelity", "not proven", needed=800.0),
        a_gate("over-correction", "not proven", needed=4000.0),
    ]
    assert why_not_ranked(gates) == "needs about 4,000 over-correction images"


def test_the_images_asked_for_are_those_of_prompts_that_name_the_attribute_or_group():
    of_attribute = a_gate("explicit fidelity", "not proven", needed=1852.0, attributes="gender")
    assert why_not_ranked([of_attribute]) == "needs about 1,852 explicit images for gender"
    of_group = a_gate("explicit fidelity", "not proven", needed=3155.0, attributes="tone", group="medium")
    assert why_not_ranked([of_group]) == "needs about 3,155 explicit images for medium (skin tone)"


def test_no_number_of_images_decides_a_loss_of_exactly_the_margin():
    gate = a_gate("explicit fidelity", "not proven", needed=float("inf"))
    assert why_not_ranked([gate]) == "explicit fidelity: the loss is exactly what is allowed"


def test_a_gate_without_numbers_says_so():
    assert why_not_ranked([Gate("alignment", "unchecked", "a reason")]) == "alignment not measured"


@pytest.mark.parametrize(
    ("gate", "value", "text"),
    [
        ("explicit fidelity", 0.12, "−12.0 points"),
        ("explicit fidelity", -0.02, "+2.0 points"),
        ("undetermined rate", 0.46, "+46.0 points"),
        ("alignment", 0.0, "0.0%"),
        ("alignment", -0.0001, "0.0%"),
    ],
)
def test_a_loss_is_written_as_a_change(gate, value, text):
    assert change(a_loss(gate, value)) == text
