"""The documentation site builds without a warning, asks for nothing, and everybody can read it."""

import html
import re
import subprocess
import sys

import pytest
from documents_kit import ROOT
from page_checks import DESKTOP, PHONE, assert_accessible, assert_no_requests, opened

from evenhand.bench import catalogue
from evenhand.bench.result import Result

KINDS_OF_PAGES = (
    "index.html",
    "tutorial.html",
    "measurement.html",
    "api.html",
    "cards/metrics.html",
    "methods/mist.html",
)
WRAPPED = "[...document.querySelectorAll('.md-content table')].every(t => t.closest('[tabindex]'))"
"""Whether the theme and ``site.js`` have done their work on what may be wider than the page."""

NO_NUMBERS = {"schema_version", "spec", "environment", "notes"}
"""Fields of a result that say what was run, and measure nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site. The build is strict: a dead link or an unlisted page ends it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def words_of(page):
    """The text of a page as a reader sees it, white space evened out."""
    return " ".join(html.unescape(re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))).split())


@pytest.mark.parametrize("name", KINDS_OF_PAGES)
def test_a_page_is_accessible_and_asks_for_nothing_but_the_site(site, browser, name):
    for width in (PHONE, DESKTOP):
        with opened(browser, site / name, width=width) as page:
            page.wait_for_function(WRAPPED)
            # First of all, since axe-core asks for the style sheets once more.
            assert_no_requests(page, within=site)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert_accessible(page)


@pytest.mark.parametrize("kind", ["judges", "metrics", "prompts", "suites"])
def test_the_cards_of_a_kind_are_complete(site, kind):
    words = words_of(site / "cards" / f"{kind}.html")
    for card in catalogue.cards(kind):
        assert " ".join(card["title"].split()) in words


def test_the_guide_says_of_every_metric_what_it_cannot_tell(site):
    words = words_of(site / "measurement.html")
    for card in catalogue.cards("metrics"):
        assert f"{card['name']} {card['title']}" in words
        assert " ".join(card["cannot_tell"].split()) in words


def test_the_guide_says_of_every_other_number_what_it_cannot_tell():
    guide = (ROOT / "docs" / "measurement.md").read_text(encoding="utf-8")
    assert {field for field in Result.model_fields if f"`{field}`" not in guide} == NO_NUMBERS
