"""The tables of an entry: what its estimates are recomputed from, written small and read with suspicion.

``images.parquet`` has one row per planned image, in the order of the plan: what the prompts ask for is
the plan's business, so it holds no word of theirs. ``labels.parquet`` has one row per judge, attribute and
distinct image of a person that was made; its ``image`` is the row of the image in the other table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.suite import KnownSuite
from evenhand.bench.parsing.strict_parquet import read_parquet, write_parquet
from evenhand.bench.prompts.plan import Item
from evenhand.bench.prompts.prompt_set import format_cell
from evenhand.bench.results.entry import Entry, EntryFile
from evenhand.bench.results.result import JudgeCard, Spec
from evenhand.metrics.table import LABEL_COLUMNS, PERSON_KINDS, STATUSES, hard_labels

IMAGES_FILE: EntryFile = "images.parquet"
LABELS_FILE: EntryFile = "labels.parquet"

ALIGNMENT, PRESERVATION = "alignment", "preservation_distance"
"""Numbers of an image that need no judge; ``nan`` where there is none."""

MAX_BYTES = 8 * 2**20
"""Largest file of an entry. All files of one of suite ``mini`` together stay below one megabyte."""

_HASH = pa.binary(32)

_IMAGES = {
    "prompt_id": pa.string(),
    "seed_index": pa.int32(),
    "seed": pa.int64(),
    "status": pa.string(),
    "key": _HASH,
    "pixels": _HASH,
    ALIGNMENT: pa.float64(),
    PRESERVATION: pa.float64(),
}
_LABELS = {
    "judge": pa.string(),
    "attribute": pa.string(),
    "image": pa.int32(),
    "status": pa.string(),
    "label": pa.string(),
    "cannot_tell": pa.float64(),
}
_NULLABLE = ("pixels",)

_PROBABILITY = "p{}"
"""Columns of the groups' probabilities, in the order of the taxonomy; ``nan`` beyond the attribute's."""

_RANGES = {ALIGNMENT: (-100.0, 100.0), PRESERVATION: (0.0, 1e6)}

Taxonomy = Mapping[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of one method.

    Attributes:
        images: Rows of the image table, in the order of the plan.
        labels: Rows of the label table.
    """

    images: pd.DataFrame
    labels: pd.DataFrame


def read_tables(path: Path, entry: Entry, known: KnownSuite) -> Tables:
    """The tables of the entry in the folder ``path``, held against their hashes and its suite.

    Raises:
        EvenhandError: A table is missing, or is not what it should be.
    """
    return tables_of(read_files(path, entry), spec=entry.result.spec, known=known)


def read_files(path: Path, entry: Entry) -> dict[EntryFile, bytes]:
    """The files of the tables, held against their hashes.

    Raises:
        EvenhandError: A file is missing, too large, or not the one that ``entry.json`` names.
    """
    found: dict[EntryFile, bytes] = {}
    for name in (IMAGES_FILE, LABELS_FILE):
        if name not in entry.files:
            raise EvenhandError(f"{name} is missing; submit the run again")
        try:
            found[name] = read_file(path / name, digest=entry.files[name])
        except (OSError, ValueError) as fault:
            raise _unusable(name, fault) from fault
    return found


def tables_of(files: Mapping[EntryFile, bytes], *, spec: Spec, known: KnownSuite) -> Tables:
    """The tables in these files.

    Raises:
        EvenhandError: A table is not what it should be.
    """
    name = IMAGES_FILE
    try:
        images = read_images(
            files[name], items=known.items, method=spec.method.label, scored=bool(known.suite.scorer)
        )
        name = LABELS_FILE
        labels = read_labels(
            files[name],
            images=images,
            judges=known.judges(spec),
            taxonomy=known.evaluation_config.taxonomy,
        )
    except ValueError as fault:
        raise _unusable(name, fault) from fault
    return Tables(images, labels)


def files_of(tables: Tables, *, taxonomy: Taxonomy) -> dict[EntryFile, bytes]:
    """The files of these tables.

    Args:
        tables: The tables; that of the images with ``preservation_distance`` and ``pixels``: the SHA-256 of
            each image that was made, ``""`` for the others.
        taxonomy: Attribute to groups, in the order of the probabilities.
    """
    images = tables.images
    hashed = images.assign(key=_binary(images["key"]), pixels=_binary(images["pixels"]))
    return {
        IMAGES_FILE: write_parquet(hashed, _IMAGES),
        LABELS_FILE: label_bytes(tables.labels, images=images, taxonomy=taxonomy),
    }


