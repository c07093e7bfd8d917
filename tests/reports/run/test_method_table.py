"""The table of all measures: alignment by group, and differences with their tests."""

from helpers.report import NAN, a_comparison, a_run, an_estimate

from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.lookup import Reading, primary_key
from evenhand.reports.run.method_table import ALIGNMENT_BY_GROUP, WHY_BY_GROUP, method_table

WOMEN = an_estimate("alignment", 26.1, attributes="gender", group="woman", n=700)
NO_MEN = an_estimate("alignment", NAN, attributes="gender", group="man", low=NAN, high=NAN, n=0)


def rows_of(*added, **changes):
    """The rows of the table of a baseline and mist, whose results have these estimates too."""
    run = a_run(methods=["base", "mist"], concepts=["nurse"])
    results = [
        result.model_copy(update={"estimates": [*result.estimates, *added]} | changes)
        for result in run.results
    ]
    readings = [Reading.of(result) for result in results]
    return method_table(readings, primary_key(readings), Outcomes.of(results).gates, {}).rows


def test_alignment_by_group_stands_below_the_mean_and_says_why():
    rows = [row for row in rows_of(WOMEN, NO_MEN) if row.group == ALIGNMENT_BY_GROUP]
    assert [row.cells[0].text for row in rows] == ["Gender: woman", "Gender: man"]
    assert [cell.text for cell in rows[0].cells[1:]] == ["26.1", "26.1"]
    assert rows[0].cells[0].notes == ("n 700",)
    assert [cell.text for cell in rows[1].cells[1:]] == ["not estimable"] * 2
    assert {row.about for row in rows} == {
        WHY_BY_GROUP
    } and "the scorer is itself biased" in WHY_BY_GROUP.lower()


def test_mean_alignment_is_not_replaced_by_that_of_a_group():
    mean = [row for row in rows_of(WOMEN, NO_MEN) if row.group == "Prompt alignment"]
    assert [[cell.text for cell in row.cells] for row in mean] == [
        ["Neutral prompts", "27.4", "27.4"],
        ["Unrelated prompts", "29.1", "29.1"],
    ]


def test_difference_without_a_test_says_why_there_is_no_p_value():
    untested = a_comparison(-0.3).model_copy(update={"p": NAN})
    (row,) = [row for row in rows_of(comparisons=[untested]) if row.group == "Difference from the baseline"]
    assert row.about.endswith("no p-value, because so few concepts cannot give a small one")
    assert row.cells[2].notes == ("−0.330 to −0.270",)
