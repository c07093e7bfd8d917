"""A correction is called verified only with 300 labelled images on both sides that do not contradict it."""

import pytest
from helpers.report import a_result, an_estimate

from evenhand.bench.policy.correction import correction_notes, correction_status
from evenhand.metrics.rows import CorrectionCheck, TransportRow

CORRECTED = an_estimate("rms_delta", 0.3, corrected=True)


def a_test(p, **changes):
    rates = {"calibration": 0.999, "these images": 0.873}
    row = TransportRow(test="calibration", attribute="tone", group="medium", rates=rates, n=90, p=p)
    return row.model_copy(update=changes)


def result(labelled, *tests, estimates=(CORRECTED,)):
    check = None if labelled is None else CorrectionCheck(labelled=labelled, tests=list(tests))
    changes = {"estimates": list(estimates), "correction_check": check}
    return a_result("mist").model_copy(update=changes)


def test_enough_labels_that_agree_verify_the_correction():
    status, sentence = correction_status(
        result({"base": 300, "mist": 320}, a_test(0.2), a_test(float("nan")))
    )
    assert status == "verified"
    assert sentence == "correction verified with labels of people (300 of base, 320 of mist)"


@pytest.mark.parametrize("labelled", [{"base": 299, "mist": 320}, {"base": 320, "mist": 0}])
def test_too_few_labels_on_one_side_verify_nothing(labelled):
    status, sentence = correction_status(result(labelled, a_test(0.2)))
    assert status == "not verified"
    assert f"({labelled['base']} of base, {labelled['mist']} of mist), 300 of each are needed" in sentence


def test_labels_that_contradict_the_correction_are_named():
    shares = a_test(
        0.001, test="shares", kind="explicit", group="dark", rates={"corrected": 0.2, "labelled": 0.3}
    )
    status, sentence = correction_status(result({"base": 400, "mist": 400}, a_test(0.01), shares))
    assert status == "not verified"
    assert sentence == (
        "correction not verified: labels of people contradict it (share of medium labelled right: "
        "calibration 100%, these images 87%; share of dark on explicit prompts: corrected 20%, labelled 30%)"
    )


def test_a_result_without_labels_of_people_is_not_verified():
    status, sentence = correction_status(result(None))
    assert (status, "no image has labels of people" in sentence) == ("not verified", True)


@pytest.mark.parametrize("changes", [{"corrected": False}, {"corrected": True, "judge": "vit"}])
def test_a_result_whose_panel_is_not_corrected_has_no_status(changes):
    row = an_estimate("rms_delta", 0.3, **changes)
    assert correction_status(result({"base": 400, "mist": 400}, estimates=[row])).status == "none"


def test_a_run_has_one_note_for_all_methods_with_too_few_labels_and_one_for_each_contradiction():
    estimates = {"base": [CORRECTED], "mist": [CORRECTED], "uce": [CORRECTED]}
    (none,) = correction_notes(estimates, {})
    assert none.startswith("correction not verified: no image has labels of people")
    checks = {
        "base": CorrectionCheck(labelled={"base": 330}, tests=[]),
        "mist": CorrectionCheck(labelled={"base": 330, "mist": 12}, tests=[]),
        "uce": CorrectionCheck(labelled={"base": 330, "uce": 330}, tests=[a_test(0.01)]),
    }
    contradicted, few = correction_notes(estimates, checks)
    assert contradicted.startswith("uce: correction not verified: labels of people contradict it")
    assert "(330 of base, 12 of mist)" in few
