"""Annotation files in a run folder, and the lookup of images by the ids that annotators see.

- ``RUN/annotation/<batch>.csv``: the key of an annotation batch
- ``RUN/annotation/annotations.csv``: the checked annotations
- ``RUN/annotation/agreement.csv``: agreement between people, and of judges with people
- ``RUN/tables/human_labels.parquet``: the label table of people
- ``RUN/tables/anchors.csv``: the aggregated labels as anchors
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.tables import Table
from evenhand.metrics.terms import parse_cell

KEY_COLUMNS = ("image_id", "key", "stratum", "probability", "is_repeat", "gold")
"""Columns of a key. ``probability`` is the sampling probability, empty for gold images outside the sample;
``gold`` has the agreed labels as a cell, ``gender=woman;tone=dark``."""

ANSWERS, AGREEMENT = "annotations.csv", "agreement.csv"
"""File names of an import, beside the keys."""


def key_folder(run_folder: RunFolder) -> Path:
    """Folder of the keys and of the checked annotations."""
    return run_folder.root / "annotation"


def human_labels(run_folder: RunFolder) -> Table:
    """The label table of people: all annotators, and the aggregated labels."""
    return Table(
        run_folder.root / "tables", "human_labels", keys=("key", "judge", "judge_version", "attribute")
    )


def image_id(path: Path) -> str:
    """The id of an image that annotators see: a hash of its file, 16 hexadecimal digits.

    Raises:
        EvenhandError: The file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as fault:
        raise EvenhandError(f"{path}: image cannot be read ({fault}); run the suite again") from fault


@dataclass(frozen=True)
class Key:
    """The key of an annotation batch.

    Attributes:
        known: Image ids to keys of images.
        gold: The agreed labels; columns ``key``, ``attribute``, ``label``.
        repeats: Keys of images that are shown twice.
        probabilities: Keys of images to sampling probabilities; empty without an export.
    """

    known: dict[str, str]
    gold: pd.DataFrame
    repeats: frozenset[str]
    probabilities: dict[str, float]


def read_key(run_folder: RunFolder, *, batches: Collection[str], ids: Collection[str]) -> Key:
    """The key of the annotation batch that annotations belong to.

    If they belong to no batch of the run, images may be referred to by their keys or ids.

    Args:
        run_folder: The run.
        batches: Batches named in the annotations.
        ids: Image ids in the annotations.

    Raises:
        EvenhandError: The annotations are of several batches, or of a batch of another run.
    """
    path = _key_path(run_folder, batches=batches, ids=ids)
    if path is None:
        paths = {key: run_folder.images.path(key) for key in set(run_folder.image_table.read()["key"])}
        known = {key: key for key in paths} | {
            image_id(place): key for key, place in paths.items() if place.is_file()
        }
        return Key(known, pd.DataFrame(columns=["key", "attribute", "label"]), frozenset(), {})
    table = _read_key(path)
    gold = [
        (key, attribute, label)
        for key, cell in zip(table["key"], table["gold"], strict=True)
        for attribute, label in parse_cell(cell).items()
    ]
    drawn = table[table["probability"] != ""]
    return Key(
        known=dict(zip(table["image_id"], table["key"], strict=True)),
        gold=pd.DataFrame(gold, columns=["key", "attribute", "label"]),
        repeats=frozenset(table["key"][table["is_repeat"] == "1"]),
        probabilities=dict(zip(drawn["key"], drawn["probability"].astype(float), strict=True)),
    )


def _key_path(run_folder: RunFolder, *, batches: Collection[str], ids: Collection[str]) -> Path | None:
    """Path of the key; if no batch is named, of the batch that has some of the images."""
    found = sorted(key_folder(run_folder).glob("*.csv"))
    paths = {path.stem: path for path in found if path.name not in (ANSWERS, AGREEMENT)}
    named = sorted({batch for batch in batches if batch})
    if not named:
        named = [batch for batch, path in paths.items() if set(_read_key(path)["image_id"]) & set(ids)]
    if len(named) > 1:
        raise EvenhandError(
            f"annotations are of {len(named)} batches ({', '.join(named)}); import one batch at a time"
        )
    if named and named[0] not in paths:
        raise EvenhandError(
            f"annotations are of batch {named[0]!r}, which is not of run {run_folder.root}; use "
            "the run of the batch"
        )
    return paths[named[0]] if named else None


def _read_key(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as fault:  # parser errors of pandas are ValueErrors
        raise EvenhandError(f"{path}: key cannot be read ({fault}); export again") from fault
    if tuple(table.columns) != KEY_COLUMNS:
        raise EvenhandError(
            f"{path}: key was altered, the header must be {','.join(KEY_COLUMNS)}; export again"
        )
    return table
