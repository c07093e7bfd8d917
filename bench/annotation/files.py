"""What people's labels leave in a run's folder, and finding images by the ids that people know them by.

``RUN/annotation/<batch>.csv`` is the key of an export, ``RUN/annotation/annotations.csv`` the checked answers,
``RUN/annotation/agreement.csv`` how far people agree with each other and judges with them,
``RUN/tables/human_labels.parquet`` their label table, ``RUN/tables/anchors.csv`` the aggregate as anchors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.prompt_set import parse_cell
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.tables import Table

KEY_COLUMNS = ("image_id", "key", "stratum", "probability", "is_repeat", "gold")
"""Columns of an export's key. ``probability`` is that of being drawn, empty for a gold image that was not;
``gold`` holds the agreed labels as a cell, ``gender=woman;tone=dark``."""

ANSWERS, AGREEMENT = "annotations.csv", "agreement.csv"
"""Files of an import beside the keys."""


def key_folder(work: RunFolder) -> Path:
    """Folder of the keys and of the checked answers."""
    return work.root / "annotation"


def human_labels(work: RunFolder) -> Table:
    """The label table of people: every annotator, and their aggregate."""
    return Table(work.root / "tables", "human_labels", keys=("key", "judge", "judge_version", "attribute"))


def anchors_path(work: RunFolder) -> Path:
    """Where the aggregate lies as anchors."""
    return work.root / "tables" / "anchors.csv"


def image_id(path: Path) -> str:
    """The id under which people see an image: a hash of its file, 16 hexadecimal digits.

    Raises:
        EvenhandError: The file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as fault:
        raise EvenhandError(f"image {path} cannot be read ({fault}); run the suite again") from fault


@dataclass(frozen=True)
class Key:
    """What is known of the images that people answered about.

    Attributes:
        known: Image id to image.
        gold: Columns ``key``, ``attribute``, ``label``: the agreed labels.
        repeats: Images that are shown twice.
        probabilities: Image to its probability of being drawn; empty where there was no export.
    """

    known: dict[str, str]
    gold: pd.DataFrame
    repeats: frozenset[str]
    probabilities: dict[str, float]


def read_key(work: RunFolder, *, batches: Collection[str], ids: Collection[str]) -> Key:
    """The key of the export that answers belong to.

    Where no export of the run is meant, every image of it is known by its key and by its id.

    Args:
        work: The run.
        batches: Batches that the answers name.
        ids: Image ids that the answers name.

    Raises:
        EvenhandError: The answers are of several exports, or of one that is not the run's.
    """
    path = _key_path(work, batches=batches, ids=ids)
    if path is None:
        paths = {key: work.images.path(key) for key in set(work.image_table.read()["key"])}
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


def _key_path(work: RunFolder, *, batches: Collection[str], ids: Collection[str]) -> Path | None:
    """The key file; without a named batch, that of the one export that has some of the images."""
    found = sorted(key_folder(work).glob("*.csv"))
    paths = {path.stem: path for path in found if path.name not in (ANSWERS, AGREEMENT)}
    named = sorted({batch for batch in batches if batch})
    if not named:
        named = [batch for batch, path in paths.items() if set(_read_key(path)["image_id"]) & set(ids)]
    if len(named) > 1:
        raise EvenhandError(
            f"answers are of {len(named)} exports ({', '.join(named)}); import those of one at a time"
        )
    if named and named[0] not in paths:
        raise EvenhandError(
            f"answers are of export {named[0]!r}, which is not of run {work.root}; give its own run"
        )
    return paths[named[0]] if named else None


def _read_key(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as fault:  # pandas' own errors of parsing are of the second kind
        raise EvenhandError(f"key {path} cannot be read ({fault}); export again") from fault
    if tuple(table.columns) != KEY_COLUMNS:
        raise EvenhandError(
            f"key {path} was altered: its header is not {','.join(KEY_COLUMNS)}; export again"
        )
    return table
