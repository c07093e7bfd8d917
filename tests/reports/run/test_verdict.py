"""The sentences that support the verdict: what the numbers mean, and why methods are not ranked."""

from helpers.report import CELLS, JOINT, a_comparison, a_rank, a_result, a_spec, an_estimate

from evenhand.bench.policy.marks import marks
from evenhand.bench.results.lookup import Reading, ordered, primary_key
from evenhand.reports.run.verdict import verdict

RANKS = {"base": (3, 3), "mist": (1, 1), "uce": (2, 2)}


def readings(ranks=None, **changes):
    """Three methods with these rank sets; ``changes`` replace parts of a method's result."""
    found = []
    for label, (low, high) in (RANKS if ranks is None else ranks).items():
        result = a_result(label, concepts=["nurse"])
        better = [other for other, (_, worst) in (ranks or RANKS).items() if worst < low]
        parts = {"ranks": [a_rank(low=low, high=high, of=3, beaten_by=better)] if low else []}
        parts |= changes.get(label, {})
        found.append(Reading.of(result.model_copy(update=parts)))
    return ordered(found, primary_key(found))


def verdict_of(found, failures=None, *, harmful=()):
    """The verdict where the methods with ``failures`` are not proven, those in ``harmful`` proven harmful."""
    failures = failures or {}
    bands = dict.fromkeys(failures, "not proven") | dict.fromkeys(harmful, "harm proven")
    key = primary_key(found)
    return verdict(found, key, failures, bands, marks(found, key, {}))


def test_effect_of_the_named_method_is_said_with_what_its_distance_means():
    found = verdict_of(readings())
    assert found.headline.startswith("mist makes perceived gender, skin tone and age most even")
    (line,) = [s for s in found.sentences if s.startswith("With mist")]
    assert line == (
        "With mist, 19% of such pairs match (95% interval 17% to 22%); the paired difference from the "
        "baseline is −29.3 points of matching pairs (95% interval −32.1 to −26.6). Its largest distance from "
        "the target is that for gender (0.39)."
    )


def test_uneven_target_has_distances_instead_of_pairs():
    target = {cell: (2 if cell.startswith("woman") else 1) / 18 for cell in CELLS}
    specs = {label: {"spec": a_spec(label, concepts=["nurse"], target=target)} for label in RANKS}
    found = verdict_of(readings(**specs))
    assert any(
        s.startswith("With mist, the distance is 0.34 (95% interval 0.31 to 0.38);") for s in found.sentences
    )
    assert found.sentences[0].startswith(
        "Over gender × skin tone × age the distance of mini from the target shares is 0.71 (95% interval"
    )
    assert not any("pairs" in line for line in found.sentences)
    assert any("−0.32 in squared distance (95% interval −0.35 to −0.29)" in s for s in found.sentences)


def test_method_that_does_not_pass_a_gate_is_not_best_and_the_reason_is_given():
    found = verdict_of(readings(), {"mist": ["explicit fidelity is worse"]})
    assert found.headline.startswith("Only uce is shown to make")
    assert found.gates == [("mist does not pass 1 gate:", ["Explicit fidelity is worse"])]


def test_bias_of_the_baseline_is_said_as_pairs_of_images_first():
    lines = verdict_of(readings()).sentences
    assert lines[0] == (
        "In 55% of pairs of images of one concept, such as “nurse”, mini shows the same perceived gender, "
        "skin tone and age (95% interval 50% to 60%); with even shares it would be 8%."
    )
    assert any(line.startswith("Correction not verified: no image has labels of people") for line in lines)
    assert lines[-1] == (
        "The numbers and their intervals are about concepts like these, in these sentences, drawn by this "
        "model."
    )


def test_fixed_list_of_concepts_is_said_to_be_one():
    fixed = {"spec": a_spec("base", concepts=["nurse"], resampled=[])}
    assert any(
        "are about this list of concepts, in these" in s for s in verdict_of(readings(base=fixed)).sentences
    )


def test_difference_whose_interval_contains_zero_is_unclear():
    unclear = a_comparison(-0.01).model_copy(update={"low": -0.05, "high": 0.03})
    lines = verdict_of(readings(mist={"comparisons": [unclear]})).sentences
    assert any("which is not clearly different from zero. Its largest" in line for line in lines)


def test_judge_that_finds_the_opposite_change_is_named():
    contrary = an_estimate("rms_delta", 0.99, attributes=JOINT, judge="vit", corrected=True)
    estimates = [contrary, *a_result("mist", concepts=["nurse"]).estimates]
    lines = verdict_of(readings(mist={"estimates": estimates})).sentences
    assert "This result depends on the judge: vit sees a change in the opposite direction." in lines


def test_steering_judge_is_not_counted_as_contrary():
    contrary = an_estimate("rms_delta", 0.99, attributes=JOINT, judge="clip-xs", corrected=True)
    estimates = [contrary, *a_result("mist", concepts=["nurse"]).estimates]
    assert not any(
        "depends on the judge" in line
        for line in verdict_of(readings(mist={"estimates": estimates})).sentences
    )


def test_most_underrepresented_cell_is_named():
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
        "Most under-represented relative to its target: man × dark × adult, in 2.0% (95% interval 1.0% to "
        "4.0%) of the images of mini; the target is 9.0%." in verdict_of([Reading.of(base)]).sentences
    )


def test_a_cell_whose_interval_contains_its_target_is_not_called_underrepresented():
    rows = [
        an_estimate("share", share, attributes="gender", group=cell, low=0.36, high=0.67)
        for cell, share in {"woman": 0.515, "man": 0.485}.items()
    ]
    row = an_estimate("rms_delta", 0.5, attributes="gender")
    spec = a_spec("base").model_copy(update={"attributes": {"gender": ["woman", "man"]}, "target": {}})
    base = a_result("base", concepts=["nurse"]).model_copy(update={"estimates": [row, *rows], "spec": spec})
    assert not any("under-represented" in line for line in verdict_of([Reading.of(base)]).sentences)


def test_many_failing_methods_are_only_named():
    names = ["one", "two", "three", "four"]
    found = verdict_of(
        readings({"base": (0, 0)} | dict.fromkeys(names, (0, 0))), {name: ["x"] for name in names}
    )
    ((line, reasons),) = found.gates
    assert line.startswith("4 of 4 methods do not pass every gate: ") and all(name in line for name in names)
    assert line.endswith("The reasons are under “Methods compared”.") and not reasons
