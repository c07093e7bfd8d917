"""Marks: a tick is proven, a cross is proven otherwise, and everything else is a question mark."""

import math

import pytest
from helpers.losses import QUANTITIES, a_loss, losses
from helpers.report import CELLS, JOINT, NAN, a_comparison, a_result, a_spec, an_estimate

from evenhand.bench.policy.marks import EVEN, change_in_evenness, marks
from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.lookup import Reading, primary_key

BASE = a_result("base", concepts=["nurse"]).model_copy(update={"losses": [], "comparisons": []})


def marks_of(*results, base=BASE):
    """The marks of the results beside the baseline, by label."""
    every = [*([base] if base else []), *results]
    readings = [Reading.of(result) for result in every]
    return marks(readings, primary_key(readings), Outcomes.of(every).gates)


def a_method(**parts):
    return a_result("mist", concepts=["nurse"]).model_copy(update={"losses": losses()} | parts)


def changed(low, high):
    return a_comparison((low + high) / 2).model_copy(update={"low": low, "high": high})


@pytest.mark.parametrize(
    ("low", "high", "sign"),
    [(-0.3, -0.1, "yes"), (-0.3, 0.0, "open"), (-0.1, 0.1, "open"), (0.0, 0.2, "open"), (0.1, 0.3, "no")],
)
def test_more_even_is_decided_by_the_paired_interval(low, high, sign):
    found = marks_of(a_method(comparisons=[changed(low, high)]))["mist"].even
    assert found.sign == sign
    # Two images of one concept agree by chance in 1 of 12 pairs, so that 11/12 of a point is left.
    assert found.low == pytest.approx(100 * low * 11 / 12)
    assert found.high == pytest.approx(100 * high * 11 / 12)


def test_a_change_is_never_outside_the_possible_range():
    found = change_in_evenness(changed(-1.2, -0.4), a_spec("mist"))
    assert found.low == pytest.approx(-100 * 11 / 12)


def test_uneven_target_has_no_points_of_pairs():
    target = {cell: (2 if cell.startswith("woman") else 1) / 18 for cell in CELLS}
    found = change_in_evenness(changed(-0.3, -0.1), a_spec("mist", target=target))
    assert (found.unit, found.low, found.high) == ("", -0.3, -0.1)


@pytest.mark.parametrize("gate", QUANTITIES)
@pytest.mark.parametrize(
    ("shift", "half", "sign"), [(-0.05, 0.02, "yes"), (0.0, 0.02, "open"), (0.05, 0.02, "no")]
)
def test_each_gate_decides_one_of_the_other_two_marks(gate, shift, half, sign):
    row = a_loss(gate, QUANTITIES[gate][3] + shift, half=half)
    found = marks_of(a_method(losses=losses(**{gate.replace(" ", "_").replace("-", "_"): row})))["mist"]
    mine, other = (
        (found.explicit, found.rest) if gate == "explicit fidelity" else (found.rest, found.explicit)
    )
    assert (mine.sign, other.sign) == (sign, "yes")


@pytest.mark.parametrize("lost", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("over", [0.0, 0.05, 0.5])
def test_a_method_is_ranked_exactly_where_both_are_ticks(lost, over):
    rows = losses(
        explicit_fidelity=a_loss("explicit fidelity", lost), over_correction=a_loss("over-correction", over)
    )
    method = a_method(losses=rows)
    found = marks_of(method)["mist"]
    ranked = Outcomes.of([BASE, method]).bands["mist"] == "ranked"
    assert ranked == (found.explicit.sign == found.rest.sign == "yes")


def test_a_proven_harm_hides_no_other_gate_and_names_its_quantity():
    rows = losses(
        over_correction=a_loss("over-correction", 0.3), undetermined_rate=a_loss("undetermined rate", 0.05)
    )
    found = marks_of(a_method(losses=rows))["mist"].rest
    assert (found.sign, found.what, found.value) == ("no", "over-correction", pytest.approx(30))


def test_losses_are_written_as_changes():
    rows = losses(
        explicit_fidelity=a_loss("explicit fidelity", 0.14, half=0.1, group="woman"),
        alignment=a_loss("alignment", 0.12, half=0.01),
    )
    found = marks_of(a_method(losses=rows))["mist"]
    assert (found.explicit.what, found.explicit.unit) == ("woman", "points")
    assert [found.explicit.value, found.explicit.low, found.explicit.high] == pytest.approx([-14, -24, -4])
    assert (found.rest.what, found.rest.unit, found.rest.value) == ("alignment", "%", pytest.approx(-12))


def test_what_was_not_measured_is_a_question_mark():
    found = marks_of(a_method(losses=[], comparisons=[]))["mist"]
    assert [mark.sign for mark in found] == ["open"] * 3
    assert all(math.isnan(mark.value) for mark in found)


def test_the_baseline_that_others_are_compared_with_has_no_marks():
    assert set(marks_of(a_method())) == {"mist"}


@pytest.mark.parametrize(
    ("low", "high", "sign"),
    [
        (0.0, EVEN - 0.01, "yes"),
        (0.0, EVEN, "open"),
        (0.02, EVEN + 0.1, "open"),
        (EVEN, 0.3, "no"),
        (NAN, NAN, "open"),
    ],
)
def test_a_model_alone_is_even_within_the_margin_or_proven_uneven(low, high, sign):
    row = an_estimate("rms_delta", 0.05, attributes=JOINT, corrected=True, low=low, high=high)
    alone = BASE.model_copy(update={"estimates": [row]})
    assert marks_of(base=alone)["base"].even.sign == sign


@pytest.mark.parametrize(
    ("low", "high", "sign"), [(0.91, 0.99, "yes"), (0.6, 0.99, "open"), (0.4, 0.7, "open"), (0.1, 0.4, "no")]
)
def test_explicit_fidelity_of_a_model_alone_is_doubted_before_it_is_denied(low, high, sign):
    rows = [
        an_estimate("explicit_fidelity", 0.95, attributes="tone", kind="explicit", low=0.92, high=0.98),
        an_estimate(
            "explicit_fidelity", (low + high) / 2, attributes="gender", kind="explicit", low=low, high=high
        ),
    ]
    found = marks_of(base=BASE.model_copy(update={"estimates": rows}))["base"].explicit
    assert found.sign == sign


@pytest.mark.parametrize(("low", "high", "sign"), [(0, 0.04, "yes"), (0.01, 0.2, "open"), (0.06, 0.2, "no")])
def test_a_model_alone_can_be_labelled_if_few_images_are_undetermined(low, high, sign):
    row = an_estimate("undetermined", 0.03, attributes="gender", low=low, high=high)
    assert marks_of(base=BASE.model_copy(update={"estimates": [row]}))["base"].rest.sign == sign
