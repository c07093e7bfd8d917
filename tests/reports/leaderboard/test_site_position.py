"""One method among the others in the planes of the trade-offs."""

import pytest
from helpers.report import a_comparison
from helpers.site import a_board, board_rows
from helpers.trade_off import placed

from evenhand.bench.policy.ranking import rankings
from evenhand.bench.results.lookup import Reading
from evenhand.reports.leaderboard.site_position import position


def figure(rows, label):
    ranking = rankings(rows)[-1]
    (own,) = [reading for reading in ranking.readings if reading.label == label]
    return position(ranking, own, ranking.key)


@pytest.fixture(scope="module")
def rows():
    return a_board()


def test_title_names_the_fronts_and_the_table_who_dominates(rows):
    found = figure(rows, "uce")
    assert found.title.startswith("uce is on the ") and "Pareto front of fairness and" in found.title
    assert len(found.panels) == len(found.table.rows) == 2
    changes = found.table.rows[1].cells
    assert "mist" in changes[3].text, "mist is more even and changes less"


def test_only_the_own_point_and_the_baseline_have_a_label(rows):
    image = str(figure(rows, "uce").panels[0].image)
    assert ">uce<" in image and ">baseline<" in image
    assert ">mist<" not in image and ">harmful<" not in image


def test_method_not_distinguishable_from_the_baseline_is_not_placed_on_a_front():
    still = placed("still", distance=0.6).model_copy(update={"comparisons": [a_comparison(0.0)]})
    rows = board_rows([placed("base", distance=0.6), still], {"base": (1, 2, "A"), "still": (1, 2, "A")})
    assert figure(rows, "still").title == "still is not distinguishable from the baseline"


def test_title_of_a_method_farther_than_the_baseline_says_so():
    results = [placed("base", distance=0.6), placed("worse", distance=0.8)]
    rows = board_rows(results, {"base": (1, 1, "A"), "worse": (2, 2, "B")})
    assert figure(rows, "worse").title == "worse is farther from the target than the baseline"


def test_method_without_measured_trade_offs_has_no_figure():
    base, own = placed("base", distance=0.6), placed("uce", distance=0.3)
    bare = own.model_copy(
        update={
            "losses": [],
            "estimates": [row for row in own.estimates if row.metric in ("rms_delta", "excess_agreement")],
        }
    )
    ranking = rankings(board_rows([base, bare], {}))[0]
    assert position(ranking, Reading.of(bare), ranking.key) is None
