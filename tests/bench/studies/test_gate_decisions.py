"""How often the gate of explicit fidelity decides rightly on the explicit prompts of ``mini``."""

import numpy as np
import pytest

from evenhand.bench.studies.gate_decisions import (
    CASES,
    Case,
    asked,
    decisions,
    fidelity_intervals,
    statuses,
    until_decided,
)

FAST, FULL = 60, 1000
SAME, NO_LOSS, EVERYWHERE, _, HIDDEN, LARGE = CASES
sizes = pytest.mark.parametrize("methods", [FAST, pytest.param(FULL, marks=pytest.mark.slow)])


def share(case, *, methods, status="passed"):
    found = [statuses(case, methods=methods // 5, seed=seed) for seed in range(5)]
    return float((np.concatenate(found) == status).mean())


def finally_decided(case, *, methods):
    runs = [until_decided(case, methods=methods // 5, seed=seed) for seed in range(5)]
    return tuple(np.concatenate(parts) for parts in zip(*runs, strict=True))


def test_method_with_identical_labels_passes_at_420_prompts():
    assert len(asked(1)) == 420
    assert share(SAME, methods=10) == 1.0


@sizes
def test_method_without_a_loss_passes_at_420_prompts_despite_independent_noise(methods):
    assert 0.78 <= share(NO_LOSS, methods=methods) <= 1


@sizes
def test_method_without_a_loss_is_decided_after_few_images(methods):
    found, prompts = finally_decided(NO_LOSS, methods=methods)
    assert (found == "passed").mean() >= 0.99
    assert 420 <= prompts.mean() <= 760


@sizes
def test_loss_of_five_points_in_every_attribute_hardly_ever_passes(methods):
    assert share(EVERYWHERE, methods=methods) <= 0.005


@pytest.mark.parametrize("attribute", ["gender", "tone", "age"])
@sizes
def test_loss_of_five_points_in_one_attribute_passes_in_at_most_five_percent(attribute, methods):
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / methods)
    assert share(Case("", loss=0.05, attributes=(attribute,)), methods=methods) <= limit


@pytest.mark.slow
def test_loss_of_five_points_in_one_attribute_passes_in_at_most_five_percent_over_all_looks():
    found, _ = finally_decided(Case("", loss=0.05, attributes=("tone",)), methods=FULL)
    assert (found == "passed").mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / FULL)


@sizes
def test_loss_in_a_group_that_is_not_the_worst_does_not_pass(methods):
    assert share(HIDDEN, methods=methods) <= 0.2


@sizes
def test_large_loss_is_proven(methods):
    assert share(LARGE, methods=methods, status="harm proven") >= 0.95


@sizes
def test_harm_is_proven_of_a_harmless_method_in_at_most_five_percent(methods):
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / methods)
    assert share(EVERYWHERE, methods=methods, status="harm proven") <= limit


@pytest.mark.slow
def test_table_has_a_row_for_every_case():
    table = decisions(methods=10, baselines=5).set_index("true loss")
    assert list(table.index) == [case.name for case in CASES]
    assert table["explicit prompts, mean"].between(420, 3360).all()
    # The number of prompts does not vary where all methods stop at the first look.
    assert table.loc[[SAME.name, LARGE.name], "standard error"].eq(0).all()
    assert table.loc[NO_LOSS.name, "standard error"] > 0


@sizes
def test_intervals_of_the_worst_group_and_of_the_gap_cover(methods):
    rows = list(fidelity_intervals(methods, draws=500))
    assert len(rows) == methods * 2 * 3 * (len(CASES) - 1)
    truths = {(row["design"].split(": ")[1], row["metric"], row["attributes"]): row["truth"] for row in rows}
    women = "8.5 points for women"
    assert truths[women, "explicit_fidelity", "gender"] == pytest.approx(0.885)
    assert truths[women, "fidelity_gap", "gender"] == pytest.approx(0.085)
    assert truths[women, "explicit_fidelity", "age"] == 0.97 and truths[women, "fidelity_gap", "age"] == 0
    covers = [row["low"] - 1e-9 <= row["truth"] <= row["high"] + 1e-9 for row in rows]
    assert np.mean(covers) >= 0.95
