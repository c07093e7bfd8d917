"""The folder of a run: its suite or audit, and its layout."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from threadpoolctl import threadpool_limits

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.regular_file import read_regular
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.results.result import Result, Timing
from evenhand.bench.results.title_block import TitleBlock
from evenhand.bench.storage.files import folder_name, remove_temporary_files, write_atomically
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.log import LOG_FILE, logged
from evenhand.bench.storage.manifest import MANIFEST_FILE, SIGNATURE_FILE
from evenhand.bench.storage.tables import Table
from evenhand.bench.storage.title_block import read_title_block
from evenhand.bench.suites.audit_config import Audit, read_audit
from evenhand.bench.suites.protocol import STORED
from evenhand.bench.suites.suite import Suite, read_suite
from evenhand.bench.suites.toml_text import to_toml

SUITE_FILE, AUDIT_FILE = "suite.toml", "audit.toml"
"""The files that identify the folder of a run and of an audit."""

TITLE_BLOCK_FILE = "title-block.toml"
"""What an auditor states about a run, for the sign-off of its report."""

RunSpec = Suite | Audit
"""What a folder belongs to."""

Phase = Literal["fit_seconds", "generate_seconds", "judge_seconds"]
"""Timed phases of a run: fields of :class:`Timing`."""

RUN_FILES = {".lock", LOG_FILE, "timing.json", "images", "tables", "interventions", "results"}
RUN_FILES |= {"answers.csv", "prompts.csv", "report.html", "report.pdf", "gallery.html", "gallery-data"}
RUN_FILES |= {"annotation", TITLE_BLOCK_FILE, MANIFEST_FILE, SIGNATURE_FILE}
"""Files and folders of a run besides the one that identifies it."""

MAX_ANCHOR_BYTES = 2**28
"""Maximum size of the imported labels of people; a label takes about 150 bytes."""

MAX_TIMING_BYTES = 2**20
"""Maximum size of ``timing.json``; a method takes about 200 bytes."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run; docs/architecture.md describes its layout."""

    root: Path

    @cached_property
    def images(self) -> ImageStore:
        """The image store; cached, because it remembers which images were verified."""
        return ImageStore(self.root / "images")

    @property
    def labels(self) -> Table:
        """The label table."""
        return Table(self.root / "tables", "labels", keys=("key", "judge", "judge_version", "attribute"))

    @property
    def vectors(self) -> Table:
        """The table of the scorer's image embeddings."""
        return Table(self.root / "tables", "vectors", keys=("key", "scorer"))

    @property
    def distances(self) -> Table:
        """The table of how unlike the images of an audit are to those that its judges know."""
        return Table(self.root / "tables", "distances", keys=("key", "reference"))

    @property
    def image_table(self) -> Table:
        """The image table."""
        return Table(self.root / "tables", "images", keys=("method", "prompt_id", "seed_index"))

    @property
    def anchors(self) -> Path:
        """Path of the labels of people, aggregated by ``evenhand annotate import``."""
        return self.root / "tables" / "anchors.csv"

    def imported_anchors(self) -> pd.DataFrame | None:
        """The imported labels of people; ``None`` without an import.

        Raises:
            EvenhandError: The file cannot be read.
        """
        if not self.anchors.is_file():
            return None
        try:
            data = read_regular(self.anchors, max_bytes=MAX_ANCHOR_BYTES)
            table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
            return table.astype(dict.fromkeys(table.columns.intersection(["probability"]), float))
        except (OSError, ValueError) as fault:  # parser errors of pandas are ValueErrors
            raise EvenhandError(
                f"{self.anchors}: labels of people cannot be read ({fault}); import the annotations again"
            ) from fault

    def check(self, suite: Suite) -> None:
        """Check that the folder is new or belongs to ``suite``; nothing is written.

        Raises:
            EvenhandError: The folder belongs to another suite or version, is not a run folder, is damaged, or
                keeps its images elsewhere.
        """
        path = self.root / SUITE_FILE
        self._check_own_images()
        if not path.is_file():
            self._check_no_other_files(SUITE_FILE)
            return
        self.timings()
        try:
            kept = read_suite(path)
        except EvenhandError as fault:
            raise _damaged(fault) from fault
        if kept.digest() == suite.digest():
            return
        if _unlimited(kept) == _unlimited(suite):
            raise EvenhandError(
                f"{self.root}: output folder has a run of suite {suite.name!r} with another limit; "
                "use the same --limit, or choose another --out"
            )
        raise EvenhandError(
            f"{self.root}: output folder belongs to suite {kept.name!r} version {kept.version} "
            f"({kept.digest()[:8]}), not {suite.name!r} version {suite.version} ({suite.digest()[:8]}); "
            "choose another --out"
        )

    def initialize(self, suite: Suite) -> None:
        """Make this the folder of a run of ``suite``.

        Raises:
            EvenhandError: See :meth:`check`.
        """
        self.check(suite)
        path = self.root / SUITE_FILE
        # Where weights wait may change between two calls, and workers read it here.
        if not path.is_file() or read_suite(path).protocol.offload != suite.protocol.offload:
            write_atomically(path, to_toml(suite.model_dump(mode="json", context=STORED)).encode())

    def initialize_audit(self, audit: Audit) -> None:
        """Make this the folder of ``audit``; it may be the folder of another version of the same audit.

        All results of an audit are recomputed from labels that do not depend on its version, so changes of
        the image list or anchors do not need a new folder.

        Raises:
            EvenhandError: The folder belongs to an audit of another name, is not a run folder, or keeps its
                images elsewhere.
        """
        path = self.root / AUDIT_FILE
        self._check_own_images()
        if not path.is_file():
            self._check_no_other_files(AUDIT_FILE)
        elif (kept := read_audit(path).name) != audit.name:
            raise EvenhandError(
                f"{self.root}: output folder belongs to audit {kept!r}, not {audit.name!r}; "
                "choose another --out"
            )
        write_atomically(path, to_toml(audit.model_dump(mode="json")).encode())

    def check_same_images(self, audit: Audit) -> None:
        """Check that the folder has no audit of the same name of another folder of images.

        Raises:
            EvenhandError: It has, so that its results would be replaced.
        """
        path = self.root / AUDIT_FILE
        if path.is_file() and (kept := read_audit(path)).folder not in ("", audit.folder):
            other = os.path.normpath(self.root / kept.folder)
            raise EvenhandError(
                f"{self.root}: has the audit of another folder, {other}; give this one another --name or "
                f"--out, or replace that one with --out {self.root}"
            )

    def _check_no_other_files(self, expected: str) -> None:
        others = sorted(p.name for p in self.root.iterdir() if p.name not in RUN_FILES)
        if others:
            raise EvenhandError(
                f"{self.root}: output folder is not a run: it has {others[0]!r} but no {expected}; "
                "choose an empty or new --out"
            )

    def _check_own_images(self) -> None:
        # Pages show no image from outside of the run, which would be known only after all the work.
        if (images := self.root / "images").is_symlink():
            raise EvenhandError(
                f"{images} is a link, and a run keeps its images in its own folder; replace the link with "
                "what it points to, or choose an --out where there is space"
            )

    @contextmanager
    def session(self, task: str) -> Iterator[None]:
        """Use the folder for ``task``: remove temporary files of killed processes, and log what happens.

        Linear algebra uses one thread, because the number of threads changes the last bits of results.
        """
        remove_temporary_files(self.root)
        with logged(self.root, task), threadpool_limits(1, user_api="blas"):
            yield

    def spec(self) -> RunSpec:
        """The suite or audit that the folder belongs to.

        Raises:
            EvenhandError: The folder is not a run folder.
        """
        suite, audit = self.root / SUITE_FILE, self.root / AUDIT_FILE
        try:
            if suite.is_file():
                return read_suite(suite)
            if audit.is_file():
                return read_audit(audit)
        except EvenhandError as fault:
            raise _damaged(fault) from fault
        raise EvenhandError(
            f"{self.root} is not a run folder: it has no {SUITE_FILE}; use the --out of `evenhand run`"
        )

    def title_block(self) -> TitleBlock | None:
        """What an auditor states about the run; ``None`` without a title block.

        Raises:
            EvenhandError: The file cannot be read, or has unknown keys or wrong values.
        """
        path = self.root / TITLE_BLOCK_FILE
        return read_title_block(path) if path.is_file() else None

    def result_paths(self) -> list[Path]:
        """The result files, sorted by name."""
        return sorted((self.root / "results").glob("*.json"))

    def timings(self) -> dict[str, Timing]:
        """Timings by method, including those of interrupted sessions.

        Raises:
            EvenhandError: The file is damaged.
        """
        path = self.root / "timing.json"
        if not os.path.lexists(path):
            return {}
        try:
            rows = TypeAdapter(list[Timing]).validate_json(read_regular(path, max_bytes=MAX_TIMING_BYTES))
        except (OSError, ValidationError) as fault:
            raise EvenhandError(f"{path}: file is damaged; remove it, only timings are lost") from fault
        return {row.method: row for row in rows}

    def write_results(self, results: Sequence[Result], *, alone: bool = False) -> None:
        """Write one file per result.

        Args:
            results: The results.
            alone: Whether to remove all other results.
        """
        written = {self.root / "results" / f"{folder_name(r.spec.method.label)}.json": r for r in results}
        for path, result in written.items():
            write_atomically(path, result.to_json().encode())
        for path in self.result_paths() if alone else []:
            if path not in written:
                path.unlink()

    @contextmanager
    def timed(self, phase: Phase, label: str, *, machine: str) -> Iterator[None]:
        """Add the duration of a phase to ``timing.json``, even if it is interrupted."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.spend(phase, label, time.monotonic() - started, machine=machine)

    def spend(self, phase: Phase, label: str, seconds: float, *, machine: str) -> None:
        """Add the seconds of a phase that ends now to ``timing.json``."""
        timings = self.timings()
        began = datetime.now(UTC) - timedelta(seconds=seconds)
        timing = timings.get(label, Timing(method=label, machine=machine, date=began.date().isoformat()))
        # Workers report every block, and a block of few images takes less than a tenth of a second.
        total = round(getattr(timing, phase) + seconds, 3)
        timings[label] = timing.model_copy(update={phase: total})
        self.write_timings(timings)

    def write_timings(self, timings: dict[str, Timing]) -> None:
        """Replace ``timing.json``."""
        rows = [timing.model_dump(mode="json") for _, timing in sorted(timings.items())]
        write_atomically(self.root / "timing.json", (json.dumps(rows, indent=1) + "\n").encode())


def _damaged(fault: EvenhandError) -> EvenhandError:
    """The error for the file that identifies a folder: it can be removed, not corrected by hand."""
    reason, _, _ = str(fault).rpartition("; ")
    return EvenhandError(
        f"{reason or fault}; remove the file and run the same `evenhand run` or `evenhand audit` command "
        "again"
    )


def default_folder(name: str, *, limit: int = 0) -> Path:
    """Folder of a run of a suite, if none is given."""
    return Path("runs", f"{name}-limit{limit}" if limit else name)


def _unlimited(suite: Suite) -> str:
    """Digest of the suite without the limits of its prompt sets."""
    uses = tuple(use.model_copy(update={"limit": 0}) for use in suite.prompts)
    return suite.model_copy(update={"prompts": uses}).digest()


def merged(images: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The image table, with all rows of the methods in ``images`` replaced by ``images``."""
    kept = table.read()
    if len(kept):
        kept = kept[~kept["method"].isin(set(images["method"]))]
    return pd.concat([kept, images], ignore_index=True)


def previous_methods(run_folder: RunFolder, named: Sequence[MethodUse]) -> list[str]:
    """Labels of the methods that the folder has results for, except those in ``named``.

    Raises:
        EvenhandError: A result file is damaged, so that its method is unknown, or its method is neither
            registered nor given.
    """
    known = {f"{folder_name(use.label)}.json" for use in named}
    try:
        paths = [path for path in run_folder.result_paths() if path.name not in known]
        cards = {path: Result.load(path).spec.method for path in paths}
    except EvenhandError as fault:
        raise EvenhandError(
            f"{fault} with --method for the method of this result, or remove the file"
        ) from fault
    names = {*METHODS.names(), *(use.name for use in named)}
    for path, card in cards.items():
        if card.name not in names:
            raise EvenhandError(
                f"{path}: method {card.name!r} is not registered; pass its object again, or remove the file"
            )
    return [card.label for card in cards.values()]
