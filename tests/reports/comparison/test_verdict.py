"""The verdict of a comparison: no sentence is stronger than the numbers."""

import pytest
from helpers.comparisons import compared, difference, flips, readings_of
from helpers.report import NAN

from evenhand.bench.results.comparison import Pair
from evenhand.reports.comparison.verdict import compare_verdict


def verdict(comparison):
    return compare_verdict(comparison, readings_of(comparison))


def one(*rows, **changes):
    return verdict(compared(*rows, methods=["mist"], **changes))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-0.2, "mist is closer to the target shares than base."),
        (0.2, "mist is farther from the target shares than base."),
        (0.05, "mist and base are not distinguishable in their distance from the target shares."),
        (NAN, "The distances of mist and base from the target shares cannot be compared."),
    ],
)
def test_side_is_closer_only_if_the_interval_excludes_zero(value, said):
    assert one(difference("mist", value)).headline.startswith(said)


def test_the_number_behind_the_headline_is_below_it():
    said = one(difference("mist", -0.2)).sentences
    assert "Paired difference in squared distance −0.20 (95% interval −0.30 to −0.10)." in said
    two = verdict(compared(difference("mist", -0.2), difference("uce", 0.0)))
    assert "mist is closer to the target shares than base: paired difference" in two.sentences[0]


def test_number_that_was_not_measured_and_identical_images_are_said_to_be_so():
    assert one().headline.endswith("cannot be compared.")
    same = one(difference("mist", 0.0), pairs=[Pair(label="mist", against="base", same_images=True)])
    assert same.headline == "mist and base are identical images, so nothing differs."


@pytest.mark.parametrize(
    ("values", "said"), [((-0.2, 0.0), "1 differs"), ((-0.2, 0.3), "2 differ"), ((0.0, 0.0), "none differ")]
)
def test_headline_of_several_pairs_counts_the_clear_ones(values, said):
    rows = [difference(label, value) for label, value in zip(("mist", "uce"), values, strict=True)]
    found = verdict(compared(*rows))
    assert found.headline == f"Of 2 pairs, {said} clearly in the distance from the target shares."
    assert any("are not adjusted for the number of pairs" in sentence for sentence in found.sentences)


def test_clear_side_effects_are_named_with_their_direction():
    rows = [
        difference("mist", -0.2, metric="explicit_fidelity", attributes="gender", kind="explicit"),
        difference("mist", -0.3, metric="undetermined", attributes="gender"),
        difference("mist", 0.01, metric="undetermined", attributes="age"),
    ]
    (said,) = [sentence for sentence in one(*rows).sentences if sentence.startswith("mist is clearly")]
    worse, better = said.split("; clearly ")
    assert worse == (
        "mist is clearly worse in explicit fidelity, worst group for gender (−20.0 points, −30.0 to −10.0)"
    )
    assert better.startswith("better in undetermined") and " age" not in said


def test_changed_labels_are_counted_only_where_equal_seeds_give_equal_noise():
    rows = [flips("mist", [[70, 20], [10, 0]]), flips("mist", [[0, 1], [0, 0]], concept="nurse")]
    (change,) = [s for s in one(flips=rows).sentences if "the perceived gender changes" in s]
    assert change.startswith("From base to mist, the perceived gender changes in 30.0% of the images")
    assert change.endswith("n = 100): woman to man 20 and man to woman 10.")
    other = one(flips=rows, same_noise=False).sentences
    assert not any("the perceived gender changes" in sentence for sentence in other)
    assert any("do not start from the same noise" in sentence for sentence in other)


def test_settings_that_differ_are_named_besides_the_method():
    comparison = compared(methods=["mist"])
    base, mist = comparison.sides
    spec = mist.result.spec.model_copy(update={"model": "other"})
    mist = mist.model_copy(update={"result": mist.result.model_copy(update={"spec": spec})})
    found = verdict(comparison.model_copy(update={"sides": [base, mist]})).sentences
    assert any(s.startswith("Besides the method, the sides differ in model; a difference") for s in found)
    assert not any("Besides the method" in sentence for sentence in one().sentences)
