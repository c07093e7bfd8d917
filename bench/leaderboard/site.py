"""The leaderboard as a website: what ``evenhand board build --site`` writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.build import board_rows
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.strip import STRIP_FILE, read_strip
from evenhand.bench.leaderboard.suite import known_suite
from evenhand.bench.leaderboard.verification.signed import MAINTAINERS
from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.results.entry import ENTRY_FILE, BoardRow, EntryImage
from evenhand.bench.results.result import ErrorRow
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.judge_errors import judge_errors
from evenhand.metrics.estimation.panel import PANEL
from evenhand.reports.leaderboard.site import render_site
from evenhand.reports.leaderboard.site_method import entries_of

LIST = "files.json"
"""The list of all files of the site: paths to SHA-256."""


def check_options(site: Path | None, *, runs: Sequence[Path], only_check: bool) -> None:
    """Check the options of ``board build`` before anything is written.

    Raises:
        EvenhandError: Runs are given without a site, or a site together with ``only_check``.
    """
    if site is None and runs:
        raise EvenhandError(f"--run {runs[0]} needs --site, which sets the folder of the website")
    if site is not None and only_check:
        raise EvenhandError(f"--check cannot be combined with --site {site}; drop one of them")


def build_site(
    entries: Path, out: Path, *, runs: Sequence[Path] = (), maintainers: Path = MAINTAINERS
) -> int:
    """Write the leaderboard as a static site; returns the number of files.

    Outdated pages of an earlier site are removed; nothing else in the folder is changed.

    Args:
        entries: Folder of the entries.
        out: Folder of the site: new, empty, or with an earlier site.
        runs: Folders of runs whose images are shown.
        maintainers: Folder of the public keys of the maintainers.

    Raises:
        EvenhandError: An entry is not valid, ``out`` contains something else, or a run is not valid, belongs
            to no suite of the leaderboard, or lacks an image.
    """
    previous = _previous_files(out)
    rows, loaded = board_rows(entries, maintainers=maintainers), [load_run(run) for run in runs]
    names = [name for row in rows for _, name in entries_of(row)]
    texts = {name: (entries / name / ENTRY_FILE).read_text(encoding="utf-8") for name in names}
    images = {name: found for name in names if (found := _images(entries / name))}
    site = render_site(rows, entries=texts, errors=_errors(rows), runs=loaded, images=images)
    for path, text in site.items():
        write_atomically(out / path, text.encode())
    for path in previous - set(site):
        (out / path).unlink(missing_ok=True)
    digests = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in sorted(site.items())}
    write_atomically(out / LIST, (json.dumps(digests, indent=1) + "\n").encode())
    return len(site) + 1


def _images(path: Path) -> list[EntryImage]:
    """The images that an entry contains; none if it has no strip, or its suite is not registered here."""
    entry = load_entry(path)
    known = known_suite(entry.result.spec) if STRIP_FILE in entry.files else None
    return read_strip(path, entry, known.of(entry.result).items) if known else []


def _previous_files(out: Path) -> set[str]:
    """The files of the site in ``out`` as they were written; none if it is new or empty."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return set()
    try:
        listed = json.loads((out / LIST).read_text(encoding="utf-8"))
        inside = [path for path in listed if (out / path).resolve().is_relative_to(out.resolve())]
        files = {path for path in inside if _digest_of(out / path) == listed[path]}
    except (OSError, ValueError, TypeError) as fault:
        raise EvenhandError(f"{out}: not a site of the leaderboard; choose an empty or new --site") from fault
    return files


def _digest_of(file: Path) -> str:
    """SHA-256 of a file; empty if there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _errors(rows: Sequence[BoardRow]) -> Mapping[str, Sequence[ErrorRow]]:
    """Suite digests to the judge errors in their calibration tables, for registered suites."""
    digests = {row.result.spec.suite_digest for row in rows}
    found = {}
    for name in SUITES.names():
        suite = load_suite(name)
        if (digest := suite.digest()) in digests and suite.calibration:
            table = load_confusion(suite.calibration)
            judges = {*table["judge"], PANEL}
            found[digest] = judge_errors(table, judges=judges, taxonomy=suite.taxonomy)
    return found
