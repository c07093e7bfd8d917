"""Readers of annotation files: long CSV, wide sheet, sheet with a two-row header, Label Studio JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.metrics.annotation.answers import (
    ANSWER_COLUMNS,
    BETWEEN,
    CANNOT_TELL,
    PEOPLE,
    PLACE,
    REQUIRED,
    fold,
)

MAX_BYTES = 64 * 2**20
"""Maximum size of an annotation file."""

THUMBNAIL = "thumbnail"
"""Column of a wide sheet that shows the image."""

_IMAGE = ("image id", "image", "picture", "file")
_ANNOTATOR = ("annotator id", "annotator", "rater")
_MARKED, _EMPTY = ("1", "x", "true", "yes", "✓"), ("", "0", "false", "no")

Row = dict[str, str]
Record = tuple[int, list[str]]


def read_answers(path: Path, *, layout: str | None = None) -> pd.DataFrame:
    """Raw, unchecked annotations: text columns ``ANSWER_COLUMNS`` and ``place``, one row per annotation.

    Layouts: ``csv`` has one row per annotation and the columns
    :data:`evenhand.metrics.annotation.answers.ANSWER_COLUMNS`; ``wide`` has one row per image and one column
    per attribute; ``two-row`` has one row per image, a header of attributes and below it a header of groups,
    whose cells are marked; ``label-studio`` is the JSON export of Label Studio. In a sheet without a column
    of annotators, or with an empty one, the file name is the annotator's id.

    Args:
        path: The file.
        layout: Name of the layout; detected if ``None``.

    Raises:
        EvenhandError: The file cannot be read, is empty, or has no such layout.
    """
    text = _text(path)
    if layout is not None and layout not in LAYOUTS:
        raise unknown("annotation format", layout, LAYOUTS)
    if not text.strip():
        raise EvenhandError(f"annotations {path}: the file is empty; save the annotations again")
    name = layout or _detect(path, text)
    rows = list(LAYOUTS[name](path, text))
    if not rows:
        raise _empty(path)
    return pd.DataFrame(rows, columns=[*ANSWER_COLUMNS, PLACE], dtype=object).fillna("")


def _empty(path: Path) -> EvenhandError:
    return EvenhandError(f"annotations {path}: no annotations found; annotate at least 1 image")


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():  # a FIFO would block
        raise EvenhandError(f"annotations {path}: it is not a regular file; check the path")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise EvenhandError(
            f"annotations {path}: the file is not UTF-8 ({fault.reason}); save it as UTF-8"
        ) from fault
    except OSError as fault:
        raise EvenhandError(f"annotations {path}: cannot read the file ({fault}); check the path") from fault
    if len(data) > MAX_BYTES:
        raise EvenhandError(
            f"annotations {path}: the file is larger than {MAX_BYTES // 2**20} MiB; split the file"
        )
    return text


def _detect(path: Path, text: str) -> str:
    if text.lstrip()[0] in "[{":
        return "label-studio"
    heads = [[fold(cell) for cell in fields] for _, fields in _records(path, text)[:2]]
    if {"attribute", "label"} <= set(heads[0]):
        return "csv"
    if set(heads[0]) & set(_IMAGE):
        return "wide"
    if len(heads) > 1 and set(heads[1]) & set(_IMAGE):
        return "two-row"
    raise EvenhandError(
        f"annotations {path}, line 1: unknown header {','.join(heads[0])[:60]!r}; an annotation file starts "
        f"with {','.join(REQUIRED)},…"
    )


def _records(path: Path, text: str) -> list[Record]:
    """The records of a CSV file with their lines; delimiter is the more frequent of comma and semicolon."""
    head = text.split("\n", 1)[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found, line = [], 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                found.append((line, fields))
            line = reader.line_num + 1
    except csv.Error as fault:
        raise EvenhandError(
            f"annotations {path}, line {line}: invalid CSV ({fault}); quote fields"
        ) from fault
    if not found:
        raise _empty(path)
    return found


def _rows(path: Path, records: Sequence[Record], header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for line, fields in records:
        if len(fields) != len(header):
            raise EvenhandError(
                f"annotations {path}, line {line}: {len(fields)} columns; the header has {len(header)}"
            )
        yield line, [field.strip() for field in fields]


def _long(path: Path, text: str) -> Iterator[Row]:
    (_, first), *records = _records(path, text)
    header = [name.strip() for name in first]
    for name in REQUIRED:
        if name not in header:
            raise EvenhandError(f"annotations {path}, line 1: column {name!r} is missing; add it")
    for name in header:
        if name not in ANSWER_COLUMNS or header.count(name) > 1:
            raise EvenhandError(
                f"annotations {path}, line 1: column {name!r} is unknown or duplicated; "
                f"columns: {', '.join(ANSWER_COLUMNS)}"
            )
    for line, fields in _rows(path, records, header):
        yield {**dict(zip(header, fields, strict=True)), PLACE: f"{path}, line {line}"}


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((place for place, name in enumerate(header) if fold(name) in names), None)


def _wide(path: Path, text: str) -> Iterator[Row]:
    (_, header), *records = _records(path, text)
    image, annotator = _column(header, _IMAGE), _column(header, _ANNOTATOR)
    if image is None:
        raise EvenhandError(f"annotations {path}, line 1: column 'image_id' is missing; add it")
    meta = {name.strip() for name in header} & {*ANSWER_COLUMNS, THUMBNAIL}
    asked = [
        place
        for place, name in enumerate(header)
        if place not in (image, annotator) and name.strip() not in meta and name.strip()
    ]
    for line, fields in _rows(path, records, header):
        facts = {name.strip(): value for name, value in zip(header, fields, strict=True)}
        row = {name: facts[name] for name in meta if name in ANSWER_COLUMNS}
        row |= {"image_id": fields[image], PLACE: f"{path}, line {line}"}
        row["annotator_id"] = (fields[annotator] if annotator is not None else "") or path.stem
        # The form asks nothing else about an image without a person.
        silent = CANNOT_TELL if row.get("n_people") == PEOPLE[0] else ""
        for place in asked:
            if fields[place] or silent:
                yield {**row, "attribute": header[place].strip(), "label": fields[place] or silent}


def _two_row(path: Path, text: str) -> Iterator[Row]:
    records = _records(path, text)
    if len(records) < 2:
        raise EvenhandError(f"annotations {path}, line 2: the header line of groups is missing; add it")
    (_, upper), (_, lower), *rest = records
    image, annotator = _column(lower, _IMAGE), _column(lower, _ANNOTATOR)
    if image is None:
        raise EvenhandError(f"annotations {path}, line 2: column 'image_id' is missing; add it")
    columns: dict[str, list[int]] = {}
    current = ""
    if len(upper) > len(lower):
        raise EvenhandError(
            f"annotations {path}, line 1: {len(upper)} columns; the line of groups has {len(lower)}"
        )
    for place, name in enumerate(upper):
        current = name.strip() or current
        if current and lower[place].strip() and place not in (image, annotator):
            columns.setdefault(current, []).append(place)
    for line, fields in _rows(path, rest, lower):
        row = {"image_id": fields[image], PLACE: f"{path}, line {line}"}
        row["annotator_id"] = (fields[annotator] if annotator is not None else "") or path.stem
        for attribute, places in columns.items():
            marked = [lower[place].strip() for place in places if _marked(path, line, fields[place])]
            if len(marked) > 1:
                raise EvenhandError(
                    f"annotations {path}, line {line}: {attribute} has {len(marked)} marks; keep one"
                )
            if marked:
                yield {**row, "attribute": attribute, "label": marked[0]}


def _marked(path: Path, line: int, cell: str) -> bool:
    if fold(cell) not in _MARKED + _EMPTY:
        raise EvenhandError(f"annotations {path}, line {line}: a mark must be 1 or empty, got {cell!r}")
    return fold(cell) in _MARKED


def _label_studio(path: Path, text: str) -> Iterator[Row]:
    try:
        tasks = json.loads(text)
    except json.JSONDecodeError as fault:
        raise EvenhandError(
            f"annotations {path}, line {fault.lineno}: invalid JSON ({fault.msg}); export the file again"
        ) from fault
    except (ValueError, RecursionError) as fault:  # a number that is too long, or lists nested too deeply
        raise EvenhandError(f"annotations {path}: cannot read the file ({fault}); export it again") from fault
    for number, task in enumerate(tasks if isinstance(tasks, list) else [tasks], start=1):
        try:
            yield from _task(task, place=f"{path}, task {number}")
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as fault:
            raise EvenhandError(
                f"annotations {path}, task {number}: not a Label Studio task ({fault}); export as JSON, not "
                "JSON-MIN"
            ) from fault


def _task(task: Mapping[str, Any], *, place: str) -> Iterator[Row]:
    image = _image(task.get("file_upload") or task["data"]["image"])
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue  # skipped by the annotator
        by = annotation["completed_by"]
        said = {part["from_name"]: BETWEEN.join(part["value"]["choices"]) for part in annotation["result"]}
        row = {
            "image_id": image,
            "annotator_id": str(by["id"] if isinstance(by, Mapping) else by),
            "seconds": str(annotation.get("lead_time") or ""),
            "timestamp": str(annotation.get("created_at") or ""),
            PLACE: place,
        }
        row |= {name: said.pop(name) for name in ("n_people", "face_quality", "confidence") if name in said}
        for attribute, label in said.items():
            yield {**row, "attribute": attribute, "label": label}


def _image(address: str) -> str:
    """The image id in a file name or address: its stem, without the upload prefix of Label Studio."""
    stem = PurePosixPath(unquote(urlsplit(address).path)).stem
    return re.sub(r"^[0-9a-f]{8}-(?=.)", "", stem)


LAYOUTS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    "csv": _long,
    "wide": _wide,
    "two-row": _two_row,
    "label-studio": _label_studio,
}
"""Annotation formats by name."""
