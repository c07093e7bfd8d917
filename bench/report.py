"""Writes the report of a run: makes the decisions, then renders them."""

from __future__ import annotations

from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.result import Run
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.run_folder import load_run
from evenhand.reports.run.report import read_run, render_audit
from evenhand.reports.run.verdict import Verdict

REPORT_FILE = "report.html"


def render_report(run: Run) -> str:
    """The report of ``run`` as one self-contained HTML page; the same run gives the same bytes.

    Raises:
        EvenhandError: The run has no result, or one of its images cannot be read.
    """
    return render_audit(run, Outcomes.of(run.results))


def verdict_of(run: Run) -> Verdict:
    """The finding of ``run`` and its sentences, as its report shows them first.

    Raises:
        EvenhandError: The run has no result.
    """
    return read_run(run, Outcomes.of(run.results)).verdict


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a run, from the results in it.

    Returns:
        The path of the report.

    Raises:
        EvenhandError: See :func:`render_report`; or the file cannot be written.
    """
    page, path = render_report(load_run(folder)), folder / REPORT_FILE
    try:
        write_atomically(path, page.encode())
    except OSError as fault:
        raise EvenhandError(f"{path}: cannot write the report ({fault}); choose another folder") from fault
    return path
