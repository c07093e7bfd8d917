"""The start page: every suite with its tracks and bands."""

import csv
import io

import pytest
from helpers.site import a_board, board_rows
from helpers.trade_off import placed

from evenhand.bench.policy.ranking import rankings
from evenhand.reports.leaderboard.site_index import index_content, version_terms
from evenhand.reports.leaderboard.site_map import SiteMap


def sections(rows):
    found = rankings(rows)
    return {section.name: section for section in index_content(found, SiteMap.of(found))["sections"]}


@pytest.fixture(scope="module")
def section():
    return sections(a_board())["mini-quick-v1"]


def test_section_has_the_baseline_and_a_part_per_band_of_each_track(section):
    (track,) = section.tracks
    assert track.title == "One model"
    assert [(part.band, len(part.lines)) for part in track.bands] == [("ranked", 2), ("harm proven", 1)]
    assert section.baseline.anchor == "mini-quick-v1--base"
    assert section.families == ["weights"], "that of the baseline is no filter"


def test_summary_counts_the_methods_of_every_band(section):
    assert section.summary == [
        (
            "One model",
            "Not distinguishable from the best: mist and uce. 3 methods: 2 ranked and 1 harm proven.",
        )
    ]


def test_tracks_are_separate_parts():
    rows = board_rows(
        [placed("base", distance=0.6), placed("uce", distance=0.3), placed("efa", distance=0.4)], {}
    )
    rows[-1] = rows[-1].model_copy(update={"track": "at sampling time"})
    assert [track.title for track in sections(rows)["mini-quick-v1"].tracks] == [
        "One model",
        "At sampling time",
    ]


def test_download_has_every_method_with_every_number(section):
    rows = list(csv.DictReader(io.StringIO(section.download.csv)))
    assert [row["Method"] for row in rows] == ["base", "mist", "uce", "harmful"]
    (mist,) = [row for row in rows if row["Method"] == "mist"]
    assert float(mist["Distance ↓"]) == pytest.approx(0.35)


def test_what_all_rows_share_names_voting_judges_only():
    terms = dict(version_terms(rankings(a_board())[-1]))
    assert terms["Suite"] == "mini-quick, version 1 (5e5e5e5e5e5e)"
    assert "vit 1 (supervised)" in terms["Voting judges"] and "clip-xs" not in terms["Voting judges"]


def test_suite_without_a_distance_has_no_front_and_no_suite_no_section():
    blank = placed("base", distance=0.6).model_copy(update={"estimates": []})
    (found,) = sections(board_rows([blank], {})).values()
    assert found.fronts is None
    assert sections([]) == {}
