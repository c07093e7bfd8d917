"""The table of all measures: alignment by group, and differences with their tests."""

from helpers.report import NAN, a_comparison, a_run, an_estimate

from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.lookup import Reading, primary_key
from evenhand.reports.run.method_table import ALIGNMENT_BY_GROUP, WHY_BY_GROUP, measures_table, method_table

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
    assert row.about.endswith(
        "no p-value: with 1 concept none could be below 0.05; at least 7 concepts are needed"
    )
    assert row.cells[2].notes == ("−0.330 to −0.270",)


def the_row(rows, group, title):
    (row,) = [row for row in rows if row.group.startswith(group) and row.cells[0].text == title]
    return row


def test_value_of_the_worst_group_is_shown_with_the_group_and_its_own_n():
    groups = [
        an_estimate(
            "explicit_fidelity", value, attributes="tone", kind="explicit", group=group, low=0.8, high=1, n=n
        )
        for group, value, n in (("light", 0.99, 140), ("medium", 0.97, 111), ("dark", 0.98, 149))
    ]
    row = the_row(rows_of(*groups), "Explicit fidelity", "Skin tone")
    assert row.cells[1].text == "97.0%" and row.cells[1].notes[1] == "medium, n 111"
    assert "n 400" not in row.cells[0].notes, "the images of all groups are not those of the worst"
    assert the_row(rows_of(), "Explicit fidelity", "Gender").cells[0].notes == ("n 400",)


def test_n_is_beside_the_value_where_it_differs_between_methods():
    run = a_run(methods=["base", "mist"], concepts=["nurse"])
    fewer = [
        row.model_copy(update={"n": 1500}) if row.metric == "rms_delta" else row
        for row in run.results[1].estimates
    ]
    results = [run.results[0], run.results[1].model_copy(update={"estimates": fewer})]
    readings = [Reading.of(result) for result in results]
    rows = method_table(readings, primary_key(readings), Outcomes.of(results).gates, {}).rows
    row = the_row(rows, "Distance from the target", "Gender")
    assert [cell.notes[-1] for cell in row.cells[1:]] == ["n 1,600", "n 1,500"]
    assert "1,600" not in row.cells[0].notes[0]


def test_over_correction_is_the_change_or_says_why_it_is_not_measurable():
    change = a_comparison(0.04).model_copy(update={"metric": "over_correction", "attributes": "gender"})
    narrow = the_row(rows_of(comparisons=[change]), "Over-correction", "Gender")
    assert [cell.text for cell in narrow.cells[1:]][1] == "+4.0 points"
    assert narrow.cells[2].notes == ("1.0 to 7.0", "n 40")
    assert narrow.cells[1].text == "reference" and narrow.cells[1].notes == ("2.0% drawn otherwise", "n 40")
    wide = change.model_copy(update={"low": -0.5, "high": 0.5})
    found = the_row(rows_of(comparisons=[wide]), "Over-correction", "Gender").cells[2]
    assert found.text == "not measurable here" and "100 points wide with 40 images" in found.notes[0]


def test_a_run_of_one_attribute_has_no_row_of_entanglement():
    run = a_run(methods=["base"], concepts=["nurse"])
    alone = run.results[0].spec.model_copy(update={"attributes": {"gender": ["woman", "man"]}})
    one = run.model_copy(update={"results": [run.results[0].model_copy(update={"spec": alone})]})
    titles = [{row.group for row in measures(found)} for found in (run, one)]
    assert [any(title.startswith("Entanglement") for title in found) for found in titles] == [True, False]


def measures(run):
    readings = [Reading.of(result) for result in run.results]
    return measures_table(readings, primary_key(readings)).rows
