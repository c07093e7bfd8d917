"""The first screens look as they did when somebody last looked at them.

Snapshots are so coarse that other fonts pass, and another arrangement or colour does not. If a page is meant
to look different, run this file with ``EVENHAND_UPDATE_LOOKS=1`` and look at the page before you commit.
"""

import pytest
from helpers.comparisons import compared, difference, flips
from helpers.example_reports import example_reports
from helpers.looks import TOLERATED, assert_looks_as_before, coarse, distance
from helpers.page_checks import DESKTOP, PHONE, opened
from helpers.site import a_board, write_site
from helpers.stored_run import a_stored_run

from evenhand.bench.report import write_report
from evenhand.reports.comparison.report import render_comparison

pytestmark = pytest.mark.slow

HEIGHTS = {DESKTOP: 900, 768: 1024, PHONE: 844}
PAGES = ["few", "many", "audit", "board", "method", "comparison", "gallery"]

SET_FONT = """font => document.querySelectorAll('*')
  .forEach(e => e.style.setProperty('font-family', font, 'important'))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The path of every page by name."""
    site, run = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("run")
    write_site(site, a_board())
    a_stored_run(run)
    write_report(run)
    comparison = site / "comparison.html"
    rows = [difference("mist", -0.2), difference("uce", -0.05)]
    changes = [flips("mist", [[8, 2], [1, 9]]), flips("uce", [[10, 0], [0, 10]])]
    comparison.write_text(render_comparison(compared(*rows, flips=changes)), encoding="utf-8")
    found = {"board": site / "index.html", "method": site / "mini-quick-v1" / "uce.html"}
    return found | {"comparison": comparison, "gallery": run / "gallery.html"} | example_reports()


@pytest.mark.parametrize("width", HEIGHTS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_first_screen_looks_as_before(browser, pages, name, width, scheme):
    with opened(browser, pages[name], width=width, height=HEIGHTS[width], scheme=scheme) as page:
        assert_looks_as_before(page, f"{name}-{width}-{scheme}")


@pytest.mark.parametrize("width", HEIGHTS)
def test_another_font_is_tolerated_and_another_place_or_colour_is_not(browser, pages, width):
    with opened(browser, pages["few"], width=width, height=HEIGHTS[width]) as page:
        before = coarse(page)
        page.evaluate(SET_FONT, "DejaVu Serif")
        assert 0 < distance(before, coarse(page)) < TOLERATED
        page.evaluate(SET_FONT, "")
        page.evaluate("document.body.style.paddingTop = '60px'")
        assert distance(before, coarse(page)) > TOLERATED
        page.evaluate("document.body.style = ''")
        assert distance(before, coarse(page)) == 0
        page.evaluate("document.body.style.background = '#dfe8f3'")
        assert distance(before, coarse(page)) > TOLERATED
