"""The audit report in a real browser: phone and desktop, without scripts, without network."""

import pytest
from helpers.audit_report import an_audit
from helpers.full_report import METHODS, a_full_run, images_of_every_kind
from helpers.page_checks import (
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
from helpers.report import BIAS, CONCEPTS, a_run, some_images

from evenhand.bench.report import render_report

LONG = "mist:templates=a-photo-of-a-concept-with-a-very-long-name,step_size=0.6,tolerance=0.1"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    methods = [*BIAS, LONG]
    concepts = [*CONCEPTS[:5], "a concept with a name that is much longer than the space for it"]
    images = some_images(folder, methods, concepts)
    run = a_run(folder, methods=methods, concepts=concepts, images=images)
    (folder / "report.html").write_text(render_report(run))
    return folder / "report.html"


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def page(request, browser, report):
    """The report with scripts disabled."""
    with opened(browser, report, width=request.param, scripts=False) as shown:
        yield shown


@pytest.mark.slow
def test_page_fits_its_window_and_text_is_readable(page):
    open_everything(page)
    assert_layout_holds(page)


@pytest.mark.slow
def test_page_makes_no_requests_and_logs_nothing(page, report):
    open_everything(page)
    assert_no_requests(page, within=report)


@pytest.mark.slow
def test_page_is_accessible(browser, report):
    with opened(browser, report, width=PHONE) as shown:
        open_everything(shown)
        assert_accessible(shown)


@pytest.mark.slow
def test_html_of_runs_and_audits_is_valid(report, tmp_path):
    of_images = render_report(an_audit(tmp_path, "one", "two"))
    alone = render_report(a_run(methods=["base"], concepts=CONCEPTS[:2]))
    assert_valid_html(report.read_text(), of_images, alone)


@pytest.mark.slow
def test_page_is_within_its_size(report):
    assert_within(REPORT, report.read_text())


@pytest.mark.slow
def test_images_are_collapsed_and_load_when_opened(page):
    first = page.locator("#images img").first
    page.locator("nav a", has_text="Images").click()
    page.locator("#images summary").first.wait_for(state="visible")
    assert not first.is_visible()
    page.locator("#images summary").first.click()
    assert first.is_visible()
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")


@pytest.mark.slow
def test_table_of_contents_links_to_the_sections(page):
    page.locator("nav a", has_text="Provenance").click()
    page.wait_for_url("**#provenance")
    page.locator("#provenance p").first.wait_for(state="visible")


@pytest.mark.slow
def test_download_saves_the_table(page, tmp_path):
    page.locator("nav a", has_text="Cost").click()
    page.locator("#spent").wait_for(state="visible")
    with page.expect_download() as download:
        page.locator("#spent .save a").click()
    download.value.save_as(tmp_path / "cost.csv")
    assert download.value.suggested_filename == "cost.csv"
    assert (tmp_path / "cost.csv").read_text().startswith("Cost,base,")


@pytest.mark.slow
def test_page_prints(page):
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.slow
def test_keyboard_focus_follows_the_order_of_the_page(browser, report):
    with opened(browser, report) as shown:
        shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.className") == "skip"
        assert shown.locator(".skip").bounding_box()["x"] >= 0, "the link is visible while it has the focus"
        shown.keyboard.press("Enter")
        shown.wait_for_url("**#verdict")
        visited = []
        while not visited or visited[-1][0] != -1:
            shown.keyboard.press("Tab")
            visited.append(shown.evaluate(PLACE))
        places, outlines = zip(*visited[:-1], strict=True)
        assert list(places) == sorted(set(places))
        assert len(places) == shown.evaluate(FOCUSABLE)
        assert all(outlines), "the focus is visible"


FOCUSABLE = """() => [...document.querySelectorAll('main a, main summary, main [tabindex="0"]')]
  .filter(e => e.checkVisibility() && !e.closest('details:not([open]) > :not(summary)')).length"""

PLACE = """() => {
  const every = [...document.querySelectorAll('*')], here = document.activeElement;
  return [here === document.body ? -1 : every.indexOf(here), getComputedStyle(here).outlineStyle !== 'none'];
}"""


@pytest.mark.slow
def test_printing_splits_wide_tables_and_cuts_nothing(browser, report):
    with opened(browser, report, width=690) as shown:
        shown.emulate_media(media="print")
        assert shown.locator("nav").is_hidden() and shown.locator("#images").is_visible()
        assert shown.locator("#provenance table").count() == 2
        assert shown.locator("#hashes").is_visible()
        cut = "[...document.querySelectorAll('table, svg, p')].filter(e => e.getClientRects().length)"
        ends = shown.evaluate(f"Math.max(...{cut}.map(e => e.getBoundingClientRect().right))")
        assert ends <= 691


@pytest.mark.slow
def test_report_of_24_methods_prints_every_column_and_is_within_its_size(browser, tmp_path):
    run = a_full_run(tmp_path, images=images_of_every_kind(tmp_path, METHODS))
    page, path = render_report(run), tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    assert_within(REPORT, page)
    assert f'alt="{CONCEPTS[0]}, {METHODS[-1]}, seed 0' in page
    with opened(browser, path, width=690) as shown:
        shown.emulate_media(media="print")
        assert shown.locator("#methods").is_hidden()
        heads = shown.locator("#compared > .sheets thead th:not(:first-child)")
        assert heads.all_inner_texts() == METHODS[:1] + sorted(METHODS[1:])
        ends = "heads => Math.max(...heads.map(head => head.getBoundingClientRect().right))"
        assert heads.evaluate_all(ends) <= 691
