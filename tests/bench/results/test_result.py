"""Targets of a result belong to an attribute, whatever its groups are called; its rows as a data frame."""

import math

import pytest
from helpers.report import a_result, an_estimate
from pydantic import BaseModel

from evenhand.bench.errors import EvenhandError

SKIN = ["Light", "Medium", "Dark"]


def spec(attributes, *, target, primary, targets=None):
    base = a_result("base").spec
    return base.model_copy(
        update={"attributes": attributes, "target": target, "primary": primary, "targets": targets or {}}
    )


def even(*groups):
    cells = [""]
    for names in groups:
        cells = [f"{cell}*{name}".strip("*") for cell in cells for name in names]
    return {cell: 1 / len(cells) for cell in cells}


def test_two_attributes_with_a_group_of_the_same_name_have_their_own_targets():
    # The race "Dark" of one judge and the tone "Dark" of another.
    found = spec({"race": ["Pale", "Dark"], "tone": SKIN}, target=even(SKIN), primary="tone")
    assert found.balanced == ("tone",)
    assert found.target_share("tone", "Dark") == pytest.approx(1 / 3)
    assert found.target_share("race", "Dark") == pytest.approx(1 / 2)
    assert found.target_share("race*tone", "Dark*Dark") == pytest.approx(1 / 6)


def test_a_finer_and_a_coarser_race_beside_each_other():
    race4, race7 = ["White", "Black", "Asian", "Indian"], ["White", "Black", *"abcde"]
    found = spec({"race4": race4, "race7": race7}, target=even(race7), primary="race7")
    assert found.target_share("race4", "Black") == pytest.approx(1 / 4)
    assert found.target_share("race7", "Black") == pytest.approx(1 / 7)


def test_attributes_that_are_not_balanced_have_even_shares_beside_an_uneven_target():
    found = spec(
        {"gender": ["woman", "man"], "age": ["adult", "older"]},
        target={"woman": 0.3, "man": 0.7},
        primary="gender",
        targets={"nurse": {"woman": 0.9, "man": 0.1}},
    )
    assert found.target_share("gender", "woman") == pytest.approx(0.3)
    assert found.target_share("gender", "woman", concept="nurse") == pytest.approx(0.9)
    assert found.target_share("age", "older", concept="nurse") == pytest.approx(0.5)
    assert found.target_share("gender*age", "man*older") == pytest.approx(0.35)


def test_a_joint_target_is_summed_over_the_attributes_left_out():
    groups = {"gender": ["woman", "man"], "tone": SKIN}
    target = dict(zip(even(*groups.values()), (0.1, 0.1, 0.1, 0.2, 0.2, 0.3), strict=True))
    found = spec(groups, target=target, primary="gender*tone")
    assert found.target_share("tone", "Dark") == pytest.approx(0.4)
    assert found.target_share("tone*gender", "Dark*man") == pytest.approx(0.3)


def test_missing_numbers_are_numbers_in_a_data_frame():
    rows = [an_estimate("rms_delta", 1 / 3), an_estimate("rms_delta", math.nan, low=-math.inf)]
    frame = a_result("mist").model_copy(update={"estimates": rows}).to_dataframe()
    assert set(frame["method"]) == {"mist"} and frame["value"].mean() == pytest.approx(1 / 3)
    assert frame["low"][1] == -math.inf and math.isnan(frame["floor"][0])
    assert set(frame[["value", "low", "high", "floor"]].dtypes) == {frame["value"].dtype}


def test_a_misspelt_metric_is_an_error_and_one_not_measured_is_none():
    result = a_result("mist").model_copy(update={"estimates": [an_estimate("rms_delta", 0.5)]})
    assert result.estimate("kl_divergence") is None
    with pytest.raises(EvenhandError, match="unknown metric 'rms_detla'; did you mean 'rms_delta'"):
        result.estimate("rms_detla")


def test_the_text_of_a_result_fits_a_screen_and_names_groups():
    shares = [an_estimate("share", 0.25, attributes="gender", group=group) for group in ("woman", "man")]
    result = a_result("mist")
    lines = repr(result.model_copy(update={"estimates": [*result.estimates, *shares]})).splitlines()
    assert len(lines) <= 25 and max(map(len, lines)) <= 110
    assert lines[0] == "mist on mini-quick (mini)"
    named = [line.split()[:4] for line in lines if line.startswith("share")]
    assert named == [["share", "gender", group, "neutral"] for group in ("woman", "man")]
    assert lines[-1].endswith("more rows in to_dataframe()")


def test_completion_offers_fields_and_methods_without_those_of_pydantic():
    offered = {name for name in dir(a_result("mist")) if not name.startswith("_")}
    assert {"estimate", "to_dataframe", "spec", "estimates"} <= offered
    assert not offered & set(dir(BaseModel))
