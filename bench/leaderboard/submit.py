"""Writes the results of a run as leaderboard entries, with the tables from which they can be recomputed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry, outcome_files
from evenhand.bench.leaderboard.measure import measured, published
from evenhand.bench.leaderboard.scores import with_preservation
from evenhand.bench.leaderboard.source import method_source
from evenhand.bench.leaderboard.strip import STRIP_FILE, strip_of
from evenhand.bench.leaderboard.suite import KnownSuite, known_suite, refusal
from evenhand.bench.leaderboard.tables import (
    Tables,
    files_of,
    first_rows,
    pixel_hash,
    read_tables,
    tables_of,
)
from evenhand.bench.results.entry import ENTRY_FILE, Entry, EntryFile, entry_name, version_key
from evenhand.bench.results.result import BASE, Result, Run
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.fits import fit_folder
from evenhand.bench.storage.frames import stored_vectors, unrelated_keys
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.metrics.estimation.panel import PANEL


def submit(run: Path, entries: Path, *, address: str = "") -> list[Path]:
    """Write all results of a finished run as leaderboard entries; returns the folders written.

    Entries of registered suites include tables. For other suites the plan is not public, so their entries are
    only reported. An existing entry of the baseline with tables is kept, since all entries are compared with
    it. Methods with a fit from a cache are left out, see :func:`pulled_rows`.

    Args:
        run: Folder of the run.
        entries: Folder of the entries.
        address: Where the packages of the methods can be found; as in their metadata if empty.

    Raises:
        EvenhandError: The folder is not a finished run, is an audit, is of a changed suite, or lacks an image
            or label; or the code of a method cannot be named.
    """
    loaded = load_run(run)
    if loaded.results[0].spec.external:
        raise EvenhandError(f"{run} is an audit of external images; only runs of suites can be submitted")
    if reason := refusal(loaded.results[0]):
        raise EvenhandError(f"{run} cannot be submitted: {reason}")
    known = known_suite(loaded.results[0].spec)
    found = _reported(loaded) if known is None else _with_tables(loaded, known.of(loaded.results[0]), entries)
    pulled = pulled_rows(loaded)
    own = [(entry, files) for entry, files in found if entry.result.spec.method.row not in pulled]
    sourced = [(_with_source(entry, run, address), files) for entry, files in own]
    written: list[Path] = []
    for entry, files in sourced:
        path = entries / entry_name(entry.result)
        _check_free(path, entry.result.spec.method.label)
        # Remove files of an earlier entry.
        for file in (*(path / name for name in get_args(EntryFile)), *outcome_files(path)):
            file.unlink(missing_ok=True)
        for name, data in files.items():
            write_atomically(path / name, data)
        write_atomically(path / ENTRY_FILE, entry.to_json().encode())
        written.append(path)
    return written


def _check_free(path: Path, label: str) -> None:
    """Check that a folder has no entry of another method, whose label has the same letters and digits."""
    try:
        found = load_entry(path).result.spec.method.label
    except (OSError, EvenhandError):
        return
    if found != label:
        raise EvenhandError(
            f"{path} has the entry of {found!r:.80}, whose folder {label!r:.80} would have as well; submit "
            "to an empty --entries"
        )


def pulled_rows(run: Run) -> list[str]:
    """Labels of the methods of a run that have a fit from a cache; nobody can submit them as their own."""
    cards = [result.spec.method for result in run.results if result.cost.fit_cache]
    return sorted({card.row for card in cards})


Files = Mapping[EntryFile, bytes]


def _reported(run: Run) -> list[tuple[Entry, Files]]:
    return [(_entry(published(result), run, {}), {}) for result in run.results]


def _with_tables(run: Run, known: KnownSuite, entries: Path) -> list[tuple[Entry, Files]]:
    source = _Source(RunFolder(Path(run.folder)), known)
    results = {result.spec.method.label: _with_own_judges(result, known) for result in run.results}
    files = {label: source.files(result) for label, result in results.items()}
    # Read the files back, so that the numbers are those that readers will compute.
    tables = {label: tables_of(files[label], spec=one.spec, known=known) for label, one in results.items()}
    existing = _existing_base(results[BASE], known, entries)
    base = existing or tables[BASE]
    found: list[tuple[Entry, Files]] = []
    for label in results:
        if label == BASE and existing is not None:
            continue
        own = base if label == BASE else tables[label]
        result = measured(results[label], own, base, base_label=BASE, known=known)
        found.append((_entry(result, run, files[label]), files[label]))
    return found


def _entry(result: Result, run: Run, files: Files) -> Entry:
    timings = {timing.method: timing for timing in run.timings}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return Entry(result=result, timing=timings.get(result.spec.method.label), files=digests)


def _with_source(entry: Entry, run: Path, address: str) -> Entry:
    card = entry.result.spec.method
    fit = fit_folder(run, card.label)
    return entry.model_copy(update={"source": method_source(card, fit=fit, address=address)})


def _existing_base(result: Result, known: KnownSuite, entries: Path) -> Tables | None:
    """The tables of the existing entry of the baseline, if it has tables, this version, and enough images."""
    path = entries / entry_name(result)
    if not path.exists():
        return None
    entry = load_entry(path)
    smaller = entry.result.coverage.planned < result.coverage.planned
    if not entry.files or smaller or version_key(entry.result) != version_key(result):
        return None
    return read_tables(path, entry, known.of(entry.result))


def _with_own_judges(result: Result, known: KnownSuite) -> Result:
    """The result without judges that only other methods of the run used."""
    own = {card.name for card in known.judges(result.spec)} | {result.spec.method.steering_judge}
    judges = [card for card in result.spec.judges if card.name in own]
    return result.model_copy(update={"spec": result.spec.model_copy(update={"judges": judges})})


@dataclass(frozen=True, eq=False)
class _Source:
    """A run's tables, as entries take them."""

    run_folder: RunFolder
    known: KnownSuite

    def files(self, result: Result) -> dict[EntryFile, bytes]:
        """The files of one method's tables.

        Raises:
            EvenhandError: An image or a label is lost.
        """
        label, cards = result.spec.method.label, self.known.judges(result.spec)
        images = _in_order(self.images[self.images["method"] == label], self.known, label)
        made = images["status"] == "ok"
        pixels = [self._pixels(key) if ok else "" for key, ok in zip(images["key"], made, strict=True)]
        versions = {card.name: card.version for card in cards}
        labels = self.labels[self.labels["key"].isin(set(first_rows(images)))]
        current = labels["judge_version"] == labels["judge"].map(versions)
        tables = Tables(images.assign(pixels=pixels), labels[current])
        strip = strip_of(images, self.known.items, self._image)
        found = files_of(tables, taxonomy=self.known.evaluation_config.taxonomy)
        return found if strip is None else found | {STRIP_FILE: strip}

    @cached_property
    def labels(self) -> pd.DataFrame:
        """The label table, without the panel's vote."""
        rows = self.run_folder.labels.read(whole=True)
        return rows[rows["judge"] != PANEL]

    @cached_property
    def images(self) -> pd.DataFrame:
        """The image table of all methods, with distances to the images of the baseline.

        Raises:
            EvenhandError: A table is missing or damaged, or lacks an image.
        """
        images, config = self.run_folder.image_table.read(whole=True), self.known.evaluation_config
        vectors = stored_vectors(self.run_folder, unrelated_keys(images)) if config.scorer else {}
        return with_preservation(images, vectors, taxonomy=config.taxonomy)

    def _pixels(self, key: str) -> str:
        return pixel_hash(self._image(key))

    def _image(self, key: str) -> NDArray[np.uint8]:
        store = self.run_folder.images
        found = store.get(key)
        if found is None:
            raise EvenhandError(
                f"{store.path(key)}: image was altered or removed; run the same `evenhand run` command again"
            )
        return found[0]


def _in_order(images: pd.DataFrame, known: KnownSuite, label: str) -> pd.DataFrame:
    """The rows in the order of the plan."""
    place = pd.MultiIndex.from_frame(images[["prompt_id", "seed_index"]])
    planned = [(item.prompt.id, item.seed_index) for item in known.items]
    order = place.get_indexer(pd.MultiIndex.from_tuples(planned))
    if len(images) != len(planned) or (order < 0).any():
        raise EvenhandError(
            f"the run has {len(images)} images of {label!r}, but its suite plans {len(planned)}; "
            "run the same `evenhand run` command again"
        )
    return images.iloc[order].reset_index(drop=True)
