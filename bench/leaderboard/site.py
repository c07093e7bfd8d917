"""The board as a folder of pages: what ``evenhand board build --site`` writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.build import board_rows
from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.results.entry import ENTRY_FILE, BoardRow, entry_name
from evenhand.bench.results.result import ErrorRow
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.run_folder import load_run
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.estimation.judge_errors import judge_errors
from evenhand.metrics.estimation.panel import PANEL
from evenhand.reports.leaderboard.site import render_site

LIST = "files.json"
"""The file that lists what the site consists of: path to SHA-256."""


def check_options(site: Path | None, *, runs: Sequence[Path], only_check: bool) -> None:
    """Refuse options of ``board build`` that do not go together, before anything is written.

    Raises:
        EvenhandError: Runs without a site, or a site that is only to be checked.
    """
    if site is None and runs:
        raise EvenhandError(f"--run {runs[0]} is for the pages; give their folder with --site")
    if site is not None and only_check:
        raise EvenhandError(
            f"--check writes nothing, so there can be no --site {site}; leave one of them out"
        )


def build_site(entries: Path, out: Path, *, runs: Sequence[Path] = ()) -> int:
    """Write the board as a static site; returns the number of its files.

    Pages of an earlier site that no longer exist are removed; nothing else in the folder is touched.

    Args:
        entries: Folder of the entries.
        out: Folder of the site: new, empty, or that of an earlier site.
        runs: Folders of runs whose images are shown.

    Raises:
        EvenhandError: An entry is not valid, ``out`` holds something else, or a run is none, belongs to no
            suite of the board, or lacks one of its images.
    """
    earlier = _earlier(out)
    rows, loaded = board_rows(entries), [load_run(run) for run in runs]
    names = [entry_name(row.result) for row in rows]
    texts = {name: (entries / name / ENTRY_FILE).read_text(encoding="utf-8") for name in names}
    site = render_site(rows, entries=texts, errors=_errors(rows), runs=loaded)
    for path, text in site.items():
        write_atomically(out / path, text.encode())
    for path in earlier - set(site):
        (out / path).unlink(missing_ok=True)
    digests = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in sorted(site.items())}
    write_atomically(out / LIST, (json.dumps(digests, indent=1) + "\n").encode())
    return len(site) + 1


def _earlier(out: Path) -> set[str]:
    """Files of the site that ``out`` holds, none if it is new or empty."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return set()
    try:
        listed = json.loads((out / LIST).read_text(encoding="utf-8"))
        files = {path for path in listed if (out / path).resolve().is_relative_to(out.resolve())}
    except (OSError, ValueError, TypeError) as fault:
        raise EvenhandError(f"{out} is no site of the board; choose an empty or new --site") from fault
    return files


def _errors(rows: Sequence[BoardRow]) -> Mapping[str, Sequence[ErrorRow]]:
    """Suite digest to the errors that its calibration shows, for the suites that are known here."""
    wanted = {row.result.spec.suite_digest for row in rows}
    found = {}
    for name in SUITES.names():
        suite = load_suite(name)
        if (digest := suite.digest()) in wanted and suite.calibration:
            table = load_confusion(suite.calibration)
            judges = {*table["judge"], PANEL}
            found[digest] = judge_errors(table, judges=judges, taxonomy=suite.taxonomy)
    return found
