"""Paths of the pages: safe and unique for any name."""

import re

from helpers.report import a_judge
from helpers.site import HOSTILE, a_board, a_hostile_board, board_rows
from helpers.trade_off import placed

from evenhand.bench.policy.ranking import rankings
from evenhand.reports.leaderboard.site_map import LONGEST, SiteMap


def test_methods_with_similar_names_have_separate_pages():
    results = [placed("base", distance=0.6), placed("a:b=1", distance=0.3), placed("a:b/1", distance=0.3)]
    found = rankings(board_rows(results, {}))
    pages = set(SiteMap.of(found).methods.values())
    assert len(pages) == 3


def test_pages_are_in_the_folder_of_their_suite_and_version():
    found = rankings(a_board())
    pages = SiteMap.of(found)
    assert pages.methods["mini-quick-v1", "mist"] == "mini-quick-v1/mist.html"
    assert pages.methods["mini-quick-v2", "base"] == "mini-quick-v2/base.html"
    assert {pages.suite(ranking) for ranking in found} == {
        "index.html#mini-quick-v1",
        "index.html#mini-quick-v2",
    }
    assert pages.judge(a_judge("vit")) == "judges/vit-1.html"
    assert pages.entry("mist@mini-quick-v1") == "entries/mist@mini-quick-v1/entry.json"


def test_file_names_of_hostile_and_long_names_are_short_and_plain():
    rows = [
        *a_hostile_board(),
        *board_rows([placed("x" * 300, distance=0.3), placed("..", distance=0.3)], {}),
    ]
    pages = SiteMap.of(rankings(rows))
    for path in (*pages.methods.values(), *pages.judges.values()):
        folder, name = path.split("/")
        assert re.fullmatch(r"[a-z0-9.-]+", folder) and re.fullmatch(r"[a-z0-9-][a-z0-9.-]*\.html", name)
        assert ".." not in path and len(name) <= LONGEST + len(".html") and HOSTILE not in path
