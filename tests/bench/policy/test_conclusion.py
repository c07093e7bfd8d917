"""The conclusion of a run: what its headline may name, and where a method is worst."""

import math

import numpy as np
import pytest
from helpers.report import JOINT, NAN, a_comparison, a_rank, a_result, a_spec, an_estimate

from evenhand.bench.policy.conclusion import (
    closer_than_base,
    contrary_judges,
    farther_than_base,
    leaders,
    worst_attributes,
)
from evenhand.bench.results.lookup import Key, Reading, distances

KEY = Key("rms_delta", JOINT, "panel", False)


def reading(label, **distance):
    """A method with these distances by attribute set, ``joint`` for all attributes together."""
    sets = {JOINT if name == "joint" else name: value for name, value in distance.items()}
    rows = [an_estimate("rms_delta", value, attributes=name) for name, value in sets.items()]
    return Reading.of(a_result(label, concepts=["nurse"]).model_copy(update={"estimates": rows}))


def test_model_that_draws_no_women_is_worst_for_gender_though_its_joint_distance_is_small():
    men_only = np.array([0.0] * 6 + [1 / 6] * 6)
    joint = math.sqrt(((men_only - 1 / 12) ** 2).sum() / (11 / 12))
    assert joint == pytest.approx(0.3015, abs=1e-4)
    (worst,) = worst_attributes([reading("base", joint=joint, gender=1.0, tone=0.0, age=0.0)], KEY)
    assert (worst.attributes, worst.value) == ("gender", 1.0)


def test_attribute_without_a_number_is_not_the_worst():
    (worst,) = worst_attributes([reading("base", joint=0.5, gender=NAN, tone=0.2, age=0.1)], KEY)
    assert worst.attributes == "tone"
    assert worst_attributes([reading("base", joint=0.5)], KEY) == [None]


def test_distances_stand_side_by_side_with_the_single_attributes_first():
    found = distances([reading("base", joint=0.5, age=0.1, gender=0.3, tone=0.2)], KEY)
    assert list(found) == ["gender", "tone", "age", JOINT]


def test_method_is_closer_only_beyond_the_paired_interval():
    base = a_result("base", concepts=["nurse"])
    clear, unclear = a_result("mist", concepts=["nurse"]), a_result("uce", concepts=["nurse"])
    unclear = unclear.model_copy(update={"comparisons": [a_comparison(-0.02)]})
    key = KEY._replace(corrected=True)
    assert closer_than_base([Reading.of(result) for result in (base, clear, unclear)], key) == {"mist"}


@pytest.mark.parametrize(("value", "found"), [(-0.1, set()), (0.02, set()), (0.1, {"uce"}), (NAN, set())])
def test_method_is_farther_only_beyond_the_paired_interval(value, found):
    base, uce = (a_result(label, concepts=["nurse"]) for label in ("base", "uce"))
    uce = uce.model_copy(update={"comparisons": [a_comparison(value)]})
    key = KEY._replace(corrected=True)
    assert farther_than_base([Reading.of(base), Reading.of(uce)], key) == found
    assert farther_than_base([Reading.of(uce)], key) == farther_than_base([Reading.of(base)], None) == set()


def test_methods_tie_only_if_none_is_shown_to_be_better_even_where_rank_sets_overlap():
    others = [f"failing-{number}" for number in range(8)]
    ranks = {
        "mist": a_rank(low=1, high=12, of=21),
        "time": a_rank(low=6, high=16, of=21, beaten_by=others[:5]),
        "sfid": a_rank(low=10, high=16, of=21, beaten_by=[*others, "mist"]),
    }
    assert leaders(ranks) == {"mist", "time"}
    del ranks["mist"]
    assert leaders(ranks) == {"time", "sfid"}


def test_steering_judge_is_not_asked_for_the_direction_of_a_change():
    rows = {
        judge: an_estimate("rms_delta", value, attributes=JOINT, judge=judge)
        for judge, value in {"panel": 0.3, "vit": 0.7, "clip-xs": 0.9}.items()
    }
    base = [row.model_copy(update={"value": 0.5}) for row in rows.values()]
    spec = a_spec("mist", concepts=["nurse"])
    results = [
        a_result(label, concepts=["nurse"]).model_copy(update={"estimates": found, "spec": spec})
        for label, found in (("base", base), ("mist", list(rows.values())))
    ]
    before, after = (Reading.of(result) for result in results)
    assert spec.method.steering_judge == "clip-xs"
    assert contrary_judges(after, before, KEY) == ["vit"]
    assert contrary_judges(after, None, KEY) == []
