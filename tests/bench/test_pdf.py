"""The PDF of a report: everything is in it, and no page is mostly empty."""

import numpy as np
import pypdfium2
import pytest
from helpers.report import CONCEPTS, a_run, some_images

from evenhand.bench import pdf
from evenhand.bench.errors import EvenhandError
from evenhand.bench.report import render_report
from evenhand.bench.results.title_block import TitleBlock

METHODS = ["base", "mist", "uce"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    images = some_images(folder, METHODS, CONCEPTS[:4])
    run = a_run(folder, methods=METHODS, concepts=CONCEPTS[:4], images=images)
    page = folder / "report.html"
    page.write_text(render_report(run, title_block=TitleBlock(client="Example AG")), encoding="utf-8")
    document = pypdfium2.PdfDocument(pdf.write_pdf(page))
    yield document
    document.close()


@pytest.mark.slow
def test_every_section_is_in_the_pdf(printed):
    text = " ".join(page.get_textpage().get_text_range() for page in printed).replace("\r\n", " ")
    for words in (
        *("The verdict in numbers", "What was tested", "Methods compared", "Worst cells", "Charts", "Images"),
        *("Judges and agreement", "Coverage", "Cost", "Method cards", "Findings and sign-off", "Limitations"),
        *("Example AG", "Signature of the auditor", "Data of this figure", "Parameters", "tolerance"),
        *("Rules of the findings", "Impact ratio", "Annex XI", "not a conformity assessment", "SHA-256"),
    ):
        assert words in text, words
    assert "begin{tabular}" not in text and "Save as" not in text, "what only a screen needs is left out"


@pytest.mark.slow
def test_images_are_in_the_pdf(printed):
    kinds = [item.type for page in printed for item in page.get_objects(max_depth=5)]
    assert kinds.count(pypdfium2.raw.FPDF_PAGEOBJ_IMAGE) >= len(METHODS) * 4


@pytest.mark.slow
def test_no_page_but_the_last_has_a_third_of_it_empty(printed):
    gaps = [emptiest(page) for page in printed]
    assert len(gaps) > 5
    assert max(gaps[:-1]) < 1 / 3, [round(gap, 2) for gap in gaps]


def emptiest(page):
    """The tallest white band of a page, as a share of its height."""
    pixels = np.asarray(page.render(scale=0.5).to_pil().convert("L"))
    inked = np.flatnonzero((pixels < 245).any(axis=1))
    return np.diff([0, *inked, len(pixels)]).max() / len(pixels)


def test_machine_without_a_browser_is_an_error_of_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(EvenhandError, match="no Chromium or Chrome") as fault:
        pdf.write_pdf(tmp_path / "report.html")
    assert "\n" not in str(fault.value)


def test_browser_that_fails_is_an_error_with_its_last_line(tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho first >&2\necho no display >&2\nexit 1\n")
    browser.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(browser))
    (tmp_path / "report.html").write_text("<p>")
    with pytest.raises(EvenhandError, match=r"cannot print the report \(no display\)"):
        pdf.write_pdf(tmp_path / "report.html")
    assert not (tmp_path / pdf.PDF_FILE).exists()
