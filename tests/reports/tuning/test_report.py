"""The page of a tuned method: the winner, every trial, and what more trials would bring."""

import pytest
from helpers.report import NAN, parsed
from helpers.tuning import a_record, a_trial

from evenhand.reports.tuning.report import render_tuning

FAILED = {"status": "failed", "reason": "diverged", "harms": []}


def page(record, **importances):
    return parsed(render_tuning(record, primary="gender*tone", importances=importances))


def headline(record):
    (found,) = [p.text for p in page(record).all("p") if p.attributes.get("class") == "headline"]
    return found


def test_headline_compares_the_winner_with_the_baseline():
    assert headline(a_record(a_trial(0, 0.5), a_trial(1, 0.3))) == (
        "The winning trial is closer to the target than the baseline: distance 0.300 (95% interval 0.200 to "
        "0.400) against 0.600 of the baseline"
    )


def test_headline_does_not_praise_a_winner_whose_interval_reaches_the_baseline():
    assert headline(a_record(a_trial(0, 0.55))).startswith("The winning trial is not clearly closer")


def test_winner_that_exceeds_a_gate_is_called_the_least_harmful():
    assert headline(a_record(a_trial(0, 0.3, loss=0.07))) == (
        "No trial passes the gates. The least harmful one: distance 0.300 (95% interval 0.200 to "
        "0.400) against 0.600 of the baseline"
    )


def test_without_a_finished_trial_there_is_no_winner():
    record = a_record(a_trial(0, NAN, **FAILED))
    assert headline(record) == "No trial finished"
    text = page(record).text
    assert "winning trial none" in text and "The search is not finished: 1 trials so far." in text


def test_trials_are_listed_from_the_best_with_their_loss_and_why_they_failed():
    trials = [a_trial(0, 0.3), a_trial(1, NAN, **FAILED), a_trial(2, 0.1, loss=0.08)]
    table = page(a_record(*trials)).by_id("trials")
    rows = [row.text for row in table.all("tbody")[0].all("tr")]
    assert rows[0].startswith("0 (winner) 0.300 0.200 to 0.400")
    assert rows[1].startswith("2 0.100") and "8.0 points explicit fidelity gender; 5.0 allowed" in rows[1]
    assert rows[2].startswith("1 failed diverged")


def test_page_of_two_stages_says_so():
    first = {"development": "f", "steps": 2, "seeds": 1, "finalists": 1, "baseline": 0.7}
    trials = [a_trial(i, 0.3) for i in range(3)]
    shown = page(a_record(*trials, a_trial(3, 0.4, origin="finalist"), screening=first))
    assert "drew with 2 denoising steps and at most 1 image a prompt, where the distance" in shown.text
    assert "the baseline is 0.700" in shown.text and "4 of 4" in shown.text
    rows = [row.text for row in shown.by_id("trials").all("tbody")[0].all("tr")]
    assert rows[0].startswith("3 (winner) 0.400") and "finalist, repeated in full" in rows[0]


def test_page_of_a_longer_training_says_how_it_ended():
    stage = {"factor": 4, "passes": 5000, "ended": "a longer training is not better"}
    more = a_trial(3, 0.1, origin="longer", parameters={"scale": 0.0, "steps": 40})
    shown = page(a_record(*(a_trial(i, 0.3) for i in range(3)), more, lengthening=stage, fixed={"steps": 10}))
    assert (
        "trained 4 times as long while this helped. The end: a longer training is not better." in shown.text
    )
    rows = [row.text for row in shown.by_id("trials").all("tbody")[0].all("tr")]
    assert rows[0].startswith("3 (winner) 0.100") and "40 100 longer training" in rows[0]
    assert "10 100 quasi-random" in rows[1] and "4 of 4" in shown.text


def test_page_names_the_processors_that_are_known():
    def page(*names):
        trials = [a_trial(i, 0.1, processor=name) for i, name in enumerate(names)]
        return render_tuning(a_record(*trials), primary="gender", importances={})

    assert "Drawn on A, AVX2." in page("A, AVX2", "A, AVX2") and "Drawn on" not in page("", "")


def test_curve_needs_two_trials_and_importances_are_sorted():
    figures = [figure.attributes["id"] for figure in page(a_record(a_trial(0, 0.3))).all("figure")]
    assert figures == []
    shown = page(a_record(a_trial(0, 0.2), a_trial(1, 0.4)), scale=0.2, rate=0.8)
    assert [figure.attributes["id"] for figure in shown.all("figure")] == ["best-of-k", "importance"]
    labels = [svg.attributes.get("aria-label", "") for svg in shown.by_id("figures").all("svg")]
    assert "Expected best distance: 0.300 of one trial, 0.200 of 2" in labels
    assert "Importance: rate 80.0%, scale 20.0%" in labels


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (
            0.2,
            "0.050, is not larger than half the width of the 95% interval of the best one (0.200 to 0.400)",
        ),
        (0.02, "0.050, is larger than half the width of the 95% interval of the best one (0.290 to 0.310)"),
    ],
)
def test_last_step_of_the_curve_is_compared_with_the_interval_of_the_best_trial(width, said):
    best = a_trial(1, 0.3, low=0.3 - width / 2, high=0.3 + width / 2)
    proposed = a_trial(2, 0.1, origin="tpe")
    text = page(a_record(a_trial(0, 0.4, origin="start"), best, proposed)).by_id("best-of-k").text
    assert "Expected best of k trials chosen before any result" in text
    assert f"The last step, {said}" in text


def test_last_step_of_the_curve_is_not_judged_without_an_interval():
    trials = [a_trial(0, 0.4), a_trial(1, 0.3, low=NAN, high=NAN)]
    text = page(a_record(*trials)).by_id("best-of-k").text
    assert "The last step is 0.050; the best one has no interval to compare it with." in text


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ({"low": 0.0, "high": 2.0, "log": False, "integer": False}, "numbers from 0 to 2"),
        ({"low": 1, "high": 64, "log": True, "integer": True}, "integers from 1 to 64, logarithmic"),
        ({"values": ["a", True, 2]}, "one of a, true, 2"),
    ],
)
def test_search_space_is_said_in_words(domain, said):
    record = a_record(a_trial(0, 0.3), space={"scale": domain}, fixed={"steps": 8})
    terms = page(record).by_id("searched").text
    assert terms.endswith("Fixed by the suite steps 8") and f"scale {said} " in terms


def test_page_is_escaped_and_the_same_for_the_same_record():
    record = a_record(a_trial(0, NAN, **FAILED | {"reason": "<script>x</script>"}), method="<b>m</b>")
    html = render_tuning(record, primary="gender", importances={})
    assert html == render_tuning(record, primary="gender", importances={})
    assert "<script" not in html and "<b>m</b>" not in html
