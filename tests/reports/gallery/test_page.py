"""The gallery as files: small and large runs, hostile names, what the report links to."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from helpers.stored_run import IMAGES, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.report import write_report
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import load_suite
from evenhand.reports.gallery.page import EMBEDDED, render_gallery

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"


@pytest.fixture
def folder(tmp_path):
    a_stored_run(tmp_path)
    return tmp_path


def page_of(run):
    folder = Path(run.folder)
    return render_gallery(run.images_frame(), run.labels_frame(), run.results, folder=folder).page


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


@pytest.mark.slow
def test_small_run_has_one_page_with_every_image(folder):
    write_report(folder)
    data = data_of((folder / "gallery.html").read_text())
    assert len(data["thumbnails"]) == IMAGES
    assert sum(len(chunk["keys"]) for chunk in data["chunks"]) == IMAGES
    assert not (folder / "gallery-data").exists()


def test_every_image_of_the_first_run_is_embedded():
    suite = load_suite("mini-quick")
    items, _ = make_plan(suite)
    pixels = len(suite.defaults) * len(items) * suite.protocol.width * suite.protocol.height
    assert pixels <= EMBEDDED


@pytest.mark.slow
def test_large_run_has_chunks_beside_the_page_and_no_embedded_image(folder, monkeypatch):
    monkeypatch.setattr("evenhand.reports.gallery.page.EMBEDDED", 0)
    monkeypatch.setattr("evenhand.reports.gallery.data.CHUNK", 12)
    write_report(folder)
    page = (folder / "gallery.html").read_text()
    chunks = sorted(file.name for file in (folder / "gallery-data").iterdir())
    assert chunks == ["000.js", "001.js", "002.js"]
    assert "thumbnails" not in data_of(page) and 'src="data:image' not in page
    assert (folder / "gallery-data" / "001.js").read_text().startswith("galleryChunk(1,{")


@pytest.mark.slow
def test_files_of_an_earlier_gallery_are_removed(folder, monkeypatch):
    with monkeypatch.context() as large:
        large.setattr("evenhand.reports.gallery.page.EMBEDDED", 0)
        write_report(folder)
    assert list((folder / "gallery-data").iterdir())
    write_report(folder)
    assert not list((folder / "gallery-data").iterdir())


@pytest.mark.slow
def test_same_run_gives_the_same_bytes(folder):
    write_report(folder)
    first = (folder / "gallery.html").read_bytes()
    write_report(folder)
    assert (folder / "gallery.html").read_bytes() == first


@pytest.mark.slow
def test_run_without_images_has_no_gallery_and_no_link(folder):
    table = RunFolder(folder).image_table
    table.finish(pd.DataFrame())
    page = write_report(folder).read_text()
    assert not (folder / "gallery.html").exists() and "gallery.html" not in page


@pytest.mark.slow
def test_no_name_ends_a_script_or_an_element(tmp_path):
    a_stored_run(tmp_path, methods=("base", HOSTILE), concepts=(HOSTILE, "CEO"))
    write_report(tmp_path)
    page = (tmp_path / "gallery.html").read_text()
    assert page.count("<script") == 3 and "<img src=x" not in page
    assert data_of(page)["methods"] == ["base", HOSTILE]


@pytest.mark.slow
def test_policy_allows_only_the_own_script(folder):
    write_report(folder)
    policy = re.search(
        r'http-equiv="Content-Security-Policy" content="([^"]*)"', (folder / "gallery.html").read_text()
    )[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]+' 'sha256-[\w+/=]+'", rules["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/=]+'", rules["style-src"])


def test_key_that_could_name_another_file_is_refused(folder):
    from evenhand.bench.storage.stored_run import load_run

    run = load_run(folder)
    images = run.images_frame().assign(key="../../etc/passwd")
    with pytest.raises(EvenhandError, match="image keys must be letters and digits"):
        render_gallery(images, run.labels_frame(), run.results, folder=folder)


def test_images_larger_than_a_thumbnail_are_scaled_to_192_pixels(tmp_path):
    run = a_stored_run(tmp_path, side=256)
    data = data_of(page_of(run))
    assert (data["side"], data["sharp"]) == (192, False)
    small = a_stored_run(tmp_path / "small")
    data = data_of(page_of(small))
    assert (data["side"], data["sharp"]) == (128, True)


def test_an_image_behind_a_link_that_leads_outside_the_run_is_not_embedded(tmp_path):
    run = a_stored_run(tmp_path / "run")
    path = Path(run.images_frame()["path"].iloc[0])
    path.rename(tmp_path / "secret.png")
    path.symlink_to(tmp_path / "secret.png")
    for embedded in (page_of, lambda run: run.gallery()):
        with pytest.raises(EvenhandError, match=rf"{path.name} is outside the run folder"):
            embedded(run)
