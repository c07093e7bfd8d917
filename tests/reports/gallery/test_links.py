"""Links into the gallery: they count what they show."""

import pytest
from helpers.stored_run import IMAGES, a_stored_run

from evenhand.bench.report import write_report
from evenhand.reports.gallery.data import Units
from evenhand.reports.gallery.links import links_of


@pytest.fixture
def folder(tmp_path):
    a_stored_run(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_report_links_to_the_images_that_it_counts(folder):
    page = write_report(folder).read_text()
    assert 'href="gallery.html#method=mist&amp;changed=1">2</a> <span class="muted">of 8</span>' in page
    assert 'href="gallery.html#method=mist&amp;disobeyed=1">1</a> <span class="muted">of 2</span>' in page
    assert 'href="gallery.html#method=uce&amp;disagreed=1">1</a>' in page
    assert f"All {IMAGES} images" in page


def links(run, **options):
    return links_of(Units.of(run.images_frame(), run.results), **options)


def test_number_without_images_has_no_link(tmp_path):
    found = links(a_stored_run(tmp_path), changes=True)
    assert found.headings == ["Perceived group changed", "Disobeys its prompt", "Judges disagree"]
    assert (found.page, found.images) == ("gallery.html", str(IMAGES))
    assert dict(found.lines)["base"] == [("0", "", "8"), ("0", "", "2"), ("0", "", "8")]


def test_without_a_baseline_no_change_is_counted(tmp_path):
    found = links(a_stored_run(tmp_path), changes=False)
    assert found.headings == ["Disobeys its prompt", "Judges disagree"]
    assert dict(found.lines)["mist"][0] == ("1", "gallery.html#method=mist&disobeyed=1", "2")


def test_label_of_a_method_is_encoded_in_its_link(tmp_path):
    odd = "mist:a=1&b=<2>"
    found = links(a_stored_run(tmp_path, methods=("base", odd)), changes=True)
    assert dict(found.lines)[odd][0][1] == "gallery.html#method=mist%3Aa%3D1%26b%3D%3C2%3E&changed=1"
