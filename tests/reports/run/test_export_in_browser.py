"""Taking things out of a report in a real browser: tables, figures, references, and the n behind a number."""

import xml.etree.ElementTree as ET
import zipfile

import pytest
from helpers.page_checks import assert_no_requests, opened
from helpers.report import CONCEPTS, a_result, a_run, parsed

from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.report import render_report
from evenhand.reports.components.exports import to_latex, to_markdown
from evenhand.reports.run.report import read_run
from evenhand.reports.run.worst import worst_table

pytestmark = pytest.mark.slow

METHODS = ["base", "mist"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run():
    return a_run(methods=METHODS, concepts=CONCEPTS[:3])


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "report.html"
    path.write_text(render_report(run), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, report):
    """The report with scripts and a clipboard."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    shown = context.new_page()
    shown.logged = []
    shown.on("console", lambda message: shown.logged.append(message.text))
    shown.on("pageerror", lambda fault: shown.logged.append(str(fault)))
    shown.goto(report.as_uri())
    yield shown
    assert shown.logged == []
    context.close()


def unfold(page, name):
    page.evaluate("name => { document.getElementById(name).closest('details').open = true; }", name)


def the_table(run, name):
    found = read_run(run, Outcomes.of(run.results))
    assert name == "worst"
    return worst_table(found.readings, found.key.attributes)


def test_button_copies_the_table_as_latex(page, run):
    unfold(page, "worst-cells")
    page.locator("#worst-cells").get_by_role("button", name="Copy LaTeX").click()
    page.get_by_role("status").get_by_text("Copied").wait_for(state="attached")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == to_latex(the_table(run, "worst")) and copied.startswith(r"\begin{table}")


@pytest.mark.parametrize("form", ["Markdown", "CSV"])
def test_button_copies_the_table_as(form, page, run):
    unfold(page, "worst-cells")
    page.locator("#worst-cells").get_by_role("button", name=f"Copy {form}").click()
    page.get_by_role("status").get_by_text("Copied").wait_for(state="attached")
    table = the_table(run, "worst")
    expected = to_markdown(table) if form == "Markdown" else table.to_csv().replace("\r\n", "\n")
    assert page.evaluate("navigator.clipboard.readText()").replace("\r\n", "\n") == expected


def test_long_table_is_copied_out_of_its_archive(page, run):
    unfold(page, "compared")
    block = page.locator("p.save[data-table='methods']")
    assert block.locator("a").get_attribute("download").startswith("methods.")
    for form, start in (("LaTeX", r"\\begin{table}"), ("CSV", "Measure,base,")):
        block.get_by_role("button", name=f"Copy {form}").click()
        page.wait_for_function(
            "start => navigator.clipboard.readText().then(text => text.startsWith(start))", arg=start
        )


def test_every_format_is_on_the_page_without_scripts(browser, report, run, tmp_path):
    with opened(browser, report, scripts=False) as shown:
        unfold_without_scripts(shown, "downloads")
        with shown.expect_download() as download:
            shown.locator("a[download='tables.zip']").click()
        download.value.save_as(tmp_path / "tables.zip")
        with zipfile.ZipFile(tmp_path / "tables.zip") as packed:
            assert packed.read("worst.tex").decode() == to_latex(the_table(run, "worst"))
            assert packed.read("methods.md").decode().startswith("**Every measure")
        assert shown.locator("#downloads .copy pre").is_visible()
        assert shown.locator("button:visible").count() == 0, "nothing on the page needs a script"
        assert_no_requests(shown, within=report)


def unfold_without_scripts(shown, name):
    shown.locator(f"details:has(> #{name}) > summary").click()


def test_n_behind_a_number_is_under_the_pointer_and_in_the_table(page):
    unfold(page, "figures")
    mark = page.locator("#overview [data-tip^='mist: ']").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 6, box["y"] + box["height"] / 2)
    tip = page.locator(".tip")
    assert tip.is_visible()
    row = a_result("mist", concepts=CONCEPTS[:3]).estimate(
        "rms_delta", attributes="gender*tone*age", corrected=True
    )
    value, n = f"{row.value:.3f}", f"n {row.n:,}"
    assert value in tip.inner_text() and n in tip.inner_text()
    page.mouse.move(0, 0)
    assert tip.is_hidden()
    unfold(page, "compared")
    line = page.locator("#methods tr", has_text="primary measure")
    assert n in line.inner_text() and value in line.inner_text()


def test_marks_have_titles_without_scripts(report):
    figure = parsed(report.read_text()).by_id("overview")
    titles = [title.text for title in figure.all("title")]
    assert len(titles) == 2 * 4 and all(" to " in title and "n 1,600" in title for title in titles)


def test_figure_is_saved_as_a_complete_svg_file(page, tmp_path):
    unfold(page, "figures")
    with page.expect_download() as download:
        page.locator("#overview").get_by_role("button", name="Save as SVG").first.click()
    assert download.value.suggested_filename == "overview-1.svg"
    download.value.save_as(tmp_path / "figure.svg")
    root = ET.parse(tmp_path / "figure.svg").getroot()
    assert root.tag == f"{SVG}svg" and root.find(f"{SVG}title").text.startswith("Distance over")
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert any(title.startswith("mist: ") for title in titles), "the marks keep their numbers"
    assert root.find(f"{SVG}rect").get("fill") == "white"


def test_references_are_copied(page):
    unfold(page, "downloads")
    page.locator("#downloads").get_by_role("button", name="Copy BibTeX").click()
    page.get_by_role("status").get_by_text("Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()").startswith("@software{evenhand,")


def test_printing_unfolds_everything(page):
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
