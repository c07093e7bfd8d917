"""Gates: the side effects that keep a method from being ranked."""

import math

import pytest
from helpers.report import NAN, a_result, an_estimate

from evenhand.bench.policy.gates import gate_outcomes, gates
from evenhand.bench.results.result import ComparisonRow


def a_method(label="mist", **values):
    """A result whose three gated numbers are ``(value, low, high)``, all on the attribute gender."""
    defaults = {"explicit_fidelity": (0.97, 0.96, 0.98), "undetermined": (0.02, 0.01, 0.03)}
    rows = [
        an_estimate(metric, value, attributes="gender", low=low, high=high)
        for metric, (value, low, high) in (defaults | {"over_correction": (0.05, 0.0, 0.1)} | values).items()
    ]
    return a_result(label, concepts=[]).model_copy(update={"estimates": rows, "comparisons": []})


BASE = a_method("base")


def test_method_equal_to_baseline_passes():
    assert gates(a_method(), BASE) == []


def test_baseline_passes_by_definition_even_without_measurements():
    empty = BASE.model_copy(update={"estimates": []})
    assert gates(empty, empty) == []


def test_fidelity_gate_uses_the_upper_end_of_the_interval_of_the_loss():
    # The drop is 3 points, its bound 3 + hypot(1, 4) = 7.1.
    (reason,) = gates(a_method(explicit_fidelity=(0.94, 0.90, 0.97)), BASE)
    assert reason == (
        "explicit fidelity for gender is 3.0 points below the baseline, and its 95% interval reaches "
        "7.1 points below (5 allowed)"
    )
    assert gates(a_method(explicit_fidelity=(0.94, 0.93, 0.95)), BASE) == []


def test_reason_of_a_gain_with_a_wide_interval_names_the_side_of_the_baseline():
    (reason,) = gates(a_method(explicit_fidelity=(0.979, 0.91, 0.99)), BASE)
    assert reason == (
        "explicit fidelity for gender is 0.9 points above the baseline, and its 95% interval reaches "
        "6.1 points below (5 allowed)"
    )


def test_paired_interval_is_preferred_to_independent_intervals():
    wide = a_method(explicit_fidelity=(0.94, 0.80, 0.99))
    keys = {"metric": "explicit_fidelity", "attributes": "gender", "judge": "panel", "corrected": False}
    paired = ComparisonRow.model_validate(
        keys
        | {"kind": "explicit", "against": "base", "value": -0.03, "low": -0.045, "high": -0.01, "p": 0.01}
    )
    assert len(gates(wide, BASE)) == 1
    assert gates(wide.model_copy(update={"comparisons": [paired]}), BASE) == []


@pytest.mark.parametrize(("rate", "failed"), [(0.0699, False), (0.0701, True)])
def test_undetermined_rate_may_rise_by_five_points(rate, failed):
    assert bool(gates(a_method(undetermined=(rate, rate, rate)), BASE)) is failed


@pytest.mark.parametrize(("rate", "failed"), [(0.0999, False), (0.1001, True)])
def test_over_correction_may_rise_by_five_points(rate, failed):
    assert bool(gates(a_method(over_correction=(rate, rate, rate)), BASE)) is failed


def test_improvements_pass_every_gate():
    better = a_method(explicit_fidelity=(1, 1, 1), undetermined=(0, 0, 0), over_correction=(0, 0, 0))
    assert gates(better, BASE) == []


def test_every_failed_gate_gives_its_reason():
    worst = a_method(
        explicit_fidelity=(0.5, 0.4, 0.6), undetermined=(0.3, 0.2, 0.4), over_correction=(0.9, 0.8, 1)
    )
    assert [reason.split(" for ")[0] for reason in gates(worst, BASE)] == [
        "explicit fidelity",
        "undetermined rate",
        "over-correction",
    ]


@pytest.mark.parametrize("metric", ["explicit_fidelity", "undetermined", "over_correction"])
def test_missing_or_undefined_metric_does_not_pass(metric):
    without = [row for row in BASE.estimates if row.metric != metric]
    for method in (
        a_method(**{metric: (NAN, NAN, NAN)}),
        a_method().model_copy(update={"estimates": without}),
    ):
        (reason,) = gates(method, BASE)
        assert "not measured for gender, so its gate cannot be checked" in reason
        assert [g.status for g in gate_outcomes(method, BASE)].count("unchecked") == 1


def test_attribute_with_the_largest_loss_decides():
    tone = [
        an_estimate("explicit_fidelity", value, attributes="tone", low=value, high=value)
        for value in (0.99, 0.7)
    ]
    base = BASE.model_copy(update={"estimates": [*BASE.estimates, tone[0]]})
    method = a_method()
    method = method.model_copy(update={"estimates": [*method.estimates, tone[1]]})
    (reason,) = gates(method, base)
    assert "explicit fidelity for skin tone" in reason


def test_corrected_estimates_are_only_compared_with_corrected_ones():
    row = an_estimate("over_correction", 0.9, attributes="gender", corrected=True)
    only_method = a_method().model_copy(update={"estimates": [*a_method().estimates, row]})
    assert gates(only_method, BASE) == []
    both = BASE.model_copy(update={"estimates": [*BASE.estimates, row.model_copy(update={"value": 0.1})]})
    assert len(gates(only_method, both)) == 1
    assert math.isclose(row.value, 0.9)
