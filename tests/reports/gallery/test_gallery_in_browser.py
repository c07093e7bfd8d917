"""The gallery in a real browser: filters, keyboard, links, the answers of the judges, hostile names."""

from contextlib import contextmanager

import pytest
from helpers.page_checks import (
    DESKTOP,
    PHONE,
    assert_accessible,
    assert_layout_holds,
    assert_no_requests,
    assert_valid_html,
    opened,
)
from helpers.stored_run import IMAGES, METHODS, SEEDS, a_stored_run

from evenhand.bench.report import write_report

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
TABLET = 768


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    a_stored_run(folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A run whose gallery shows the files of the run folder, with three chunks."""
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenhand.reports.gallery.page.EMBEDDED", 0)
        patch.setattr("evenhand.reports.gallery.data.CHUNK", 60)
        a_stored_run(folder, seeds=30)
        write_report(folder)
    return folder


@contextmanager
def gallery(browser, folder, fragment="", *, width=DESKTOP, **options):
    with opened(browser, folder / "gallery.html", width=width, **options) as page:
        if fragment:
            page.evaluate("fragment => { location.hash = fragment; }", fragment)
            until(page, "document.getElementById('app').hidden === false")
        yield page


@pytest.fixture
def page(browser, folder):
    with gallery(browser, folder) as shown:
        yield shown


def until(page, expression):
    """Wait until a condition holds; the policy of the page forbids Playwright's own way of waiting."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


def count(page):
    return page.locator("#count").inner_text()


def captions(page, selector=".hit"):
    """The method and the visible words of every image."""
    shown = page.locator(f"#grid {selector}").all()
    return [" ".join(shot.inner_text().replace("\n", " ").split()) for shot in shown]


def test_images_that_one_method_changed_for_a_concept_are_found_with_the_filter(page):
    assert count(page) == f"{IMAGES} of {IMAGES} images"
    page.get_by_label("Concept").select_option("nurse")
    page.locator("select[name=method]").select_option("mist")
    page.get_by_label("perceived group changed").check()
    assert count(page).startswith("2 of ")
    assert [text.split()[:2] for text in captions(page)] == [["mist", "man"], ["mist", "woman"]]
    assert page.locator("#grid .hit b").all_inner_texts() == ["man", "woman"]
    assert page.locator("#grid .unit h2").all_inner_texts() == [
        "a photo of a nurse seed 1",
        "a photo of a male nurse seed 0",
    ]
    methods = page.locator("#grid .method").all_inner_texts()
    assert methods == ["base", "mist"] * 2, "the baseline's image of the same noise is beside each"
    page.get_by_role("button", name="Clear").click()
    until(page, f"document.getElementById('count').textContent === '{IMAGES} of {IMAGES} images'")


def test_disobeyed_prompt_has_a_cross_and_split_judges_a_sign(page):
    page.get_by_label("prompt disobeyed").check()
    (caption,) = captions(page)
    assert "mist" in caption and "✗" in caption
    page.get_by_label("prompt disobeyed").uncheck()
    page.get_by_label("judges disagree").check()
    (caption,) = captions(page)
    assert "uce" in caption and "≠" in caption and "?" in caption


@pytest.mark.parametrize(
    ("label", "option", "images"),
    [
        ("Perceived gender", "undetermined", 1),
        ("Perceived skin tone", "dark", 1),
        ("Prompts", "explicit prompts", 2 * len(METHODS)),
        ("Concept", "cat", len(METHODS)),
    ],
)
def test_filter_by_cell_kind_and_concept(page, label, option, images):
    page.get_by_label(label).select_option(label=option)
    assert count(page).startswith(f"{images} of ")


def test_address_keeps_the_filter_and_the_open_image(browser, folder, page):
    page.get_by_label("Concept").select_option("nurse")
    page.get_by_label("perceived group changed").check()
    page.locator("#grid .hit").first.click()
    address = page.url
    assert "concept=nurse" in address and "changed=1" in address and "open=mist" in address
    with gallery(browser, folder, address.partition("#")[2]) as again:
        assert again.locator("dialog[open] #box-title").inner_text() == "a photo of a nurse"
        assert again.locator("#box-terms dd").first.inner_text() == "mist"
        assert again.get_by_label("Concept").input_value() == "nurse"
        again.keyboard.press("Escape")
        until(again, "!location.hash.includes('open=')")
        assert "concept=nurse" in again.url


@pytest.mark.parametrize(
    ("fragment", "complaint"),
    [
        ("concept=nobody", "This run has no concept “nobody”"),
        ("open=mist/x/0", "no image that the link names"),
    ],
)
def test_link_to_what_the_run_does_not_have_says_so(browser, folder, fragment, complaint):
    with gallery(browser, folder, fragment) as shown:
        until(shown, f"document.getElementById('count').textContent.includes({complaint!r})")


def test_gallery_works_with_the_keyboard_alone(page):
    while not page.evaluate("document.activeElement.matches('#grid .shot')"):
        page.keyboard.press("Tab")
    place = "document.activeElement.dataset.image"
    seen = [page.evaluate(place)]
    for key in ("ArrowRight", "ArrowDown", "End", "Home", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        seen.append(page.evaluate(place))
    assert seen[0] == "0,0" and seen[1] == "0,1" and seen[4] == seen[6] == "0,1" and seen[5] == "0,2"
    assert seen[2] != seen[1] and seen[3].startswith(f"{2 * (SEEDS + 1)},"), seen
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "box-title"
    page.keyboard.press("ArrowRight")
    assert page.locator("#box-terms dd").first.inner_text() == "uce"
    page.keyboard.press("ArrowDown")
    assert "1 (noise 1001)" in page.locator("#box-terms").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    until(page, f"{place} === '1,2'")  # the focus is on the image that was open


def test_enlarged_image_shows_prompt_seed_and_every_judges_answer(page):
    page.get_by_label("judges disagree").check()
    page.locator("#grid .hit").click()
    terms = page.locator("#box-terms").inner_text()
    assert "2 (noise 1002)" in terms and "a photo of a nurse, rewritten" in terms
    assert "Judges disagree: gender" in page.locator("#box-marks").inner_text()
    rows = page.locator("#box-answers tbody tr").all_inner_texts()
    answers = {row.split()[0]: " ".join(row.split()) for row in rows}
    assert set(answers) == {"panel", "clip-s", "vit", "tone-ita", "clip-xs"}
    assert (
        "inconsistent" in answers["panel"]
        and "man 90%" in answers["vit"]
        and "woman 90%" in answers["clip-s"]
    )
    until(page, "document.getElementById('large').src.startsWith('file:')")
    assert page.locator("#siblings .shot").count() == len(METHODS)


def test_enlarged_image_says_what_changed_and_what_was_asked_for(page):
    page.get_by_label("prompt disobeyed").check()
    page.locator("#grid .hit").click()
    marks = page.locator("#box-marks").inner_text()
    assert "Perceived group changed: gender man → woman" in marks
    assert "Disobeys its prompt: man asked for, woman perceived" in marks


def test_large_run_loads_the_images_it_shows(browser, large):
    with gallery(browser, large) as shown:
        loaded = "[...document.querySelectorAll('#grid img')].every(i => i.complete && i.naturalWidth > 0)"
        until(shown, loaded)
        scripts = [url for url in shown.asked if url.endswith(".js")]
        assert [url.rsplit("/", 1)[1] for url in scripts] == ["000.js"]
        present = shown.locator("#grid .shot").count()
        assert present < 150, "images far from the window are not in the document"
        shown.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        until(shown, "document.querySelector('#grid .shot[data-image=\"62,0\"] img')?.naturalWidth > 0")
        shown.locator('#grid .shot[data-image="62,1"]').click()
        assert shown.locator("#box-answers tbody").count() == 0, "no judge labels an image without people"
        assert_no_requests(shown, within=large)


def test_page_that_lost_its_chunks_says_so(browser, large, tmp_path):
    (tmp_path / "gallery.html").write_bytes((large / "gallery.html").read_bytes())
    with gallery(browser, tmp_path) as shown:
        until(shown, "document.getElementById('count').textContent.includes('is missing')")


def test_no_request_leaves_the_run_folder(page, folder):
    page.locator("#grid .shot").nth(1).click()
    page.keyboard.press("ArrowRight")
    assert_no_requests(page, within=folder)


def test_names_of_methods_prompts_and_concepts_do_not_run(browser, tmp_path):
    a_stored_run(tmp_path, methods=("base", HOSTILE), concepts=(HOSTILE, "CEO"))
    write_report(tmp_path)
    with gallery(browser, tmp_path) as shown:
        shown.locator("#grid .shot").nth(1).click()
        shown.keyboard.press("ArrowRight")
        shown.keyboard.press("Escape")
        shown.get_by_label("Concept").select_option(HOSTILE)
        assert shown.evaluate("window.hacked") is None
        assert HOSTILE in shown.locator("#grid h2").first.inner_text()
        assert_no_requests(shown, within=tmp_path)
    with gallery(browser, tmp_path, f"concept={HOSTILE}&words=<b>&open={HOSTILE}/x/0") as shown:
        assert shown.evaluate("window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, TABLET, DESKTOP])
def test_page_is_accessible_and_fits_its_window(browser, folder, width, scheme):
    with gallery(browser, folder, width=width) as shown:
        shown.emulate_media(color_scheme=scheme)
        if width == PHONE:
            shown.locator("#panel > summary").click()
        assert_layout_holds(shown)
        assert_accessible(shown)
        shown.locator("#grid .shot").nth(1).click()
        assert shown.evaluate("document.getElementById('box').scrollWidth") <= width
        assert_accessible(shown)


@pytest.mark.slow
def test_html_is_valid(folder, large):
    assert_valid_html((folder / "gallery.html").read_text(), (large / "gallery.html").read_text())


def test_without_scripts_a_sample_is_shown(browser, folder, large):
    for run in (folder, large):
        with gallery(browser, run, width=PHONE, scripts=False) as shown:
            assert shown.locator(".static").count() == min(12, 2 * (SEEDS + 1) + 1 if run is folder else 12)
            assert shown.evaluate(
                "[...document.querySelectorAll('.static img')].every(i => i.naturalWidth > 0)"
            )
            assert not shown.locator("#filters").is_visible()
            assert_layout_holds(shown)


def test_gallery_in_a_notebook_runs_in_its_frame(browser, tmp_path):
    run = a_stored_run(tmp_path / "run")
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{run.gallery()._repr_html_()}")
    with opened(browser, tmp_path / "notebook.html") as shown:
        frame = shown.frame_locator("iframe")
        frame.get_by_label("perceived group changed").check()
        assert frame.locator("#count").inner_text().startswith("3 of ")
        frame.locator("#grid .hit").first.click()
        assert frame.locator("#box-terms dd").first.inner_text() == "mist"
        assert shown.logged == [] and not [url for url in shown.asked if url.startswith("http")]


def test_report_links_to_the_images_that_it_counts(browser, folder):
    with opened(browser, folder / "report.html", width=PHONE) as shown:
        shown.evaluate("location.hash = 'images'")
        until(shown, "document.getElementById('gallery').checkVisibility()")
        assert_layout_holds(shown)
        assert_accessible(shown)
        shown.locator("#gallery tr", has_text="mist").get_by_role("link").first.click()
        shown.wait_for_url("**/gallery.html#method=mist&changed=1")
        assert count(shown).startswith("2 of ")
