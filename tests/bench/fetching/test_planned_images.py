"""The images of a run by method and kind."""

from helpers.paths import TINY

from evenhand.bench.fetching.planned_images import PlanRow, plan


def test_every_method_has_a_row_for_every_kind():
    assert plan(str(TINY), methods=["mist"]) == [
        PlanRow("base", "neutral", 2, 8),
        PlanRow("mist", "neutral", 2, 8),
    ]
    assert plan(str(TINY), methods=[], limit=1) == [PlanRow("base", "neutral", 1, 4)]