def _binary(hashes: pd.Series) -> pd.Series:
    return hashes.map(lambda text: bytes.fromhex(text) if text else None)


def _unusable(name: str, fault: Exception) -> EvenhandError:
    return EvenhandError(f"{name} cannot be used ({fault}); submit the run again")


def label_bytes(labels: pd.DataFrame, *, images: pd.DataFrame, taxonomy: Taxonomy) -> bytes:
    """``labels.parquet`` of rows of the label table, sorted by judge, attribute and image."""
    places = labels["key"].map(first_rows(images))
    rows = labels.assign(image=places).sort_values(["judge", "attribute", "image"], ignore_index=True)
    columns = _probability_columns(taxonomy)
    table = np.full((len(rows), len(columns)), np.nan)
    for place, cell in enumerate(rows["probabilities"]):
        table[place, : len(cell) - 1] = cell[:-1]
    last = [cell[-1] for cell in rows["probabilities"]]
    wide = rows.assign(cannot_tell=last, **dict(zip(columns, table.T, strict=True)))
    return write_parquet(wide, _label_columns(taxonomy))


def read_images(data: bytes, *, items: Sequence[Item], method: str, scored: bool) -> pd.DataFrame:
    """The image table of an entry, with what the plan knows of every image.

    Args:
        data: The file.
        items: The planned images, in order.
        method: Label of the method.
        scored: Whether the suite has a scorer, so that every image that was made has an alignment.

    Raises:
        ValueError: The file is not such a table, or its rows are not those of the plan.
    """
    rows = read_parquet(data, _IMAGES, max_rows=len(items), nullable=_NULLABLE)
    if len(rows) < len(items):
        raise ValueError(f"it has {len(rows)} rows and the suite plans {len(items)} images")
    for name, planned in _plan(items).items():
        _require_equal(name, rows[name], planned)
    _require_known("status", rows["status"], STATUSES)
    made = rows["status"] == "ok"
    _require_where("a hash of its pixels", rows["pixels"].notna(), made, rows["status"])
    _require_where("an alignment", rows[ALIGNMENT].notna() & made, made & scored, rows["status"])
    for name, (low, high) in _RANGES.items():
        if (wrong := (rows[name] < low) | (rows[name] > high)).any():
            row = int(wrong.argmax())
            raise ValueError(f"row {row} has {name} {rows[name][row]:g}, beyond {low:g} to {high:g}")
    prompts = [item.prompt for item in items]
    return rows.assign(
        key=[key.hex() for key in rows["key"]],
        pixels=[pixels.hex() if there else "" for pixels, there in zip(rows["pixels"], made, strict=True)],
        method=method,
        prompt=[prompt.text for prompt in prompts],
        concept=[prompt.concept for prompt in prompts],
        template=[prompt.template for prompt in prompts],
        kind=[prompt.kind for prompt in prompts],
        cell=[format_cell(prompt.cell) for prompt in prompts],
    )


