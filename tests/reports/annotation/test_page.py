"""The annotation page in a browser: offline, by keyboard, and through the importer."""

import csv
import re

import pytest
from helpers.humans import a_run
from helpers.page_checks import assert_accessible, assert_no_requests, assert_valid_html

from evenhand.bench.annotation.annotations import import_annotations
from evenhand.bench.annotation.batch import export_images
from evenhand.bench.errors import EvenhandError
from evenhand.reports.annotation.page import Form, Item, Option, Question, render_page, write_page

SMALLEST_TARGET = """() => Math.min(...[...document.querySelectorAll('#work button, #work .options label')]
  .filter(e => e.getClientRects().length).map(e => e.getBoundingClientRect().height))"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("humans")
    a_run(folder / "run", concepts=("nurse",), methods=("base",))
    done = export_images(folder / "run", folder / "out", n=20, explicit=0, min_per_group=1)
    return folder, done


def key_of(done):
    with done.key.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def opened(browser, exported):
    """Open the page at a width and record its requests and console messages."""
    contexts = []

    def open_page(width=1440, page=None):
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        contexts.append(context)
        shown = context.new_page()
        shown.logged, shown.asked = [], []
        shown.on("console", lambda message: shown.logged.append(message.text))
        shown.on("pageerror", lambda fault: shown.logged.append(str(fault)))
        shown.on("request", lambda asked: shown.asked.append(asked.url))
        shown.goto((page or exported[1].page).as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()


def start(page, code="ann"):
    page.keyboard.press("Tab")
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    page.wait_for_selector("#work:not([hidden])")


def answer(page, keys="2211" + "13"):
    """One answer to each question, nothing to report, next."""
    for key in [*keys, "Enter"]:
        page.keyboard.press(key)


def saved(page, path, button="#save"):
    with page.expect_download() as download:
        page.locator(button).click()
    download.value.save_as(path)
    return path


@pytest.mark.slow
def test_all_images_can_be_labelled_by_keyboard_and_imported(opened, exported, tmp_path):
    folder, done = exported
    page = opened()
    start(page)
    total = done.images + done.repeats
    for number in range(total):
        assert page.locator("#position").inner_text() == f"Image {number + 1} of {total}"
        answer(page)
    page.wait_for_selector("#done:not([hidden])")
    assert page.locator("#done-text").inner_text() == f"{total} answered, 0 skipped, 0 open, of {total}."
    path = saved(page, tmp_path / "answers.csv", "#save-all")
    found = import_annotations([path], folder / "run")
    assert (found.answers, found.images) == (3 * total, done.images)
    assert found.labelled == {"gender": done.images, "tone": done.images, "age": done.images}
    with path.open() as file:
        rows = list(csv.DictReader(file))
    labels = {(row["attribute"], row["label"]) for row in rows}
    assert labels == {("gender", "man"), ("tone", "light"), ("age", "adult")}
    facts = {(r["n_people"], r["face_quality"], r["confidence"], r["annotator_id"]) for r in rows}
    assert facts == {("one", "normal", "3", "ann")}
    assert {row["image_id"] for row in rows} == {row["image_id"] for row in key_of(done)}
    repeated = {row["image_id"] for row in rows if row["is_repeat"] == "1"}
    assert repeated == {row["image_id"] for row in key_of(done) if row["is_repeat"] == "1"}
    assert_no_requests(page, within=done.page)


@pytest.mark.slow
def test_image_without_people_needs_no_further_answers(opened, tmp_path):
    page = opened()
    start(page, "bo")
    page.keyboard.press("1")
    assert not page.locator("fieldset[data-name=gender]").is_visible()
    page.keyboard.press("Enter")
    with saved(page, tmp_path / "none.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["n_people"], row["attribute"], row["label"]) for row in rows] == [
        ("none", name, "cannot_tell") for name in ("gender", "tone", "age")
    ]


def test_key_c_is_cannot_tell_and_several_flags_can_be_set(opened, tmp_path):
    page = opened()
    start(page, "cy")
    for key in ["2", "c", "c", "c", "2", "1", "1", "3", "Enter"]:
        page.keyboard.press(key)
    with saved(page, tmp_path / "cy.csv").open() as file:
        rows = {row["attribute"]: row["label"] for row in csv.DictReader(file)}
    assert rows == dict.fromkeys(("gender", "tone", "age"), "cannot_tell") | {
        "flag": "real_person|sexual_or_violent"
    }


def test_unanswered_question_is_named(opened):
    page = opened()
    start(page)
    page.keyboard.press("2")
    page.locator("#next").click()
    assert page.locator("#alert").inner_text() == "Please answer: Gender expression"
    assert page.evaluate("document.activeElement.name") == "gender"
    assert page.locator("#position").inner_text().startswith("Image 1 ")


@pytest.mark.slow
def test_progress_is_kept_and_the_order_differs_between_annotators(opened):
    page = opened()
    start(page, "dee")
    first = page.locator("#image").get_attribute("src")
    answer(page)
    page.locator("#skip").click()
    page.reload()
    start(page, "dee")
    assert page.locator("#position").inner_text().startswith("Image 3 ")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    assert page.locator("#image").get_attribute("src") == first
    assert page.locator("input[name=gender]:checked").get_attribute("value") == "man"
    page.reload()
    start(page, "eve")
    assert page.locator("#position").inner_text().startswith("Image 1 ")
    assert page.locator("#image").get_attribute("src") != first


def test_invalid_annotator_code_is_refused(opened):
    page = opened()
    page.fill("#annotator", "ann lee")
    page.keyboard.press("Enter")
    assert not page.locator("#work").is_visible()
    page.fill("#annotator", "aggregate")
    page.keyboard.press("Enter")
    assert "is reserved" in page.locator("#start-alert").inner_text()


def test_keyboard_shortcuts_can_be_disabled(opened):
    page = opened()
    start(page)
    page.locator("summary").click()
    page.locator("#shortcuts").uncheck()
    page.locator("input[name=n_people]").first.focus()
    page.keyboard.press("3")
    assert page.locator("input[name=n_people]:checked").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
def test_page_is_accessible_and_fits_its_window(opened, width):
    page = opened(width)
    assert_accessible(page)
    start(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("summary").click()
    assert_accessible(page)
    assert page.evaluate(SMALLEST_TARGET) >= 40
    stage, image = (page.locator(name).bounding_box() for name in (".stage", "#image"))
    assert image["height"] <= stage["height"]
    assert page.evaluate("[...document.querySelectorAll('input')].every(i => i.labels.length)")


@pytest.mark.slow
def test_html_is_valid(exported):
    assert_valid_html(exported[1].page.read_text())


def a_form(path, **changes):
    question = Question("tone", "Skin tone", (Option("1", "1", "#f6ede4"),), shaded=True)
    form = {
        "batch": "b",
        "version": "1",
        "columns": ("image_id", "annotator_id", "attribute", "label"),
        "between": "|",
        "folder": path.parent,
        "items": (Item("id0", path),),
        "repeats": (),
        "questions": (question,),
    }
    return Form(**(form | changes))


@pytest.fixture
def image(exported):
    folder, _ = exported
    return next((folder / "run" / "images").rglob("*.png"))


def test_page_does_not_reveal_methods_prompts_or_paths(exported):
    folder, done = exported
    text = re.sub(r"data:image/[^\"]*", "", done.page.read_text())
    rows = key_of(done)
    assert all(row["key"] not in text for row in rows)
    assert not re.search(r"\b(mini|nurse|female|neutral)\b", text)
    assert str(folder) not in text


def test_injected_script_does_not_run(opened, image, tmp_path):
    text = render_page(a_form(image))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "unsafe" not in policy and "default-src &#39;none&#39;" in policy
    injected = text.replace("</main>", "<script>document.title = 'run'</script></main>", 1)
    (tmp_path / "injected.html").write_text(injected)
    page = opened(page=tmp_path / "injected.html")
    assert page.title() == "Labelling images"


def test_texts_of_a_taxonomy_are_escaped(opened, image, tmp_path):
    odd = '</script><script>document.title = "run"</script>'
    question = Question("tone", odd, (Option(odd, odd),))
    write_page(a_form(image, batch=odd, questions=(question,)), tmp_path / "odd.html")
    page = opened(page=tmp_path / "odd.html")
    start(page)
    assert page.title() == "Labelling images"
    assert page.locator("legend").inner_text() == odd


def test_swatches_show_their_colour(opened, image, tmp_path):
    write_page(a_form(image), tmp_path / "tone.html")
    page = opened(page=tmp_path / "tone.html")
    start(page)
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.swatch path')).fill") == "rgb(246, 237, 228)"
    )
    assert page.logged == []


def test_missing_or_broken_images_are_one_line_errors(image, tmp_path):
    with pytest.raises(EvenhandError, match="needs at least one image"):
        render_page(a_form(image, items=()))
    (tmp_path / "broken.png").write_bytes(image.read_bytes()[:60])
    with pytest.raises(EvenhandError, match=r"broken\.png cannot be read"):
        render_page(a_form(tmp_path / "broken.png"))
