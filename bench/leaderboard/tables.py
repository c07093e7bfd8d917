"""The tables of an entry, from which its estimates are recomputed; compact, and read as untrusted input.

``images.parquet`` has one row per planned image, in the order of the plan, without prompts, which come from
the suite. ``labels.parquet`` has one row per judge, attribute and distinct generated image of people; its
column ``image`` is the row number in ``images.parquet``.
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
from evenhand.bench.results.entry import Entry, EntryFile
from evenhand.bench.results.result import JudgeCard, Spec
from evenhand.metrics.table import LABEL_COLUMNS, PERSON_KINDS, STATUSES, hard_labels
from evenhand.metrics.terms import format_cell

IMAGES_FILE: EntryFile = "images.parquet"
LABELS_FILE: EntryFile = "labels.parquet"

ALIGNMENT, PRESERVATION = "alignment", "preservation_distance"
"""Scores of an image that do not come from judges; ``nan`` if missing."""

MAX_BYTES = 8 * 2**20
"""Maximum size of a file of an entry; all files of an entry of suite ``mini`` are below one megabyte."""

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
"""Columns of group probabilities, in the order of the taxonomy; ``nan`` beyond the groups of the
attribute."""

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
    """Read the tables of the entry in the folder ``path``; checks them against their hashes and the suite.

    Raises:
        EvenhandError: A table is missing or not valid.
    """
    return tables_of(read_files(path, entry), spec=entry.result.spec, known=known)


def read_files(path: Path, entry: Entry) -> dict[EntryFile, bytes]:
    """Read the files of the tables; checks them against their hashes.

    Raises:
        EvenhandError: A file is missing, too large, or differs from its hash in ``entry.json``.
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
    """Parse the tables in these files.

    Raises:
        EvenhandError: A table is not valid.
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
    """Serialize tables to files.

    Args:
        tables: The tables; the image table must have ``preservation_distance`` and ``pixels``, the SHA-256 of
            each generated image, ``""`` for the others.
        taxonomy: Attributes to groups, in the order of the probabilities.
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
    return EvenhandError(f"{name} is not valid ({fault}); submit the run again")


def label_bytes(labels: pd.DataFrame, *, images: pd.DataFrame, taxonomy: Taxonomy) -> bytes:
    """Serialize the label table to ``labels.parquet``, sorted by judge, attribute and image."""
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
    """Parse the image table of an entry, and add the columns that the plan provides.

    Args:
        data: The content of the file.
        items: The planned images, in order.
        method: Label of the method.
        scored: Whether the suite has a scorer, so that every generated image has an alignment.

    Raises:
        ValueError: The file is malformed, or its rows differ from the plan.
    """
    rows = read_parquet(data, _IMAGES, max_rows=len(items), nullable=_NULLABLE)
    if len(rows) < len(items):
        raise ValueError(f"it has {len(rows)} rows, but the suite plans {len(items)} images")
    for name, planned in _plan(items).items():
        _require_equal(name, rows[name], planned)
    _require_known("status", rows["status"], STATUSES)
    made = rows["status"] == "ok"
    _require_where("a hash of its pixels", rows["pixels"].notna(), made, rows["status"])
    _require_where("an alignment", rows[ALIGNMENT].notna() & made, made & scored, rows["status"])
    for name, (low, high) in _RANGES.items():
        if (wrong := (rows[name] < low) | (rows[name] > high)).any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{name} must be between {low:g} and {high:g}, got {rows[name][row]:g} in row {row}"
            )
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
    """Parse the label table of an entry: one row for every judge, attribute of the judge and image of people.

    Args:
        data: The content of the file.
        images: The table of :func:`read_images`.
        judges: The judges that must have labels.
        taxonomy: Attributes to groups, in the order of the probabilities.

    Raises:
        ValueError: The file is malformed, rows are missing, duplicate or superfluous, or a label does not
            match its probabilities.
    """
    expected = {place: key for key, place in first_rows(images).items()}
    pairs = [(judge, name) for judge in judges for name in taxonomy if name in judge.taxonomies]
    rows = read_parquet(data, _label_columns(taxonomy), max_rows=len(expected) * len(pairs))
    _require_known("status", rows["status"], STATUSES)
    parts = []
    for judge, attribute in pairs:
        part = rows[(rows["judge"] == judge.name) & (rows["attribute"] == attribute)]
        where = f"judge {judge.name!r} and attribute {attribute!r}"
        if part["image"].duplicated().any():
            raise ValueError(f"{where} have duplicate labels")
        if missing := set(expected) - set(part["image"]):
            raise ValueError(
                f"{where} have no label for {len(missing)} of {len(expected)} images, first {min(missing)}"
            )
        probabilities = probabilities_of(part, count=len(taxonomy[attribute]), where=where)
        # Recompute labels from probabilities instead of trusting the file.
        labels, statuses = hard_labels(probabilities, taxonomy[attribute], status=part["status"].tolist())
        if labels != part["label"].tolist() or statuses != part["status"].tolist():
            raise ValueError(f"{where} have a label or status that does not match its probabilities")
        parts.append(
            part.assign(
                key=part["image"].map(expected),
                judge_version=judge.version,
                family=judge.family,
                confidence=probabilities[:, :-1].max(axis=1),
                probabilities=probabilities.tolist(),
            )
        )
    if len(rows) != sum(map(len, parts)):
        raise ValueError("it has rows of unexpected judges, attributes or images")
    return pd.concat(parts, ignore_index=True)[list(LABEL_COLUMNS)]


