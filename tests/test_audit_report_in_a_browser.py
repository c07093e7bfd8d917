"""The audit report in a real browser: phone and desktop, without scripts, without network."""

import pytest
from report_kit import BIAS, CONCEPTS, a_run, some_pictures

from evenhand.reports.audit import write_audit

LONG = "mist:templates=a-photo-of-a-concept-with-a-very-long-name,step=0.6,tolerance=0.1"

SMALLEST = """() => {
  const sizes = [...document.querySelectorAll('body *')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .filter(e => e.getClientRects().length)
    .map(e => {
      const svg = e.closest('svg');
      const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
      return parseFloat(getComputedStyle(e).fontSize) * scale;
    });
  return Math.min(...sizes);
}"""

CUT = """() => [...document.querySelectorAll('main *')]
  .filter(e => !e.closest('.scroll') && e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    methods = [*BIAS, LONG]
    concepts = [*CONCEPTS[:5], "a concept with a name that is much longer than the space for it"]
    pictures = some_pictures(folder, methods, concepts)
    write_audit(a_run(folder, methods=methods, concepts=concepts, pictures=pictures), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(params=[390, 1440], ids=["phone", "desktop"])
def page(request, browser, report):
    """The report as a reader opens it, with what it logged and asked for; scripts are off."""
    context = browser.new_context(viewport={"width": request.param, "height": 900}, java_script_enabled=False)
    opened = context.new_page()
    opened.logged, opened.asked = [], []
    opened.on("console", lambda message: opened.logged.append(message.text))
    opened.on("request", lambda asked: opened.asked.append(asked.url))
    opened.goto(report.as_uri())
    yield opened
    context.close()


def open_everything(page):
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()


def test_the_page_fits_its_window_and_its_letters_can_be_read(page):
    open_everything(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.evaluate(CUT) == []
    assert page.evaluate(SMALLEST) >= 10.5


def test_the_page_asks_for_nothing_and_complains_about_nothing(page, report):
    open_everything(page)
    assert [url for url in page.asked if not url.startswith("data:")] == [report.as_uri()]
    assert page.logged == []


def test_pictures_lie_behind_a_click_and_are_all_shown_after_it(page):
    first = page.locator("#pictures img").first
    assert not first.is_visible()
    page.locator("#pictures summary").first.click()
    assert first.is_visible()
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")


def test_a_link_of_the_contents_leads_to_its_section(page):
    page.locator("nav a", has_text="Provenance").click()
    assert page.url.endswith("#provenance")
    assert page.locator("#provenance h2").is_visible()


def test_a_download_saves_the_table(page, tmp_path):
    with page.expect_download() as download:
        page.locator("#downloads a", has_text="Counts are exact").click()
    download.value.save_as(tmp_path / "cost.csv")
    assert download.value.suggested_filename == "cost.csv"
    assert (tmp_path / "cost.csv").read_text().startswith("Cost,base,")


def test_the_page_prints(page):
    assert page.pdf(format="A4").startswith(b"%PDF")
