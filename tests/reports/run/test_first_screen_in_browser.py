"""The first screen in a real browser: what is in view at once on a desktop and on a phone.

Positions are compared with the window and never with pixels of a picture, so that fonts may differ.
"""

import pytest
from helpers.example_reports import MANY, RUNS, example_reports
from helpers.page_checks import (
    DESKTOP,
    PHONE,
    assert_accessible,
    assert_layout_holds,
    assert_no_requests,
    opened,
)
from helpers.report import CONCEPTS, a_run

from evenhand.bench.report import render_report

HEIGHTS = {DESKTOP: 900, PHONE: 844}
PARTS = (".headline", "#marks", "#first-plot", "#look")


@pytest.fixture(scope="module")
def reports():
    """The path of the report of every run."""
    return example_reports()


@pytest.fixture(params=RUNS)
def report(request, reports):
    return reports[request.param]


def box(page, selector):
    """Left, top, right and bottom of the part, in the window before any scrolling."""
    found = page.locator(selector).first.bounding_box()
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


@pytest.mark.parametrize("width", HEIGHTS, ids=["desktop", "phone"])
def test_no_part_is_wider_than_the_window_and_all_text_is_large_enough(browser, report, width):
    with opened(browser, report, width=width, height=HEIGHTS[width], scripts=False) as page:
        for part in PARTS:
            left, _, right, _ = box(page, part)
            assert left >= 0 and right <= width, part
        assert_layout_holds(page)
        assert page.evaluate("document.querySelector('.frame').scrollWidth") <= width


@pytest.mark.parametrize("width", HEIGHTS, ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["few", "audit", "alone"])
def test_verdict_and_all_marks_are_in_view_without_scrolling(browser, reports, name, width):
    with opened(browser, reports[name], width=width, height=HEIGHTS[width], scripts=False) as page:
        assert box(page, ".headline")[3] <= box(page, "#marks")[1]
        assert box(page, "#marks")[3] <= HEIGHTS[width]


@pytest.mark.parametrize("width", HEIGHTS, ids=["desktop", "phone"])
def test_of_16_methods_the_verdict_and_the_first_marks_are_in_view(browser, reports, width):
    with opened(browser, reports["many"], width=width, height=HEIGHTS[width], scripts=False) as page:
        assert page.locator("#marks tbody tr").count() == len(MANY)
        assert box(page, ".headline")[3] <= box(page, "#marks")[1]
        assert box(page, "#marks tbody tr:nth-child(4)")[3] <= HEIGHTS[width]


def test_on_a_desktop_chart_and_images_are_in_view_too(browser, report):
    with opened(browser, report, height=900, scripts=False) as page:
        assert max(box(page, part)[3] for part in ("#first-plot", "#look")) <= 900
        marks, images = box(page, ".answers"), box(page, "#look")
        assert marks[2] <= images[0], "the images are beside the marks"


@pytest.mark.parametrize("width", HEIGHTS, ids=["desktop", "phone"])
def test_images_are_shown_at_once_in_columns_of_one_prompt(browser, reports, width):
    with opened(browser, reports["few"], width=width, scripts=False) as page:
        rows = page.locator("#look tbody tr")
        assert rows.count() == 4
        shown = [
            [img.bounding_box() for img in row.locator("img").all() if img.is_visible()] for row in rows.all()
        ]
        assert {len(row) for row in shown} == {6 if width == DESKTOP else 4}
        for column in zip(*shown, strict=True):
            assert max(place["x"] for place in column) - min(place["x"] for place in column) < 1
        loaded = "[...document.querySelectorAll('#look img')].every(i => i.complete && i.naturalWidth > 0)"
        assert page.evaluate(loaded)


def test_changed_groups_are_framed_and_bold_and_disobeyed_prompts_have_a_cross(browser, reports):
    with opened(browser, reports["few"], scripts=False) as page:
        base, method = page.locator("#look tbody tr").nth(0), page.locator("#look tbody tr").nth(1)
        assert base.locator(".changed").count() == 0
        assert method.locator(".changed").count() == 6
        assert set(method.locator("b").all_inner_texts()) == {"man"}
        weight = "e => getComputedStyle(e).fontWeight"
        assert int(method.locator("b").first.evaluate(weight)) >= 600
        frame = "e => getComputedStyle(e).outlineStyle"
        assert method.locator("img").first.evaluate(frame) == "solid"
        assert base.locator("img").first.evaluate(frame) == "none"
        # The prompts ask for men: only the baseline's women are wrong.
        assert [row.locator(".cross").count() for row in (base, method)] == [2, 0]
        assert "the prompt names man" in base.locator("img").last.get_attribute("alt")


def test_baseline_and_models_of_an_audit_have_the_same_first_screen(browser, reports):
    with opened(browser, reports["audit"], scripts=False) as page:
        assert page.locator("#marks thead th").all_inner_texts()[:2] == ["Model", "Even?"]
        assert page.locator("#marks tbody th bdi").all_inner_texts() == ["one", "two"]
        assert page.locator("#look tbody th").all_inner_texts() == ["one", "two"]
        assert page.locator("#look .changed").count() == 0
        assert page.locator("#look .reading").inner_text().startswith("Prompts are evenly spaced")


def test_perceived_is_explained_once(browser, report):
    with opened(browser, report, scripts=False) as page:
        assert page.locator("main").inner_text().count("takes an image to show") == 1
        assert box(page, ".perceived")[3] < 300


def test_everything_else_is_folded_and_a_link_opens_its_section(browser, reports):
    with opened(browser, reports["few"], scripts=False) as page:
        folds = page.locator("main > .fold > details")
        assert folds.count() >= 10
        assert page.locator("main > .fold > details[open]").count() == 0
        assert all(lead.inner_text().endswith(".") for lead in page.locator(".lead").all())
        page.locator("nav a", has_text="Limitations").click()
        page.locator("#limits li").first.wait_for(state="visible")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", HEIGHTS, ids=["desktop", "phone"])
def test_first_screen_is_accessible_and_asks_for_nothing(browser, report, width, scheme):
    with opened(browser, report, width=width, height=HEIGHTS[width], scheme=scheme) as page:
        assert_accessible(page)
        assert_no_requests(page, within=report)


def test_dark_pages_are_dark_with_light_text_in_charts_too(browser, reports):
    def lightness(page, selector, style):
        colour = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{style}")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3

    with opened(browser, reports["few"], scheme="dark", scripts=False) as page:
        assert lightness(page, "body", "backgroundColor") < 60
        for text in (".headline", "#marks td b", ".perceived"):
            assert lightness(page, text, "color") > 150
        assert lightness(page, "#first-plot svg text", "fill") > 150


def test_printed_first_screen_fits_the_page(browser, report):
    with opened(browser, report, width=690, scheme="dark") as page:
        page.emulate_media(media="print")
        assert all(box(page, part)[2] <= 691 for part in PARTS)
        white = "getComputedStyle(document.querySelector('.headline')).color"
        assert page.evaluate(white) == "rgb(31, 41, 51)", "a dark screen is printed light"


def test_a_method_with_many_parameters_does_not_widen_the_page(browser, tmp_path):
    label = "concept-algebra:gamma=1.0,threshold=0.9,towards=cell,until=1.0"
    path = tmp_path / "report.html"
    path.write_text(render_report(a_run(tmp_path, methods=["base", label], concepts=CONCEPTS[:4])))
    with opened(browser, path, width=PHONE, height=HEIGHTS[PHONE]) as page:
        assert_layout_holds(page)
