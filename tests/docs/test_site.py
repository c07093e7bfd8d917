"""The documentation site builds without warnings, is accessible, and loads nothing from a network."""

import html
import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from helpers.page_checks import DESKTOP, PHONE, assert_accessible, assert_no_requests, opened
from helpers.paths import ROOT

from evenhand import bench
from evenhand.bench import catalog
from evenhand.bench.registry.entry_points import JUDGES, METHODS
from evenhand.bench.results.result import Result
from evenhand.bench.suites.suite import load_suite

SAMPLE_PAGES = (
    "index.html",
    "tutorial.html",
    "measurement.html",
    "api.html",
    "cards/judges.html",
    "cards/metrics.html",
    "methods/index.html",
    "methods/mist.html",
    "architecture.html",
)
WRAPPED = "[...document.querySelectorAll('.md-content table')].every(t => t.closest('[tabindex]'))"
"""Whether the theme and ``site.js`` have wrapped everything that may be wider than the page."""

NO_NUMBERS = {"schema_version", "spec", "environment", "notes"}
"""Fields of a result that describe the run and are not measurements."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site. The build is strict: a dead link or an unlisted page fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def words_of(page):
    """The visible text of a page, with white space normalised."""
    return " ".join(html.unescape(re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))).split())


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE_PAGES)
def test_pages_are_accessible_and_load_only_files_of_the_site(site, browser, name):
    for width in (PHONE, DESKTOP):
        with opened(browser, site / name, width=width) as page:
            page.wait_for_function(WRAPPED)
            # First, since axe-core requests the style sheets again.
            assert_no_requests(page, within=site)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert_accessible(page)


TUNED = load_suite("mini-2").tuned
"""The methods and variants that a committed record sets for ``mini-2``, with the parameters that won."""


@pytest.mark.slow
@pytest.mark.parametrize("method", TUNED)
def test_the_card_of_a_tuned_method_shows_the_parameters_that_won(site, method):
    rows = site_rows(site / "methods" / f"{method.split(':')[0]}.html")
    won = [str(value) for value in TUNED[method].values()]
    assert any("winner" in row[0] and row[1 : 1 + len(won)] == won for row in rows), won


def site_rows(page):
    """The texts of the cells of every row of a page's tables."""
    text = page.read_text(encoding="utf-8")
    cells = re.compile(r"<t[dh][^>]*>(.*?)</t[dh]>", re.DOTALL)
    return [
        [html.unescape(re.sub("<[^>]+>", "", cell)).strip() for cell in cells.findall(row)]
        for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["api.html", "methods/index.html", "tutorial.html"])
def test_pages_are_accessible_in_dark_mode(site, browser, name):
    with opened(browser, site / name) as page:
        page.wait_for_function(WRAPPED)
        page.get_by_title("Switch to the dark page").click()
        assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
        assert_accessible(page)


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given.get("id"), given.get("name")}
        if tag == "a" and given.get("href"):
            self.links.add(given["href"])


def target(path, *, on):
    """The address that a link leads to; the page itself for an empty path."""
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(on), path)).lstrip("/") if path else on


@pytest.fixture(scope="module")
def pages(site):
    """Every page of the site, by its address, with links as (address, anchor)."""
    found = {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}
    for address, page in found.items():
        urls = [url for url in map(urlsplit, page.links) if not url.scheme]
        page.links = {(target(url.path, on=address), url.fragment) for url in urls}
    return found


@pytest.mark.slow
def test_every_page_is_reachable_from_the_index(pages):
    reached, waiting = set(), {"index.html"}
    while waiting:
        address = waiting.pop()
        reached.add(address)
        waiting |= {to for to, _ in pages[address].links if to in pages} - reached
    assert set(pages) - reached == {"404.html"}


@pytest.mark.slow
def test_every_link_has_a_target(site, pages):
    dead = {
        (address, to, anchor)
        for address, page in pages.items()
        for to, anchor in page.links
        if not (anchor in pages[to].anchors if to in pages else (site / to).is_file())
    }
    assert dead == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_has_a_page_with_its_card(site, pages, name):
    card = next(card for card in catalog.find(name) if card["kind"] == "method")
    words = words_of(site / "methods" / f"{name}.html")
    assert card["title"] in words
    assert " ".join(card["summary"].split()) in words
    assert all(parameter["name"] in words for parameter in card["parameters"])
    assert (f"methods/{name}.html", "") in pages["methods/index.html"].links


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGES.names())
def test_every_judge_has_a_card_with_an_anchor(pages, name):
    assert name in pages["cards/judges.html"].anchors


@pytest.mark.slow
@pytest.mark.parametrize("name", bench.__all__)
def test_every_public_function_is_on_the_api_page(pages, name):
    offered = getattr(bench, name)
    assert f"{offered.__module__}.{offered.__qualname__}" in pages["api.html"].anchors


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["judges", "metrics", "prompts", "suites"])
def test_the_cards_of_a_kind_are_complete(site, kind):
    words = words_of(site / "cards" / f"{kind}.html")
    for card in catalog.cards(kind):
        assert " ".join(card["title"].split()) in words


@pytest.mark.slow
def test_the_guide_states_the_limits_of_every_metric(site):
    words = words_of(site / "measurement.html")
    for card in catalog.cards("metrics"):
        assert f"{card['name']} {card['title']}" in words
        assert " ".join(card["cannot_tell"].split()) in words


def test_the_guide_covers_every_other_field_of_a_result():
    guide = (ROOT / "docs" / "measurement.md").read_text(encoding="utf-8")
    assert {field for field in Result.model_fields if f"`{field}`" not in guide} == NO_NUMBERS
