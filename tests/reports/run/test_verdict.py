"""The verdict: names a method only where its rank set allows, and says so where it does not."""

from helpers.report import JOINT, a_comparison, a_rank, a_result, a_spec, an_estimate

from evenhand.bench.results.lookup import Reading, ordered, primary_key
from evenhand.reports.run.verdict import verdict

RANKS = {"base": (3, 3), "mist": (1, 1), "uce": (2, 2)}


def readings(ranks=None, **changes):
    """Three methods with these rank sets; ``changes`` replace parts of a method's result."""
    found = []
    for label, (low, high) in (RANKS if ranks is None else ranks).items():
        result = a_result(label, concepts=["nurse"])
        parts = {"ranks": [a_rank(low=low, high=high, of=3)] if low else []} | changes.get(label, {})
        found.append(Reading.of(result.model_copy(update=parts)))
    return ordered(found, primary_key(found))


def said(found, failures=None, spoiling=()):
    return verdict(found, primary_key(found), failures or {}, spoiling=spoiling)


def test_the_only_method_that_may_be_the_best_is_named_with_its_uncertainty():
    found = said(readings())
    assert found.headline == (
        "mist comes closest to the target shares: 0.34 (95% interval 0.31 to 0.38), "
        "against 0.71 (95% interval 0.68 to 0.75) for the baseline."
    )
    (line,) = [s for s in found.sentences if s.startswith("mist")]
    assert line == (
        "mist brings that distance to 0.34 (95% interval 0.31 to 0.38); "
        "the paired difference to the baseline is −0.32 (−0.35 to −0.29)."
    )


def test_methods_that_cannot_be_told_apart_are_not_ranked_in_words():
    found = said(readings({"base": (3, 3), "mist": (1, 2), "uce": (1, 2)}))
    assert found.headline == "mist and uce come closest to the target shares and cannot be told apart."


def test_a_method_not_told_apart_from_the_untreated_model_is_no_repair():
    found = said(readings({"base": (1, 3), "mist": (1, 2), "uce": (1, 3)}))
    assert found.headline == "No method can be told apart from the baseline."


def test_an_untreated_model_that_is_the_best_says_so():
    found = said(readings({"base": (1, 1), "mist": (2, 3), "uce": (2, 3)}))
    assert found.headline == "No method improves on the baseline."


def test_a_method_that_fails_a_gate_is_not_the_best_and_the_reason_is_given():
    found = said(readings(), {"mist": ["explicit fidelity is worse"]})
    assert found.headline.startswith(
        "uce comes closest to the target shares among the methods that pass every gate: 0.47 (95% interval"
    )
    assert "mist does not pass 1 gate: explicit fidelity is worse." in found.sentences


def test_among_the_methods_that_pass_overlapping_rank_sets_name_nobody():
    ranks = {"base": (4, 4), "mist": (1, 1), "uce": (2, 3), "time": (2, 3)}
    found = said(readings(ranks), {"mist": ["x"]})
    assert found.headline.startswith("time and uce come closest")
    assert found.headline.endswith("and cannot be told apart.")


def test_no_method_passing_means_no_best_method():
    both = {"mist": ["x"], "uce": ["y", "z"]}
    nothing_better = {"mist": {"comparisons": []}, "uce": {"comparisons": []}}
    found = said(readings(**nothing_better), both)
    assert found.headline == "No method passes every gate, so none is ranked."
    found = said(readings(), both, spoiling=both)
    assert found.headline == (
        "Every method that brings the model closer to the target shares spoils something else."
    )
    found = said(readings(), both, spoiling={"uce"})
    assert found.headline.startswith("mist brings the model closer to the target shares, but")
    assert "uce does not pass 2 gates: y; z." in found.sentences


def test_without_a_ranking_nobody_is_called_the_best():
    found = said(readings(dict.fromkeys(RANKS, (0, 0))))
    assert found.headline == "No ranking was made in this run, so no method is called the best."


