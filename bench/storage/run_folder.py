"""A run's folder: whose it is, what lies where, and reading it back."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from threadpoolctl import threadpool_limits

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.result import ImageRow, Result, Run, Timing
from evenhand.bench.storage.log import LOG_FILE, logged
from evenhand.bench.storage.store import ImageStore, Table, folder_name, sweep, write_atomically
from evenhand.bench.suites.audit_config import Audit, read_audit
from evenhand.bench.suites.suite import Suite, read_suite, to_toml

SUITE_FILE, AUDIT_FILE = "suite.toml", "audit.toml"
"""What the folder of a run and that of an audit are known by."""

Owner = Suite | Audit
"""What a folder belongs to."""

Phase = Literal["fit_seconds", "generate_seconds", "judge_seconds"]
"""What takes time in a run: a field of :class:`Timing`."""

OWN = {".lock", LOG_FILE, "timing.json", "report.html", "images", "tables", "interventions", "results"}
"""What a run makes besides the file that it is known by."""

SHOWN_PER_CONCEPT = 8
"""Images of one concept, kind and method that a report may show."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; see DESIGN 'A run's folder'."""

    root: Path

    @cached_property
    def images(self) -> ImageStore:
        """The content-addressed images; one object, which remembers what it has found whole."""
        return ImageStore(self.root / "images")

    @property
    def labels(self) -> Table:
        """The label table."""
        return Table(self.root / "tables", "labels", keys=("key", "judge", "judge_version", "attribute"))

    @property
    def vectors(self) -> Table:
        """The image vectors of the scorer."""
        return Table(self.root / "tables", "vectors", keys=("key", "scorer"))

    @property
    def image_table(self) -> Table:
        """The image table."""
        return Table(self.root / "tables", "images", keys=("method", "prompt_id", "seed_index"))

    def check(self, suite: Suite) -> None:
        """Refuse a folder that is another suite's, or not a run; nothing is written.

        Raises:
            EvenhandError: The folder belongs to another suite or version, holds something else, or what it
                is known by is damaged.
        """
        path = self.root / SUITE_FILE
        if not path.is_file():
            self._refuse_strangers(SUITE_FILE)
            return
        self.timings()
        try:
            kept = read_suite(path)
        except EvenhandError as fault:
            raise EvenhandError(f"{fault}; remove the file, and the same command goes on") from fault
        if kept.digest() != suite.digest():
            raise EvenhandError(
                f"output folder {self.root} belongs to suite {kept.name!r} version {kept.version} "
                f"({kept.digest()[:8]}), not {suite.name!r} version {suite.version} ({suite.digest()[:8]}); "
                "choose another --out"
            )

    def claim(self, suite: Suite) -> None:
        """Take the folder for ``suite``.

        Raises:
            EvenhandError: As for :meth:`check`.
        """
        self.check(suite)
        path = self.root / SUITE_FILE
        if not path.is_file():
            write_atomically(path, to_toml(suite.model_dump(mode="json")).encode())

    def claim_audit(self, audit: Audit) -> None:
        """Take the folder for ``audit``, which may have been another version of it until now.

        All numbers of an audit are made anew from labels that do not depend on it, so a mended list or
        anchors that came later need no new folder.

        Raises:
            EvenhandError: The folder belongs to an audit of another name, or holds something else.
        """
        path = self.root / AUDIT_FILE
        if not path.is_file():
            self._refuse_strangers(AUDIT_FILE)
        elif (kept := read_audit(path).name) != audit.name:
            raise EvenhandError(
                f"output folder {self.root} belongs to audit {kept!r}, not {audit.name!r}; "
                "choose another --out"
            )
        write_atomically(path, to_toml(audit.model_dump(mode="json")).encode())

    def _refuse_strangers(self, expected: str) -> None:
        others = sorted(p.name for p in self.root.iterdir() if p.name not in OWN)
        if others:
            raise EvenhandError(
                f"output folder {self.root} is not a run: it holds {others[0]!r} and no {expected}; "
                "choose an empty or new --out"
            )

    @contextmanager
    def at_work(self, task: str) -> Iterator[None]:
        """The claimed folder in use: what killed processes left is swept, and the log tells of ``task``.

        Linear algebra has one thread, since their number changes the last bits of its results.
        """
        sweep(self.root)
        with logged(self.root, task), threadpool_limits(1, user_api="blas"):
            yield

    def owner(self) -> Owner:
        """The suite or the audit that the folder belongs to.

        Raises:
            EvenhandError: The folder is no run.
        """
        suite, audit = self.root / SUITE_FILE, self.root / AUDIT_FILE
        if suite.is_file():
            return read_suite(suite)
        if audit.is_file():
            return read_audit(audit)
        raise EvenhandError(
            f"{self.root} is not a run folder: it has no {SUITE_FILE}; give the --out of `evenhand run`"
        )

    def result_paths(self) -> list[Path]:
        """The result files, sorted by name."""
        return sorted((self.root / "results").glob("*.json"))

    def timings(self) -> dict[str, Timing]:
        """Seconds by method, added up over interruptions.

        Raises:
            EvenhandError: The file is damaged.
        """
        path = self.root / "timing.json"
        if not path.is_file():
            return {}
        try:
            rows = TypeAdapter(list[Timing]).validate_json(path.read_bytes())
        except ValidationError as fault:
            raise EvenhandError(f"{path} is damaged; remove it, only the seconds in it are lost") from fault
        return {row.method: row for row in rows}

    def write_results(self, results: Sequence[Result], *, alone: bool = False) -> None:
        """Write one file per result.

        Args:
            results: The results.
            alone: Whether earlier results that are not among these go.
        """
        written = {self.root / "results" / f"{folder_name(r.spec.method.label)}.json": r for r in results}
        for path, result in written.items():
            write_atomically(path, result.to_json().encode())
        for path in self.result_paths() if alone else []:
            if path not in written:
                path.unlink()

    @contextmanager
    def timed(self, phase: Phase, label: str, *, machine: str) -> Iterator[None]:
        """Add the seconds of a phase to ``timing.json``, also when it is interrupted."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.spend(phase, label, time.monotonic() - begun, machine=machine)

    def spend(self, phase: Phase, label: str, seconds: float, *, machine: str) -> None:
        """Add seconds of a phase to ``timing.json``."""
        timings = self.timings()
        timing = timings.get(label, Timing(method=label, machine=machine))
        total = round(getattr(timing, phase) + seconds, 1)
        timings[label] = timing.model_copy(update={phase: total})
        self.write_timings(timings)

    def write_timings(self, timings: dict[str, Timing]) -> None:
        """Replace ``timing.json``."""
        rows = [timing.model_dump(mode="json") for _, timing in sorted(timings.items())]
        write_atomically(self.root / "timing.json", (json.dumps(rows, indent=1) + "\n").encode())


def load_run(folder: str | Path) -> Run:
    """Everything a report needs of a finished run.

    Raises:
        EvenhandError: The folder is not a run, or it holds no result yet.
    """
    work = RunFolder(Path(folder))
    work.owner()
    results = [Result.load(path) for path in work.result_paths()]
    if not results:
        raise EvenhandError(f"run {folder} has no result yet; run the same `evenhand run` command again")
    results.sort(key=lambda r: (r.spec.method.label != "base", r.spec.method.label))
    timings = work.timings()
    return Run(
        folder=str(folder),
        results=results,
        timings=[timings[r.spec.method.label] for r in results if r.spec.method.label in timings],
        # Whatever a stranger's table says, its images lie in the run.
        images=shown_images(work.image_table.read().assign(folder=""), work.labels.read()),
    )


def shown_images(images: pd.DataFrame, labels: pd.DataFrame) -> list[ImageRow]:
    """The first images of every method, kind and concept, with what the panel perceived.

    Args:
        images: The image table.
        labels: The label table.
    """
    if not len(images) or not len(labels):
        return []
    panel = labels[labels["judge"] == "panel"]
    perceived: dict[str, dict[str, str]] = {}
    for key, attribute, label in zip(panel["key"], panel["attribute"], panel["label"], strict=True):
        perceived.setdefault(key, {})[attribute] = label or "undetermined"
    rows, count = [], Counter[tuple[str, ...]]()
    images = images[images["path"] != ""]
    for row in images.sort_values(["method", "seed_index", "prompt_id"]).to_dict("records"):
        group = (row["method"], row["kind"], row["concept"])
        count[group] += 1
        if count[group] <= SHOWN_PER_CONCEPT:
            rows.append(_image_row(row, perceived.get(row["key"], {})))
    return rows


def _image_row(row: Mapping[Hashable, object], labels: dict[str, str]) -> ImageRow:
    known = {name: row[name] for name in ImageRow.model_fields if name in row}
    return ImageRow.model_validate(known | {"labels": labels})


def merged(images: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The image table with the rows of the methods in ``images`` replaced by them."""
    kept = table.read()
    if len(kept):
        kept = kept[~kept["method"].isin(set(images["method"]))]
    return pd.concat([kept, images], ignore_index=True)
