"""Gates: what the losses of a method must exclude for it to be ranked."""

import math

import pytest
from helpers.losses import QUANTITIES, a_loss, losses
from helpers.report import NAN, a_result

from evenhand.bench.policy.gates import explicit_undecided, fidelity_loss, gate_outcomes
from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.lookup import Reading

FIDELITY = "explicit fidelity"


def a_method(*rows, label="mist", **given):
    """A method that passes every gate, but for the rows given."""
    return a_result(label, concepts=[]).model_copy(update={"losses": [*losses(**given), *rows]})


BASE = a_result("base", concepts=[]).model_copy(update={"losses": []})


def status(method, gate):
    return {found.name: found.status for found in gate_outcomes(method, BASE)}[gate]


def gates(method, base):
    """The reasons of the gates that are not passed."""
    return [gate.reason for gate in gate_outcomes(method, base) if gate.status != "passed"]


def test_method_without_a_loss_passes_every_gate():
    assert gates(a_method(), BASE) == []
    assert [gate.name for gate in gate_outcomes(a_method(), BASE)] == list(QUANTITIES)


def test_baseline_passes_by_definition_even_without_measurements():
    assert gates(BASE, BASE) == []


@pytest.mark.parametrize("gate", QUANTITIES)
def test_upper_bound_must_be_below_the_margin(gate):
    margin = QUANTITIES[gate][3]
    at = {"high": margin, "low": 0.0}
    assert status(a_method(a_loss(gate, 0.0, **at)), gate) == "not proven"
    assert status(a_method(a_loss(gate, 0.0, **at | {"high": margin - 1e-6})), gate) == "passed"


@pytest.mark.parametrize("gate", QUANTITIES)
def test_harm_is_proven_by_the_lower_bound_and_not_by_the_estimate(gate):
    margin = QUANTITIES[gate][3]
    beyond = {"value": margin + 0.03, "high": margin + 0.1}
    assert status(a_method(a_loss(gate, **beyond, low=margin - 0.01)), gate) == "not proven"
    assert status(a_method(a_loss(gate, **beyond, low=margin + 0.01)), gate) == "harm proven"


@pytest.mark.parametrize("gate", QUANTITIES)
def test_missing_or_undefined_loss_does_not_pass(gate):
    method = a_method()
    without = method.model_copy(update={"losses": [r for r in method.losses if r != a_loss(gate)]})
    for one in (without, a_method(a_loss(gate, low=NAN, high=NAN))):
        assert status(one, gate) == "unchecked"
        assert gates(one, BASE) == [f"{gate} not measured, so its gate cannot be checked"]


def test_loss_in_a_single_group_counts_against_the_margin_of_groups():
    group = {"group": "woman", "margin": 0.10}
    assert status(a_method(a_loss(FIDELITY, 0.06, high=0.09, **group)), FIDELITY) == "passed"
    assert status(a_method(a_loss(FIDELITY, 0.085, high=0.12, **group)), FIDELITY) == "not proven"


def test_reason_of_a_gate_not_proven_says_how_many_images_would_decide():
    row = a_loss(FIDELITY, 0.011, high=0.061, attributes="tone", needed=911.0, n=280)
    assert gates(a_method(row), BASE) == [
        "explicit fidelity for skin tone falls by 1.1 points (at most 6.1, 5 allowed); about 911 such images "
        "would decide, 280 were compared"
    ]


def test_the_row_that_lacks_most_images_is_the_one_reported():
    rows = [
        a_loss(FIDELITY, 0.01, high=0.051, attributes="tone", needed=500.0),
        a_loss(FIDELITY, 0.04, high=0.055, attributes="age", needed=5000.0),
        a_loss(FIDELITY, 0.0, high=0.04, attributes="gender", needed=math.inf),
    ]
    (reason,) = gates(a_method(*rows), BASE)
    assert reason.startswith("explicit fidelity for age falls by 4.0 points") and "about 5,000" in reason


def test_reason_of_a_proven_harm_gives_the_lower_bound_where_it_is_largest():
    rows = [
        a_loss(FIDELITY, 0.08, low=0.06, high=0.1),
        a_loss(FIDELITY, 0.4, low=0.3, high=0.5, attributes="tone", group="dark", margin=0.1),
    ]
    assert gates(a_method(*rows), BASE) == [
        "explicit fidelity for dark (skin tone) falls by 40.0 points (at least 30.0, 10 allowed)"
    ]


def test_reason_of_a_gain_names_its_direction():
    row = a_loss(FIDELITY, -0.009, high=0.061)
    (reason,) = gates(a_method(row), BASE)
    assert reason.startswith("explicit fidelity for gender rises by 0.9 points (at most 6.1, 5 allowed)")


@pytest.mark.parametrize(
    ("gate", "value", "text"),
    [
        ("undetermined rate", 0.2, "undetermined rate for gender on neutral prompts rises by 20.0 points"),
        ("over-correction", 0.2, "over-correction rises by 20.0 points"),
        ("alignment", 0.8, "alignment on neutral prompts falls by 80.0%"),
        ("unrelated images", 0.8, "unrelated images: alignment falls by 80.0%"),
    ],
)
def test_every_gate_says_what_it_protects(gate, value, text):
    (reason,) = gates(a_method(a_loss(gate, value)), BASE)
    assert reason.startswith(text)


def test_loss_of_exactly_the_margin_is_never_decided():
    (reason,) = gates(a_method(a_loss(FIDELITY, 0.05, needed=math.inf)), BASE)
    assert reason.endswith("no number of images would decide a loss of exactly what is allowed")


def test_more_explicit_images_are_asked_for_only_where_they_may_decide():
    assert explicit_undecided(a_method(a_loss(FIDELITY, 0.0, high=0.06)), BASE)
    assert not explicit_undecided(a_method(), BASE)
    assert not explicit_undecided(a_method(a_loss(FIDELITY, 0.3)), BASE)
    assert not explicit_undecided(a_method(a_loss("alignment", 0.09)), BASE)
    assert not explicit_undecided(a_method().model_copy(update={"losses": []}), BASE)
    assert not explicit_undecided(BASE, BASE)


def test_fidelity_loss_of_the_trade_off_is_the_attribute_with_the_largest_bound():
    rows = [
        a_loss(FIDELITY, 0.03, low=0.01, high=0.06, attributes="tone"),
        a_loss(FIDELITY, 0.2, group="woman", margin=0.1),
    ]
    found = fidelity_loss(Reading.of(a_method(*rows)), Reading.of(BASE))
    assert (found.value, found.low, found.high) == (0.03, 0.01, 0.06)
    none = fidelity_loss(Reading.of(BASE), Reading.of(BASE))
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)
    unmeasured = fidelity_loss(Reading.of(BASE), Reading.of(a_method()))
    assert math.isnan(unmeasured.value) and math.isnan(unmeasured.high)


def test_a_run_without_enough_images_is_not_called_harmful():
    few = a_method(a_loss(FIDELITY, 0.0, high=0.06))
    outcomes = Outcomes.of([BASE, few, a_method(a_loss(FIDELITY, 0.3), label="uce")])
    assert outcomes.bands == {"base": "ranked", "mist": "not proven", "uce": "harm proven"}
    assert {label for label, reasons in outcomes.failures.items() if reasons} == {"mist", "uce"}
