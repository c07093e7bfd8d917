"""The report of a run and its gallery in the run's folder."""

import pytest
from helpers.stored_run import a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.report import closing_lines, write_report
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.suite import load_suite
from evenhand.reports.gallery.page import CHUNKS, PAGE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "run"
    a_stored_run(folder, side=8)
    return folder


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes_and_a_gallery_beside_the_report(folder):
    path = write_report(folder)
    pages = [path, folder / PAGE]
    before = [page.read_bytes() for page in pages]
    assert path == folder / "report.html" and PAGE.encode() in before[0]
    write_report(folder)
    assert [page.read_bytes() for page in pages] == before


@pytest.mark.slow
def test_what_an_earlier_gallery_has_left_is_removed(folder):
    (folder / CHUNKS).mkdir()
    (folder / CHUNKS / "old.js").write_text("left")
    (folder / CHUNKS / "mine.txt").write_text("kept")
    write_report(folder)
    assert not (folder / CHUNKS / "old.js").exists() and (folder / CHUNKS / "mine.txt").exists()


@pytest.mark.slow
def test_a_report_that_cannot_be_written_is_an_error_of_one_line(folder):
    (folder / "report.html").unlink(missing_ok=True)
    (folder / "report.html").mkdir()
    try:
        with pytest.raises(EvenhandError, match=r"report\.html: cannot write the report") as fault:
            write_report(folder)
    finally:
        (folder / "report.html").rmdir()
    assert "\n" not in str(fault.value)


def test_the_closing_lines_name_every_method(folder):
    lines = closing_lines(load_run(folder))
    first = {line.split()[0] for line in lines if line.strip()}
    assert {"base", "mist", "uce"} <= first


def test_a_run_without_results_has_no_report(tmp_path):
    RunFolder(tmp_path).initialize(load_suite("mini-quick"))
    with pytest.raises(EvenhandError, match="run has no results yet"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