def first_rows(images: pd.DataFrame) -> dict[str, int]:
    """Keys to first rows of the distinct images that every judge labels: generated images of people."""
    labelled = images["kind"].isin(PERSON_KINDS) & (images["status"] == "ok")
    places = np.flatnonzero(labelled).tolist()
    # In reverse, so that the first row of duplicate images is kept.
    keys = images["key"].tolist()
    return {keys[place]: place for place in reversed(places)}


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """SHA-256 of the size and pixels of an image ``(height, width, 3)``, independent of its file format."""
    head = "x".join(map(str, image.shape))
    return hashlib.sha256(f"{head}\n".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def read_file(path: Path, *, digest: str) -> bytes:
    """Read a file of an entry.

    Raises:
        ValueError: The file is too large, or differs from its hash in ``entry.json``.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("its SHA-256 differs from that in entry.json")
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
    different = np.flatnonzero(column.to_numpy(object) != np.array(planned, dtype=object))
    if len(different):
        row = int(different[0])
        raise ValueError(
            f"{name} must be {planned[row]!r} as in the suite, got {column.tolist()[row]!r:.40} in row {row}"
        )


def _require_where(what: str, present: pd.Series, expected: pd.Series, statuses: pd.Series) -> None:
    if (wrong := present != expected).any():
        row = int(wrong.argmax())
        verb = "has" if present[row] else "lacks"
        raise ValueError(f"row {row} {verb} {what}, but its status is {statuses[row]!r:.40}")


def _require_known(name: str, column: pd.Series, known: Sequence[str]) -> None:
    for value in sorted(set(column) - set(known)):
        raise ValueError(f"{name} {value!r:.40} is unknown; known: {', '.join(known)}")


def probabilities_of(part: pd.DataFrame, *, count: int, where: str) -> NDArray[np.float64]:
    """Probabilities ``(n, K + 1)``, "cannot tell" last.

    Args:
        part: Rows with the columns ``p0``, ``p1`` and so on, and ``cannot_tell``.
        count: The number of groups.
        where: What the rows are, for the message.

    Raises:
        ValueError: A probability is outside 0 to 1, or one of another attribute is there.
    """
    columns = [name for name in part.columns if name[0] == "p" and name[1:].isdecimal()]
    inside = part[[*columns[:count], "cannot_tell"]].to_numpy(float)
    valid = np.isfinite(inside) & (inside >= 0) & (inside <= 1 + 1e-6)
    if not valid.all() or part[columns[count:]].notna().to_numpy().any():
        raise ValueError(f"{where} have probabilities outside 0 to 1")
    return inside