def read_labels(
    data: bytes, *, images: pd.DataFrame, judges: Sequence[JudgeCard], taxonomy: Taxonomy
) -> pd.DataFrame:
    """The label table of an entry: one row for every judge, attribute it knows and image of a person.

    Args:
        data: The file.
        images: The table of :func:`read_images`.
        judges: The judges whose labels belong there.
        taxonomy: Attribute to groups, in the order of the probabilities.

    Raises:
        ValueError: The file is not such a table, a row is missing, doubled or too many, or a label is not
            what the judge's probabilities say.
    """
    wanted = {place: key for key, place in first_rows(images).items()}
    pairs = [(judge, name) for judge in judges for name in taxonomy if name in judge.taxonomies]
    rows = read_parquet(data, _label_columns(taxonomy), max_rows=len(wanted) * len(pairs))
    _require_known("status", rows["status"], STATUSES)
    parts = []
    for judge, attribute in pairs:
        part = rows[(rows["judge"] == judge.name) & (rows["attribute"] == attribute)]
        where = f"judge {judge.name!r} and attribute {attribute!r}"
        if part["image"].duplicated().any():
            raise ValueError(f"{where} label an image twice")
        if lacking := set(wanted) - set(part["image"]):
            raise ValueError(f"{where} lack {len(lacking)} of {len(wanted)} images, first {min(lacking)}")
        probabilities = _probabilities(part, count=len(taxonomy[attribute]), where=where)
        # Made anew, not believed: a label is what the probabilities say.
        labels, statuses = hard_labels(probabilities, taxonomy[attribute], status=part["status"].tolist())
        if labels != part["label"].tolist() or statuses != part["status"].tolist():
            raise ValueError(f"{where} have a label or status that the probabilities do not say")
        parts.append(
            part.assign(
                key=part["image"].map(wanted),
                judge_version=judge.version,
                family=judge.family,
                confidence=probabilities[:, :-1].max(axis=1),
                probabilities=probabilities.tolist(),
            )
        )
    if len(rows) != sum(map(len, parts)):
        raise ValueError("it has rows of a judge, an attribute or an image that do not belong there")
    return pd.concat(parts, ignore_index=True)[list(LABEL_COLUMNS)]


def first_rows(images: pd.DataFrame) -> dict[str, int]:
    """Key to row of the images that every judge labels: those of people that were made, each once."""
    labelled = images["kind"].isin(PERSON_KINDS) & (images["status"] == "ok")
    places = np.flatnonzero(labelled).tolist()
    # From the last to the first, so that of several rows with one image the first stays.
    keys = images["key"].tolist()
    return {keys[place]: place for place in reversed(places)}


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """SHA-256 of an image ``(height, width, 3)``: its size and its bytes, whatever file it is in."""
    head = "x".join(map(str, image.shape))
    return hashlib.sha256(f"{head}\n".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def read_file(path: Path, *, digest: str) -> bytes:
    """The file of an entry, whole.

    Raises:
        ValueError: It is too large, or not the file that ``entry.json`` names.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("its SHA-256 is not the one that entry.json states")
    return data


def _plan(items: Sequence[Item]) -> dict[str, list[Any]]:
    return {
        "prompt_id": [item.prompt.id for item in items],
        "seed_index": [item.seed_index for item in items],
        "seed": [item.seed for item in items],
    }


def _probability_columns(taxonomy: Taxonomy) -> list[str]:
    return [_PROBABILITY.format(place) for place in range(max(map(len, taxonomy.values())))]


def _label_columns(taxonomy: Taxonomy) -> dict[str, pa.DataType]:
    return _LABELS | dict.fromkeys(_probability_columns(taxonomy), pa.float64())


def _require_equal(name: str, column: pd.Series, planned: Sequence[Any]) -> None:
    unlike = np.flatnonzero(column.to_numpy(object) != np.array(planned, dtype=object))
    if len(unlike):
        row = int(unlike[0])
        raise ValueError(f"row {row} has {name} {column.iloc[row]!r:.40}; the suite plans {planned[row]!r}")


def _require_where(what: str, there: pd.Series, wanted: pd.Series, statuses: pd.Series) -> None:
    if (wrong := there != wanted).any():
        row = int(wrong.argmax())
        verb = "has" if there[row] else "lacks"
        raise ValueError(f"row {row} {verb} {what} and its status is {statuses[row]!r:.40}")


def _require_known(name: str, column: pd.Series, known: Sequence[str]) -> None:
    for value in sorted(set(column) - set(known)):
        raise ValueError(f"{name} {value!r:.40} is unknown; known: {', '.join(known)}")


def _probabilities(part: pd.DataFrame, *, count: int, where: str) -> NDArray[np.float64]:
    """Probabilities ``(n, K + 1)``, "cannot tell" last."""
    columns = [name for name in part.columns if name[0] == "p" and name[1:].isdecimal()]
    inside = part[[*columns[:count], "cannot_tell"]].to_numpy(float)
    fine = np.isfinite(inside) & (inside >= 0) & (inside <= 1 + 1e-6)
    if not fine.all() or part[columns[count:]].notna().to_numpy().any():
        raise ValueError(f"{where} have a probability that is none")
    return inside
