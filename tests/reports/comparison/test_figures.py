"""The figures of a comparison: both sides in the primary metric, and the differences by concept."""

import math

from helpers.comparisons import compared, difference, readings_of

from evenhand.reports.comparison.figures import by_concept, distances
from evenhand.reports.run.figures import MAX_PANELS


def share(label, concept, value, **where):
    keys = {"metric": "share", "attributes": "gender", "group": "woman", "concept": concept}
    return difference(label, value, **(keys | where))


def test_distances_show_both_sides_and_name_the_closer_one():
    pair = compared(difference("mist", -0.2), methods=["mist"])
    figure = distances(pair, readings_of(pair))
    assert figure.title.startswith("Gender × skin tone × age: mist is closer to the target than base (")
    assert [panel.heading for panel in figure.panels] == ["mist vs. base"]
    assert len(figure.table.rows) == 1 and figure.table.rows[0].cells[0].notes == ("mist minus base",)
    unclear = compared(difference("mist", 0.05), methods=["mist"])
    assert (
        "mist is not clearly closer to the target than base" in distances(unclear, readings_of(unclear)).title
    )


def test_without_differences_there_is_no_figure():
    assert distances(compared(), readings_of(compared())) is None
    assert by_concept(compared(), "gender") is None


def test_concepts_of_two_groups_have_the_difference_in_share_the_largest_first():
    rows = [
        share("mist", concept, value) for concept, value in (("nurse", -0.3), ("cook", 0.0), ("CEO", 0.4))
    ]
    figure = by_concept(compared(*rows, methods=["mist"]), "gender")
    assert [row.cells[0].text for row in figure.table.rows] == ["CEO", "cook", "nurse"]
    assert figure.title == (
        "Gender: of 3 concepts, 1 clearly more often and 1 clearly less often perceived as woman"
    )
    assert "the largest: CEO +40.0 points, nurse −30.0 points, cook 0.0 points" in str(figure.panels[0].image)


def test_concepts_of_more_groups_have_the_difference_in_squared_distance():
    rows = [
        difference("mist", value, attributes="tone", concept=concept)
        for concept, value in (("nurse", -0.3), ("cook", -0.2))
    ]
    figure = by_concept(compared(*rows, methods=["mist"]), "tone")
    assert figure.title == (
        "Skin tone: of 2 concepts, 0 clearly farther from the target and 2 clearly closer to it"
    )


def test_concepts_without_intervals_are_shown():
    rows = [share("mist", concept, 0.2, low=math.nan, high=math.nan) for concept in ("nurse", "cook")]
    figure = by_concept(compared(*rows, methods=["mist"]), "gender")
    assert [row.cells[0].text for row in figure.table.rows] == ["nurse", "cook"]


def test_pairs_that_have_no_panel_are_counted():
    methods = [f"m{place}" for place in range(MAX_PANELS + 2)]
    rows = [share(label, "nurse", 0.1) for label in methods]
    figure = by_concept(compared(*rows, methods=methods), "gender")
    assert len(figure.panels) == MAX_PANELS and figure.caption.endswith("2 more pairs in the data only.")
    assert len(figure.table.columns) == 1 + len(methods)