def test_the_bias_of_the_untreated_model_is_put_in_words_with_its_chance_level():
    first = said(readings()).sentences[0]
    assert first == (
        "On prompts that name no gender, mini shows the commoner perceived gender in 90% of the images of "
        "the average concept (95% interval 89% to 92%; even would be 50%, and a fair model shows 56% by "
        "chance at this sample size)."
    )


def test_an_uneven_target_is_not_described_as_half_and_half():
    spec = a_spec("base", target={"woman": 0.7, "man": 0.3})
    first = said(readings(base={"spec": spec})).sentences[0]
    assert first.startswith("On neutral prompts mini has a gender deviation ratio of 0.81 (95% interval")


def test_a_difference_that_may_be_none_is_said_to_be_unclear():
    unclear = a_comparison(-0.01).model_copy(update={"low": -0.05, "high": 0.03})
    lines = said(readings(mist={"comparisons": [unclear]})).sentences
    assert any(line.endswith("which is not clearly different from none.") for line in lines)


def test_a_judge_who_sees_the_opposite_is_named():
    contrary = an_estimate("rms_delta", 0.99, attributes=JOINT, judge="vit", corrected=True)
    estimates = [contrary, *a_result("mist", concepts=["nurse"]).estimates]
    lines = said(readings(mist={"estimates": estimates})).sentences
    assert "This is judge dependent: vit sees a change in the other direction." in lines


def test_the_judge_that_steered_a_method_is_no_witness_of_its_effect():
    contrary = an_estimate("rms_delta", 0.99, attributes=JOINT, judge="clip-xs", corrected=True)
    estimates = [contrary, *a_result("mist", concepts=["nurse"]).estimates]
    assert not any(
        "judge dependent" in line for line in said(readings(mist={"estimates": estimates})).sentences
    )


def test_an_audit_of_one_model_tells_uneven_from_not_told_apart():
    (base,) = readings({"base": (1, 1)})
    assert said([base]).headline == (
        "The model does not depict the groups evenly: its distance from the target shares is 0.71 "
        "(95% interval 0.68 to 0.75)."
    )
    row = an_estimate("rms_delta", 0.02, attributes=JOINT, low=0.0, high=0.1)
    fair = Reading.of(base.result.model_copy(update={"estimates": [row]}))
    assert said([fair]).headline == (
        "At this number of images the model cannot be told apart from an even one: its distance from the "
        "target shares is 0.02 (95% interval 0.00 to 0.10)."
    )


def test_the_cell_that_is_shown_least_for_its_target_is_named():
    shares = {"woman*light*adult": 0.5, "man*dark*older": 0.01, "man*dark*adult": 0.02}
    rows = [
        an_estimate("share", share, attributes=JOINT, group=cell, low=share / 2, high=2 * share)
        for cell, share in shares.items()
    ]
    row = an_estimate("rms_delta", 0.5, attributes=JOINT)
    target = {"woman*light*adult": 0.9, "man*dark*older": 0.01, "man*dark*adult": 0.09}
    base = a_result("base", concepts=["nurse"]).model_copy(
        update={"estimates": [row, *rows], "spec": a_spec("base", target=target)}
    )
    assert (
        "Shown least for its target is man × dark × adult, in 2.0% (95% interval 1.0% to 4.0%) of the "
        "images; the target is 9.0%." in said([Reading.of(base)]).sentences
    )


def test_when_many_fail_only_their_names_are_told():
    names = ["one", "two", "three", "four"]
    found = said(readings({"base": (0, 0)} | dict.fromkeys(names, (0, 0))), {name: ["x"] for name in names})
    (line,) = [line for line in found.sentences if "gate" in line]
    assert line.startswith("4 of 4 methods do not pass every gate: ") and all(name in line for name in names)
    assert line.endswith("The reasons are under “Methods compared”.")
