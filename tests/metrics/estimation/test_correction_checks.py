"""Checks of a correction on simulated labels by people, for judges whose errors are known."""

import numpy as np
import pandas as pd
import pytest

from evenhand.bench.studies.warnings import GROUPS, MISSES_MEDIUM, SHARP, confusion, sampled
from evenhand.metrics.estimation.correction_checks import CheckPlan, correction_checks


def world(rng, judges, *, n=600, labelled=300):
    """Images, panel labels and labels of people of some methods: method to the matrix of the judge."""
    return sampled(rng, judges, images=n, labelled=labelled)


def checks(tables, *, calibrated=SHARP, **more):
    settings = {"other_images": True, "base": "base", "draws": 200, "seed": 0} | more
    plan = CheckPlan(taxonomy={"tone": GROUPS}, confusion=confusion(calibrated), **settings)
    return correction_checks(*tables, plan=plan)


def failed(check):
    return {(row.test, row.group) for row in check.tests if row.p < 0.05}


def test_a_table_that_misses_errors_on_these_images_is_contradicted():
    tables = world(np.random.default_rng(0), {"base": MISSES_MEDIUM}, n=2000, labelled=1000)
    found = checks(tables)["base"]
    assert ("calibration", "medium") in failed(found)
    assert any(row.test == "shares" and row.p < 0.05 for row in found.tests)
    (row,) = (row for row in found.tests if (row.test, row.group) == ("calibration", "medium"))
    assert row.rates == pytest.approx({"calibration": 0.998, "these images": 0.87}, abs=0.05)
    fitting = checks(tables, calibrated=MISSES_MEDIUM)["base"]
    assert failed(fitting) == set()


def test_errors_that_only_the_edited_images_have_are_found_for_the_method_alone():
    tables = world(np.random.default_rng(0), {"base": SHARP, "mist": MISSES_MEDIUM})
    found = checks(tables)
    assert failed(found["base"]) == set()
    assert {("baseline", "medium"), ("calibration", "medium")} <= failed(found["mist"])


@pytest.mark.slow
def test_the_checks_of_a_method_keep_their_level_together():
    rng = np.random.default_rng(1)
    wrong = [failed(checks(world(rng, {"base": MISSES_MEDIUM}), calibrated=MISSES_MEDIUM)["base"])]
    for _ in range(24):
        tables = world(rng, {"base": MISSES_MEDIUM}, n=300, labelled=150)
        wrong.append(failed(checks(tables, calibrated=MISSES_MEDIUM)["base"]))
    assert sum(map(bool, wrong)) <= 4


def test_a_table_measured_on_these_images_is_not_compared_with_itself():
    tables = world(np.random.default_rng(0), {"base": SHARP})
    tests = {row.test for row in checks(tables, other_images=False)["base"].tests}
    assert "calibration" not in tests
    assert {"kind", "shares"} <= tests


def test_labelled_images_are_counted_on_both_sides_and_for_the_rarest_attribute():
    images, answers, truth = world(np.random.default_rng(0), {"base": SHARP, "mist": SHARP}, n=20, labelled=9)
    truth = truth[truth["key"] != "mist-0"]
    found = checks((images, answers, truth))
    assert found["base"].labelled == {"base": 9}
    assert found["mist"].labelled == {"base": 9, "mist": 8}
    plan = CheckPlan({"tone": GROUPS, "age": ("a", "b")}, confusion(SHARP), True, None, 100, 0)
    assert correction_checks(images, answers, truth, plan=plan)["mist"].labelled == {"mist": 0}


def test_images_that_a_method_shares_with_the_baseline_are_not_compared_with_themselves():
    images, answers, truth = world(np.random.default_rng(0), {"base": SHARP}, n=40, labelled=40)
    shared = images.assign(method="prompt")
    found = checks((pd.concat([images, shared]), answers, truth))["prompt"]
    assert "baseline" not in {row.test for row in found.tests}


def test_weighted_labels_are_compared_with_weights():
    """Images labelled medium were sampled five times as often: without weights recall would look lower."""
    rng = np.random.default_rng(2)
    images, answers, truth = world(rng, {"base": MISSES_MEDIUM}, n=3000, labelled=3000)
    said = answers.set_index("key")["label"].reindex(truth["key"]).to_numpy()
    probability = np.where(said == "medium", 0.1, 0.5)
    drawn = truth.assign(probability=probability)[rng.random(len(truth)) < probability]
    found = checks((images, answers, drawn), calibrated=MISSES_MEDIUM)["base"]
    assert failed(found) == set()
    unweighted = checks((images, answers, drawn.drop(columns="probability")), calibrated=MISSES_MEDIUM)
    assert ("calibration", "medium") in failed(unweighted["base"])
