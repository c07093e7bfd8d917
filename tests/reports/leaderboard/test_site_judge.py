"""A judge's page: its versions, roles and errors."""

import pytest
from helpers.report import a_judge, parsed
from helpers.site import a_board, board_rows, measured_errors
from helpers.trade_off import placed

from evenhand.bench.policy.ranking import rankings
from evenhand.reports.leaderboard.site import render_site
from evenhand.reports.leaderboard.site_judge import judge_content, judge_seats
from evenhand.reports.leaderboard.site_map import SiteMap


@pytest.fixture(scope="module")
def rows():
    return a_board()


def text_of(page):
    return parsed(page).text


def test_known_errors_of_a_suite_are_used_if_its_results_have_none(rows):
    later = [row for row in rows if row.result.spec.suite_version == "2"]
    site = render_site(later, entries={}, errors={"7f" * 32: measured_errors()})
    assert "90.0%" in text_of(site["judges/clip-s-1.html"])


def with_judges(result, judges):
    return result.model_copy(update={"spec": result.spec.model_copy(update={"judges": judges})})


def content(rows, name, errors=None):
    found = rankings(rows)
    (seat,) = [seat for seat in judge_seats(found) if seat.card.name == name]
    return judge_content(seat, SiteMap.of(found), errors or {})


def test_every_version_of_a_judge_has_a_seat_with_its_suites(rows):
    seats = judge_seats(rankings(rows))
    assert [seat.card.name for seat in seats] == ["clip-s", "clip-xs", "tone-ita", "vit"]
    assert [len(seat.suites) for seat in seats] == [2, 2, 2, 2]
    later = a_judge("vit").model_copy(update={"version": "2"})
    result = placed("base", distance=0.6)
    more = board_rows([with_judges(result, [*result.spec.judges, later])], {"base": (1, 1, "A")})
    assert [seat.card.version for seat in judge_seats(rankings(more)) if seat.card.name == "vit"] == [
        "1",
        "2",
    ]


def test_role_names_its_methods_only_where_it_differs_between_them():
    base, own = placed("base", distance=0.6), placed("uce", distance=0.3)
    cards = [
        card.model_copy(update={"role": "non-voting"}) if card.name == "clip-xs" else card
        for card in own.spec.judges
    ]
    rows = board_rows([base, with_judges(own, cards)], {"base": (1, 2, "A"), "uce": (1, 2, "A")})
    (suite,) = content(rows, "clip-xs")["suites"]
    assert suite.roles == [
        ("Steers the method and has no vote on its result", "base"),
        ("Is measured and shown, but has no vote", "uce"),
    ]
    (suite,) = content(rows, "vit")["suites"]
    assert suite.roles == [("Votes in the panel", "every method")]


def test_errors_of_a_judge_stand_beside_those_of_the_panel_and_of_no_other(rows):
    vit = [row.model_copy(update={"judge": "vit"}) for row in measured_errors() if row.judge == "clip-s"]
    later = [row for row in rows if row.result.spec.suite_version == "2"]
    known = {"7f" * 32: [*measured_errors(), *vit]}
    for name in ("clip-s", "vit"):
        ((table,),) = [suite.errors for suite in content(later, name, known)["suites"]]
        assert [group for group, _, _ in table.groups] == ["panel", name]
    assert content(later, "tone-ita", known)["suites"][0].errors == []


def test_agreement_is_that_of_pairs_with_the_judge(rows):
    suite = content(rows, "vit")["suites"][0]
    assert suite.agreement.rows and suite.agreement.name.startswith("agreement-mini-quick-v")
    assert content(rows, "tone-ita")["suites"][0].agreement.rows == []
