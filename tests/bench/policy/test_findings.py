"""Findings: the rules decide what is found and how severe it is."""

import pytest
from helpers.losses import a_loss
from helpers.report import JOINT, a_comparison, a_result, an_estimate, gated

from evenhand.bench.policy.findings import HARMS, RULES, SEVERITIES, findings
from evenhand.bench.policy.gates import RULES as GATES
from evenhand.bench.policy.gates import gate_outcomes
from evenhand.bench.policy.thresholds import check
from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.title_block import Threshold
from evenhand.metrics.rows import CorrectionCheck, TransportRow

KEY = Key("rms_delta", JOINT, "panel", True)


def a_distance(low, high=1.0):
    return an_estimate("rms_delta", (low + high) / 2, attributes=JOINT, corrected=True, low=low, high=high)


def a_base(*rows, **parts):
    parts = {"agreement": [], "comparisons": [], "losses": []} | parts
    return a_result("base").model_copy(update={"estimates": list(rows), **parts})


def found(*results, thresholds=()):
    readings = [Reading.of(result) for result in results]
    outcomes = {r.spec.method.label: gate_outcomes(r, results[0]) for r in results}
    return findings(readings, KEY, outcomes, check(thresholds, readings))


def by_rule(rows, rule):
    return [row for row in rows if row.rule == rule]


@pytest.mark.parametrize(
    ("low", "severity"), [(0.6, "high"), (0.5, "medium"), (0.3, "medium"), (0.2, "low"), (0.01, "low")]
)
def test_severity_of_an_uneven_model_follows_the_lower_end_of_its_interval(low, severity):
    (row,) = by_rule(found(a_base(a_distance(low))), "Uneven depiction")
    assert (row.severity, row.subject) == (severity, "base")
    assert "n 1,600" in row.condition and "95% interval" in row.condition


def test_model_that_may_be_even_gives_no_finding():
    assert by_rule(found(a_base(a_distance(0.0))), "Uneven depiction") == []
    assert by_rule(found(a_base(a_distance(-0.02))), "Uneven depiction") == []


@pytest.mark.parametrize(("share", "severity"), [(0.05, "high"), (0.2, "medium"), (0.28, None)])
def test_rarest_group_is_found_where_its_whole_interval_is_below_four_fifths_of_the_target(share, severity):
    rest = (1 - share) / 2
    rows = [
        an_estimate("share", value, attributes="tone", group=group, low=value - 0.01, high=value + 0.01)
        for group, value in (("light", rest), ("medium", rest), ("dark", share))
    ]
    rare = by_rule(found(a_base(*rows)), "Rare group")
    assert [row.severity for row in rare] == [severity] * (severity is not None)
    assert all(row.condition.startswith("Dark (skin tone)") for row in rare)


def test_every_gate_has_a_consequence_and_a_recommendation():
    assert set(HARMS) == {rule.name for rule in GATES}


def test_proven_harm_is_high_and_an_open_gate_is_low():
    harmful = a_result("mist").model_copy(update={"losses": gated(over=0.31)})
    rows = found(a_base(a_distance(0.3)), harmful)
    (harm,) = by_rule(rows, "Harm by a method")
    assert (harm.subject, harm.severity) == ("mist", "high") and "rises by 31.0 points" in harm.condition
    wide = [a_loss("explicit fidelity", 0.0, half=0.2), *gated()[1:]]
    rows = found(a_base(a_distance(0.3)), a_result("mist").model_copy(update={"losses": wide}))
    (open_,) = by_rule(rows, "Gate not decided")
    assert (open_.severity, open_.condition) == (
        "low",
        "Explicit fidelity: neither passed nor proven harmful.",
    )


def test_only_a_method_that_passes_every_gate_is_recommended():
    better = a_comparison(-0.3)
    good = a_result("mist").model_copy(update={"losses": gated(), "comparisons": [better]})
    (row,) = by_rule(found(a_base(a_distance(0.3)), good), "Uneven depiction")
    assert row.recommendation.startswith("Consider mist")
    bad = good.model_copy(update={"losses": gated(over=0.31)})
    (row,) = by_rule(found(a_base(a_distance(0.3)), bad), "Uneven depiction")
    assert row.recommendation.startswith("Do not rely on a method")


def test_threshold_that_is_not_met_is_one_high_finding_with_every_method():
    limit = Threshold(metric="rms_delta", attributes=JOINT, at_most=0.2, why="agreed")
    results = [a_base(a_distance(0.5, 0.6)), a_result("mist").model_copy(update={"losses": gated()})]
    (row,) = by_rule(found(*results, thresholds=[limit]), "Threshold")
    assert (row.severity, row.subject) == ("high", "base and mist")
    assert row.criteria == "At most 0.2, fixed beforehand: agreed."
    met = limit.model_copy(update={"at_most": 1.0})
    assert by_rule(found(*results, thresholds=[met]), "Threshold") == []


@pytest.mark.parametrize(("alpha", "severity"), [(0.6, "medium"), (0.7, "low"), (0.9, None)])
def test_agreement_of_the_judges_is_a_finding_below_the_conventions_of_krippendorff(alpha, severity):
    rows = [row.model_copy(update={"value": alpha}) for row in a_result("base").agreement]
    got = by_rule(found(a_base(agreement=rows)), "Agreement")
    assert [row.severity for row in got] == [severity] * (severity is not None)


@pytest.mark.parametrize(("share", "severity"), [(0.3, "medium"), (0.06, "low"), (0.05, None)])
def test_images_without_a_label_are_a_finding(share, severity):
    got = by_rule(
        found(a_base(an_estimate("undetermined", share, attributes="gender"))), "Undetermined images"
    )
    assert [row.severity for row in got] == [severity] * (severity is not None)


def test_findings_are_sorted_by_severity_and_every_rule_is_stated():
    rows = found(a_base(a_distance(0.6)), a_result("mist").model_copy(update={"losses": gated(over=0.31)}))
    order = [SEVERITIES.index(row.severity) for row in rows]
    assert order == sorted(order)
    assert {row.rule for row in rows} <= {name for name, _ in RULES}
    assert all(
        getattr(row, part) for row in rows for part in ("condition", "criteria", "cause", "consequence")
    )


def test_corrected_numbers_without_labels_of_people_are_a_finding():
    (row,) = by_rule(found(a_base(a_distance(0.3))), "Correction")
    assert row.severity == "medium" and "evenhand annotate plan" in row.recommendation


def test_correction_that_labels_contradict_for_one_method_is_a_finding_about_it():
    verified = CorrectionCheck(labelled={"base": 400, "mist": 400}, tests=[])
    wrong = TransportRow(
        test="baseline", attribute="gender", group="man", rates={"base": 0.9, "images": 0.6}, n=400, p=0.001
    )
    contradicted = verified.model_copy(update={"tests": [wrong]})
    base = a_base(a_distance(0.3), correction_check=verified)
    method = a_result("mist").model_copy(
        update={"estimates": [a_distance(0.1)], "correction_check": contradicted}
    )
    assert by_rule(found(base), "Correction") == []
    (row,) = by_rule(found(base, method), "Correction")
    assert row.condition.startswith("mist: correction not verified: labels of people contradict it")
