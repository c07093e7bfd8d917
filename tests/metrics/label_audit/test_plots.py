"""Charts of an audit of labels show every number once, with its interval."""

import pytest
from helpers.label_frames import wide

from evenhand.metrics import audit_labels


@pytest.fixture(scope="module")
def found():
    return audit_labels(wide(), concept="prompt", attributes=["gender", "race"], draws=200)


def test_the_distance_of_every_attribute_set_is_drawn_over_its_floor(found):
    values = found.plot().to_dict()["data"]["values"]
    assert {point["panel"] for point in values} == {"gender", "race", "gender*race"}
    gender = next(point for point in values if point["panel"] == "gender")
    row = found.overall.loc[("gender", "rms_delta")]
    assert [gender[name] for name in ("value", "low", "high", "floor")] == pytest.approx(
        row[["value", "low", "high", "floor"]].tolist()
    )


def test_shares_have_a_panel_per_group_and_a_line_per_concept(found):
    values = found.plot("shares").to_dict()["data"]["values"]
    places = [(point["panel"], point["concept"]) for point in values]
    assert len(places) == len(set(places)) == 5 * 3
    assert ("gender: woman", "nurse") in places
    assert all(point["floor"] is None for point in values)
