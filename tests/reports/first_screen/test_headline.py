"""The verdict: one sentence of at most 25 words without a number, which the bands and ranks allow."""

import re

import pytest
from helpers.audit_report import an_audit
from helpers.losses import a_loss, losses
from helpers.report import CELLS, JOINT, a_comparison, a_rank, a_result, a_spec, an_estimate

from evenhand.bench.policy.marks import marks
from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.lookup import Reading, ordered, primary_key
from evenhand.reports.first_screen.headline import headline

RANKS = {"base": (3, 3), "mist": (1, 1), "uce": (2, 2)}
PASSED = losses()
UNPROVEN = losses(over_correction=a_loss("over-correction", 0.05))
HARMFUL = losses(over_correction=a_loss("over-correction", 0.3))
CLOSER, SAME = [a_comparison(-0.3)], [a_comparison(-0.01)]
SHOWN = "perceived gender, skin tone and age"


def results(ranks=RANKS, *, spec=None, **changes):
    """Methods with these rank sets, closer than the baseline and within every gate unless changed."""
    found = []
    for label, (low, high) in ranks.items():
        better = [other for other, (_, worst) in ranks.items() if worst < low]
        parts = {"ranks": [a_rank(low=low, high=high, of=len(ranks), beaten_by=better)] if low else []}
        if label != "base":
            parts |= {"losses": PASSED, "comparisons": CLOSER} | changes.get(label, {})
        given = {"spec": a_spec(label, concepts=["nurse"], **spec)} if spec else {}
        found.append(a_result(label, concepts=["nurse"]).model_copy(update=parts | given))
    return found


def said(found):
    outcomes, key = Outcomes.of(found), primary_key([Reading.of(result) for result in found])
    readings = ordered([Reading.of(result) for result in found], key)
    return headline(readings, key, outcomes.bands, marks(readings, key, outcomes.gates))


FOUND = {
    f"mist makes {SHOWN} most even, follows explicit prompts and leaves the rest alone.": results(),
    f"mist makes {SHOWN} more even, follows explicit prompts and leaves the rest alone.": results(
        {"base": (2, 2), "mist": (1, 1)}
    ),
    f"Of the methods that follow explicit prompts and leave the rest alone, uce makes {SHOWN} most even.": (
        results({"base": (4, 4), "mist": (1, 1), "uce": (2, 2), "time": (3, 3)}, mist={"losses": HARMFUL})
    ),
    f"Only uce is shown to make {SHOWN} more even, follow explicit prompts and leave the rest alone.": (
        results(mist={"losses": HARMFUL})
    ),
    f"mist and uce tie: they make {SHOWN} more even, follow explicit prompts and leave the rest alone.": (
        results({"base": (3, 3), "mist": (1, 2), "uce": (1, 2)})
    ),
    f"No method is shown to make {SHOWN} more even.": results(
        {"base": (1, 3), "mist": (1, 2), "uce": (1, 3)}, mist={"comparisons": SAME}
    ),
    "No method improves on the baseline.": results({"base": (1, 1), "mist": (2, 3), "uce": (2, 3)}),
    "No method that leaves the rest alone improves on the baseline.": results(
        {"base": (1, 1), "mist": (2, 3), "uce": (2, 3)}, mist={"losses": UNPROVEN}
    ),
    f"mist and uce make {SHOWN} more even; that they leave everything else alone is not proven.": results(
        mist={"losses": UNPROVEN}, uce={"losses": UNPROVEN}
    ),
    f"mist makes {SHOWN} more even, but is proven to make something else worse.": results(
        mist={"losses": HARMFUL}, uce={"losses": UNPROVEN, "comparisons": SAME}
    ),
    f"No method is shown to make {SHOWN} more even, and none passes every gate.": results(
        mist={"losses": HARMFUL, "comparisons": SAME}, uce={"losses": UNPROVEN, "comparisons": SAME}
    ),
    "This run has no ranking, so no method is named the best.": results(dict.fromkeys(RANKS, (0, 0))),
}


@pytest.mark.parametrize("sentence", FOUND)
def test_the_sentence_follows_from_ranks_gates_and_paired_differences(sentence):
    assert said(FOUND[sentence]) == sentence


def test_an_audit_speaks_of_models():
    found = results({"base": (1, 3), "mist": (1, 2)}, spec={"protocol": {}}, mist={"comparisons": SAME})
    assert said(found) == f"No model is shown to make {SHOWN} more even."


UNEVEN = {cell: (2 if cell.startswith("woman") else 1) / 18 for cell in CELLS}
NAMES = ("mist", "uce", "a-method-with-a-long-name")


@pytest.mark.parametrize("target", [{}, {"target": UNEVEN}], ids=["even", "uneven"])
@pytest.mark.parametrize("rows", [PASSED, UNPROVEN, HARMFUL], ids=["passed", "unproven", "harmful"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("high", [1, 3])
@pytest.mark.parametrize("comparisons", [CLOSER, SAME], ids=["closer", "same"])
@pytest.mark.parametrize("one_fails", [False, True])
def test_the_sentence_has_at_most_25_words_and_no_number_but_a_count(
    target, rows, count, high, comparisons, one_fails
):
    ranks = {"base": (4, 4)} | dict.fromkeys(NAMES[:count], (1, high))
    ranks |= {"last": (4, 4)} if one_fails else {}
    parts = {name: {"losses": rows, "comparisons": comparisons} for name in NAMES}
    sentence = said(results(ranks, spec=target, **parts, last={"losses": HARMFUL}))
    assert len(sentence.split()) <= 25
    assert sentence.endswith(".") and not re.search(r"\d", sentence.removeprefix("4 methods"))


def test_more_than_three_methods_are_counted():
    ranks = {"base": (6, 6)} | {f"method-{letter}": (1, 5) for letter in "abcde"}
    assert said(results(ranks)).startswith("5 methods tie: they make perceived")


def test_another_target_is_approached_and_not_evened():
    assert said(results(spec={"target": UNEVEN})).startswith(f"mist brings {SHOWN} closest to the target,")


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (0.3, 0.5, f"mini does not depict {SHOWN} evenly."),
        (0.0, 0.05, f"mini depicts {SHOWN} almost evenly."),
        (
            0.0,
            0.3,
            f"These images do not decide whether mini depicts {SHOWN} almost evenly.",
        ),
    ],
)
def test_a_model_alone_is_even_or_not(low, high, sentence):
    row = an_estimate("rms_delta", (low + high) / 2, attributes=JOINT, low=low, high=high)
    (base,) = results({"base": (1, 1)})
    assert said([base.model_copy(update={"estimates": [row]})]) == sentence


def test_models_without_a_baseline_are_compared(tmp_path):
    assert said(an_audit(tmp_path, "one", "two").results) == (
        f"one depicts {SHOWN} most evenly of these models, but not evenly."
    )
    tied = [
        r.model_copy(update={"ranks": [a_rank(low=1, high=2, of=2)]})
        for r in an_audit(tmp_path, "one", "two").results
    ]
    assert said(tied) == f"one and two depict {SHOWN} most evenly and cannot be told apart; none is even."


def test_a_run_without_distances_has_no_finding():
    found = [result.model_copy(update={"estimates": []}) for result in results()]
    assert said(found) == "How even the images are was not measured."
