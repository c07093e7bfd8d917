"""A method's page: its position, its fits, and the commands that reproduce it."""

import pytest
from helpers.report import parsed
from helpers.site import a_board, board_rows
from helpers.trade_off import placed

from evenhand.bench.policy.ranking import rankings
from evenhand.bench.results.entry import FitRow
from evenhand.reports.leaderboard.site import render_site
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.leaderboard.site_method import entries_of, fits_table, method_content


@pytest.fixture(scope="module")
def rows():
    return a_board()


@pytest.mark.slow
def test_page_of_a_method_with_several_fits_shows_them_and_the_median(rows):
    fits = [
        FitRow(label=label, entry=entry, distance=distance, band=band)
        for label, entry, distance, band in (
            ("uce", "uce@mini-quick-v1", 0.31, "ranked"),
            ("uce:fit=2", "uce-fit-2@mini-quick-v1", 0.36, "ranked"),
            ("uce:fit=3", "uce-fit-3@mini-quick-v1", 0.4, "not proven"),
        )
    ]
    few = [row for row in rows if row.label in ("base", "uce") and row.result.spec.suite_version == "1"]
    fitted = {"uce": {"fits": fits, "published": fits[1]}}
    rows = [row.model_copy(update=fitted.get(row.label, {})) for row in few]
    page = parsed(render_site(rows, entries={})["mini-quick-v1/uce.html"])
    table = [[cell.text for cell in line.children] for line in page.by_id("fits").all("tr")]
    assert table[2] == ["2 median, shown", "0.360", "ranked", "uce-fit-2@mini-quick-v1"]
    assert "3 fits: 0.310 to 0.400; 1 fit in the band “not proven”" in page.text
    assert any("--method uce --fits 3" in code.text for code in page.all("code"))
    offered = [a.attributes["href"] for a in page.all("a") if "entries/" in a.attributes["href"]]
    assert len(offered) == 3


@pytest.fixture(scope="module")
def contents(rows):
    """Label of a method of the first version to the content of its page."""
    found = rankings(rows)
    pages = SiteMap.of(found)
    return {row.label: method_content(found[-1], row, pages, [], images={}) for row in found[-1].rows}


@pytest.mark.slow
def test_position_is_said_in_a_sentence(contents):
    assert contents["mist"]["position"] == (
        "Group A (1 to 2) of 3 ranked in its track, the baseline included; not distinguishable from uce."
    )
    assert contents["harmful"]["position"].startswith("Harm proven, so not ranked: the data show")
    assert contents["base"]["position"] == (
        "The model without a method, which all methods are compared with."
    )


def position_beside_base(label, *, ranks, distance):
    """The position of a method that is alone with the baseline."""
    rows = board_rows([placed("base", distance=0.6), placed(label, distance=distance)], ranks)
    (ranking,) = rankings(rows)
    pages = SiteMap.of([ranking])
    return method_content(ranking, ranking.rows[1], pages, [], images={})["position"]


def test_number_of_ranks_counts_the_baseline():
    same = position_beside_base("still", ranks={"base": (1, 2, "A"), "still": (1, 2, "A")}, distance=0.6)
    assert same == (
        "Group A (1 to 2) of 2 ranked in its track, the baseline included. "
        "It is not distinguishable from the baseline."
    )


def test_method_farther_from_the_target_than_the_baseline_is_said_to_be_so():
    worse = position_beside_base("worse", ranks={"base": (1, 1, "A"), "worse": (2, 2, "B")}, distance=0.8)
    assert worse == (
        "Group B (2) of 2 ranked in its track, the baseline included. "
        "It is farther from the target than the baseline."
    )


def test_settings_are_those_of_a_method_and_not_of_the_baseline(contents):
    assert contents["base"]["settings"] == []
    assert dict(contents["uce"]["settings"])["Proposed by"] == "a third party"


def test_page_without_a_run_has_no_images(contents):
    found = contents["uce"]
    assert (found["changed"], found["strips"]) == (None, [])
    assert found["others"] == []
    assert contents["base"]["others"] == [("mini-quick-v2", "mini-quick-v2/base.html")]


def test_row_without_repeated_fits_has_one_entry(rows):
    (row,) = [row for row in rows if row.label == "uce"]
    assert entries_of(row) == [("uce", "uce@mini-quick-v1")]
    fits = [FitRow(label=f"uce:fit={n}", entry=f"e{n}", distance=0.3 + n / 10, band="ranked") for n in (1, 2)]
    fitted = row.model_copy(update={"fits": fits, "published": fits[0]})
    assert entries_of(fitted) == [("uce:fit=1", "e1"), ("uce:fit=2", "e2")]
    assert [line.cells[0].notes for line in fits_table(fitted).rows] == [("median, shown",), ()]
