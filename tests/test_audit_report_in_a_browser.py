"""The audit report in a real browser: phone and desktop, without scripts, without network."""

import pytest
from page_checks import (
    DESKTOP,
    PHONE,
    REPORT,
    assert_accessible,
    assert_layout_holds,
    assert_no_requests,
    assert_valid_html,
    assert_within,
    open_everything,
    opened,
)
from report_kit import BIAS, CONCEPTS, a_run, some_pictures
from test_the_report_of_an_audit_speaks_of_pictures import an_audit

from evenhand.reports.audit import render_audit, write_audit

LONG = "mist:templates=a-photo-of-a-concept-with-a-very-long-name,step=0.6,tolerance=0.1"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    methods = [*BIAS, LONG]
    concepts = [*CONCEPTS[:5], "a concept with a name that is much longer than the space for it"]
    pictures = some_pictures(folder, methods, concepts)
    write_audit(a_run(folder, methods=methods, concepts=concepts, pictures=pictures), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def page(request, browser, report):
    """The report as a reader opens it; scripts are off."""
    with opened(browser, report, width=request.param, scripts=False) as shown:
        yield shown


def test_the_page_fits_its_window_and_its_letters_can_be_read(page):
    open_everything(page)
    assert_layout_holds(page)


def test_the_page_asks_for_nothing_and_complains_about_nothing(page, report):
    open_everything(page)
    assert_no_requests(page, within=report)


def test_the_page_keeps_the_rules_of_accessibility(browser, report):
    with opened(browser, report, width=PHONE) as shown:
        open_everything(shown)
        assert_accessible(shown)


def test_the_html_is_valid_with_and_without_a_run_behind_it(report, tmp_path):
    of_pictures = render_audit(an_audit(tmp_path, "one", "two"))
    alone = render_audit(a_run(methods=["base"], concepts=CONCEPTS[:2]))
    assert_valid_html(report.read_text(), of_pictures, alone)


def test_the_page_is_small(report):
    assert_within(REPORT, report.read_text())


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
        page.locator("#spent .save a").click()
    download.value.save_as(tmp_path / "cost.csv")
    assert download.value.suggested_filename == "cost.csv"
    assert (tmp_path / "cost.csv").read_text().startswith("Cost,base,")


def test_the_page_prints(page):
    assert page.pdf(format="A4").startswith(b"%PDF")
