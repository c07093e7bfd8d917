"""Writes the report of a run and its gallery: makes the decisions, then renders them."""

from __future__ import annotations

from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.result import Run
from evenhand.bench.results.title_block import TitleBlock
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.frames import images_frame, labels_frame
from evenhand.bench.storage.run_folder import TITLE_BLOCK_FILE, RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.storage.title_block import keep_title_block
from evenhand.reports.first_screen.lines import closing
from evenhand.reports.first_screen.screen import is_compared
from evenhand.reports.gallery.links import Links, links_of
from evenhand.reports.gallery.page import CHUNKS, PAGE, Gallery, render_gallery
from evenhand.reports.run.report import read_run, render_audit

REPORT_FILE = "report.html"


def render_report(run: Run, *, gallery: Links | None = None, title_block: TitleBlock | None = None) -> str:
    """The report of ``run`` as one self-contained HTML page; the same run gives the same bytes.

    Args:
        run: The run.
        gallery: Links to the gallery beside the report, if there is one.
        title_block: What an auditor states about the run.

    Raises:
        EvenhandError: The run has no result, or one of its images cannot be read.
    """
    return render_audit(run, Outcomes.of(run.results), gallery=gallery, title_block=title_block)


def closing_lines(run: Run) -> list[str]:
    """The verdict of ``run`` and a table of its methods as lines of text, as its report shows them first.

    Raises:
        EvenhandError: The run has no result.
    """
    found = read_run(run, Outcomes.of(run.results))
    return closing(found.verdict.headline, found.lines, compared=is_compared(found.readings))


def write_report(folder: Path, *, title_block: Path | None = None) -> Path:
    """Write ``report.html`` and ``gallery.html`` into the folder of a run, from what is in it.

    Args:
        folder: The run folder.
        title_block: A TOML file with what an auditor states; it is kept in the folder.

    Returns:
        The path of the report.

    Raises:
        EvenhandError: See :func:`render_report`; or the file cannot be written.
    """
    run, run_folder = load_run(folder), RunFolder(folder)
    if title_block is not None:
        keep_title_block(title_block, folder / TITLE_BLOCK_FILE)
    labels = labels_frame(run_folder, run.results)
    images = images_frame(run_folder, run.results, labels)
    gallery = render_gallery(images, labels, run.results, folder=folder)
    links = links_of(gallery.units, changes=not run.results[0].spec.external) if gallery else None
    page = render_report(run, gallery=links, title_block=run_folder.title_block())
    path = folder / REPORT_FILE
    try:
        write_atomically(path, page.encode())
        _write_gallery(folder, gallery)
    except OSError as fault:
        raise EvenhandError(f"{path}: cannot write the report ({fault}); choose another folder") from fault
    return path


def _write_gallery(folder: Path, gallery: Gallery | None) -> None:
    """Write the gallery, and remove what an earlier one has left."""
    pages = {folder / PAGE: gallery.page} if gallery else {}
    chunks = {folder / CHUNKS / name: text for name, text in gallery.files.items()} if gallery else {}
    for file in [folder / PAGE, *(folder / CHUNKS).glob("*.js")]:
        if file not in pages | chunks:
            file.unlink(missing_ok=True)
    for file, text in (pages | chunks).items():
        write_atomically(file, text.encode())
