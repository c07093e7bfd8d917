"""Rows of results: which one is shown, and which number ranks the methods."""

import math

from helpers.report import JOINT, a_comparison, a_rank, a_result, an_estimate

from evenhand.bench.results.lookup import (
    Key,
    Reading,
    attribute_names,
    base_of,
    cell_shares,
    comparable,
    concept_names,
    difference,
    distances,
    measured_attributes,
    ordered,
    primary_key,
    served_worst,
    spread,
    widest_set,
)

NAIVE, CORRECTED = Key("rms_delta", JOINT, "panel", False), Key("rms_delta", JOINT, "panel", True)


def reading(label, *rows, **changes):
    """A reading of a result with exactly these estimates."""
    return Reading.of(a_result(label).model_copy(update={"estimates": list(rows), **changes}))


def rms(value, **where):
    return an_estimate("rms_delta", value, **{"attributes": JOINT} | where)


def test_without_a_kind_the_first_kind_in_the_order_of_the_kinds_is_found():
    found = reading("base", rms(0.1, kind="explicit"), rms(0.2), rms(0.3, kind="person"))
    assert found.at(NAIVE).value == 0.2
    assert found.at(NAIVE._replace(kind="explicit")).value == 0.1
    assert found.at(CORRECTED) is None


def test_of_equal_rows_the_first_counts():
    assert reading("base", rms(0.1), rms(0.2)).at(NAIVE).value == 0.1


def test_a_metric_without_a_judge_is_found_like_one_of_the_panel():
    found = reading("base", an_estimate("alignment", 27.0, judge=""), rms(0.3))
    assert found.naive("alignment").value == 27 and found.naive("rms_delta", JOINT).value == 0.3
    assert found.naive("alignment", concept="nurse") is None


def test_corrected_rows_are_compared_only_if_every_method_has_them():
    both = reading("base", rms(0.6), rms(0.7, corrected=True))
    one = reading("mist", rms(0.3))
    missing = reading("uce", rms(0.3), rms(math.nan, corrected=True))
    assert [row.value for row in comparable([both], "rms_delta", JOINT)[""]] == [0.7]
    for other in (one, missing):
        assert [row.value for row in comparable([both, other], "rms_delta", JOINT)[""]] == [0.6, 0.3]


def test_the_primary_number_is_corrected_if_that_is_measured_for_as_many_methods():
    both = [reading(name, rms(0.6), rms(0.7, corrected=True)) for name in ("base", "mist")]
    assert primary_key(both) == CORRECTED
    assert primary_key([both[0], reading("mist", rms(0.3))]) == NAIVE
    assert primary_key([reading("base")]) is None


def test_another_attribute_set_ranks_only_without_the_declared_one():
    gender = rms(0.5, attributes="gender")
    assert primary_key([reading("base", gender, rms(0.6))]) == NAIVE
    assert primary_key([reading("base", gender)]).attributes == "gender"


def test_the_baseline_comes_first_and_methods_without_a_number_last():
    given = [reading("uce"), reading("mist", rms(0.4)), reading("time", rms(0.2)), reading("base", rms(0.1))]
    assert [each.label for each in ordered(given, NAIVE)] == ["base", "time", "mist", "uce"]
    assert [each.label for each in ordered(given, None)] == ["base", "mist", "time", "uce"]
    assert base_of(given).label == "base" and base_of(given[:2]) is None


def test_joint_attributes_come_before_single_ones_in_the_order_of_the_run():
    rows = [rms(0.1, attributes=name) for name in ("age", "tone", "gender", "gender*tone", JOINT)]
    found = [reading("base", *rows, rms(0.1, attributes="gender*age", concept="nurse"))]
    assert measured_attributes(found, "rms_delta") == [JOINT, "gender*tone", "gender", "tone", "age"]
    assert widest_set(found) == JOINT
    assert widest_set([reading("base")]) == JOINT  # nothing measured: all attributes


def test_distances_have_the_single_attributes_and_the_primary_set():
    rows = [rms(0.1, attributes="gender"), rms(0.2), rms(0.3, corrected=True)]
    found = distances([reading("base", *rows)], CORRECTED)
    assert {name: [row.value for row in each] for name, each in found.items()} == {
        "gender": [0.1],
        JOINT: [0.3],
    }


def test_shares_are_in_the_order_of_the_groups_and_only_of_measured_cells():
    rows = [an_estimate("share", v, attributes="gender", group=g) for g, v in (("man", 0.3), ("woman", 0.7))]
    found = cell_shares([reading("base", *rows, rms(0.1))], "gender")
    assert [(name, row.value) for name, (row,) in found.items()] == [("woman", 0.7), ("man", 0.3)]
    assert cell_shares([reading("base", *rows[:1])], "gender").keys() == {"man"}


def test_the_group_served_worst_is_the_one_whose_value_the_aggregate_has():
    fidelity = {"attributes": "gender", "kind": "explicit"}
    whole = an_estimate("explicit_fidelity", 0.8, **fidelity)
    groups = [
        an_estimate("explicit_fidelity", v, group=g, **fidelity) for g, v in (("woman", 0.8), ("man", 0.9))
    ]
    found = reading("mist", whole, *groups)
    assert served_worst(found, whole).group == "woman"
    assert served_worst(reading("mist", whole), whole) is None
    assert served_worst(found, rms(0.1)) is None


def test_ranks_and_differences_are_those_of_the_key():
    found = reading("mist", rms(0.3), ranks=[a_rank(low=2, high=3, of=4)], comparisons=[a_comparison(-0.2)])
    assert found.rank(CORRECTED).low == 2 and found.rank(NAIVE) is None
    assert difference(found, "base", CORRECTED).value == -0.2
    assert difference(found, "uce", CORRECTED) is None


def test_names_are_in_the_order_of_the_first_run_that_has_them():
    one, other = a_result("base", concepts=["nurse", "CEO"]), a_result("mist", concepts=["cook", "nurse"])
    assert concept_names([one, other]) == ["nurse", "CEO", "cook"]
    assert attribute_names([one]) == ["gender", "tone", "age"]


def test_items_are_evenly_spaced_from_the_first():
    assert spread("abcdefgh", 4) == ["a", "c", "e", "g"]
    assert spread("abcde", 2) == ["a", "c"]
    assert spread("ab", 4) == ["a", "b"] and spread("", 4) == []
