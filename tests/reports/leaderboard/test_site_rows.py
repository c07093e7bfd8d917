"""The rows of the table on the start page."""

import pytest
from helpers.losses import a_loss
from helpers.report import parsed
from helpers.site import a_board

from evenhand.bench.policy.ranking import rankings
from evenhand.bench.results.result import Search
from evenhand.reports.leaderboard.columns import further_columns, ranking_columns
from evenhand.reports.leaderboard.site import render_index
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.leaderboard.site_rows import COSTS, FIRST, heads, lines


@pytest.fixture(scope="module")
def rows():
    return a_board()


def test_seven_columns_are_on_first_view_and_all_others_on_demand(rows):
    found = rankings(rows)
    heads = parsed(render_index(found, SiteMap.of(found))).all("thead")[0].all("th")
    first = [head.text for head in heads if head.attributes.get("class") != "more"]
    assert len(first) == 7 and len(heads) > 20


def table(rows):
    """Label of a row to its cells by heading, and the headings."""
    found = rankings([row for row in rows if row.result.spec.suite_version == "1"])
    (ranking,) = found
    columns = [*ranking_columns(ranking.readings, ranking.key), *further_columns(ranking.readings)]
    titles = heads(ranking, columns)
    shown = lines(ranking, columns, SiteMap.of(found))
    cells = {
        label: dict(zip([head.title for head in titles], line.cells, strict=True))
        for label, line in shown.items()
    }
    return titles, shown, cells


def changed(rows, label, **changes):
    return [row.model_copy(update=changes) if row.label == label else row for row in rows]


def test_every_row_has_a_cell_per_column_and_arrows_say_what_is_best(rows):
    titles, shown, _ = table(rows)
    assert [head.title for head in titles if head.first] == list(FIRST)
    assert [head.title for head in titles[-len(COSTS) :]] == list(COSTS)
    assert {head.best for head in titles if "↑" in head.title} == {"descending"}
    assert {len(line.cells) for line in shown.values()} == {len(titles)}
    assert shown["mist"].anchor == "mini-quick-v1--mist" and shown["mist"].href == "mini-quick-v1/mist.html"


def test_ranked_methods_sort_before_all_bands(rows):
    _, _, cells = table(rows)
    places = {label: row["Verdict"].raw[""] for label, row in cells.items() if label != "base"}
    assert places["mist"] == 1 and places["harmful"] > 1000
    assert cells["harmful"]["Verdict"].kind == "alert" and cells["base"]["Verdict"].text == "reference"


def test_change_of_the_baseline_is_the_reference_and_an_unmeasured_one_is_unknown(rows):
    (own,) = [row.result for row in rows if row.label == "uce"]
    others = [loss for loss in own.losses if loss.quantity != "alignment"]
    lost = a_loss("alignment", 0.02, half=0.01, kind="neutral")
    shown = []
    for losses in (others, [*others, lost]):
        _, _, cells = table(changed(rows, "uce", result=own.model_copy(update={"losses": losses})))
        assert cells["base"]["Alignment ↑"].text == "reference"
        shown.append(cells["uce"]["Alignment ↑"])
    assert (shown[0].text, shown[0].raw[""]) == ("-", None)
    assert (shown[1].text, shown[1].notes) == ("−2.0", ("−3.0 to −1.0",))


def test_tags_say_who_proposed_tuned_and_trained_the_method(rows):
    (own,) = [row.result for row in rows if row.label == "uce"]
    card = own.spec.method.model_copy(update={"search": Search(trials=16, passes=9, record="ab" * 32)})
    result = own.model_copy(update={"spec": own.spec.model_copy(update={"method": card})})
    _, shown, _ = table(changed(rows, "uce", ours=True, share_trained=0.2, result=result))
    assert shown["uce"].tags == [
        ("family", "weights"),
        ("origin", "ours"),
        ("tuned", "tuned"),
        ("cut", "trained 20%"),
    ]
    assert shown["mist"].tags == [("family", "weights"), ("plain", "not tuned")]
    assert shown["base"].tags == [("family", "the model without a method")]


def test_gates_that_are_not_passed_are_a_warning(rows):
    _, _, cells = table(rows)
    assert cells["harmful"]["Gates not passed"].kind == "alert"
    assert (cells["mist"]["Gates not passed"].text, cells["mist"]["Gates not passed"].kind) == (
        "none",
        "text",
    )
