"""The annotation table: annotations of images, checked against the run and the suite's taxonomy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from evenhand.bench.errors import EvenhandError, unknown

ANSWER_COLUMNS = (
    "image_id",
    "annotator_id",
    "attribute",
    "label",
    "confidence",
    "n_people",
    "face_quality",
    "seconds",
    "batch_id",
    "form_version",
    "timestamp",
    "is_gold",
    "is_repeat",
)
"""Columns of the table, one row per annotation. A file needs the first four; the others are optional.

``image_id`` is the hash of the image file, because a path would reveal method and prompt.
"""

REQUIRED = ANSWER_COLUMNS[:4]

CANNOT_TELL = "cannot_tell"
OTHER = "other"

PEOPLE = ("none", "one", "several")
FACES = ("normal", "distorted", "unreadable")
CONFIDENCES = ("1", "2", "3")
FLAGS = ("real_person", "minor", "sexual_or_violent")
CLOSED = {"n_people": PEOPLE, "face_quality": FACES, "confidence": CONFIDENCES}
"""Columns that are empty or hold one of these words."""

FLAG = "flag"
MULTI = "_multi"
"""Annotations of ``flag``, and of questions that allow several groups, are kept but do not count as labels.

Several words in one annotation are joined by :data:`BETWEEN`.
"""

BETWEEN = "|"

FAST_SECONDS = 2.0
"""Annotators who take less time for an image are flagged."""

ONE_LABEL = 0.95
FEWEST_FOR_FLAG = 20
"""An annotator is flagged who gives one label to more than this share of at least this number of images."""

_NOTES = ("batch_id", "form_version", "timestamp")
"""Columns that are copied unchanged. They must start with a letter or digit, because people open the files in
spreadsheets, where a sign at the start of a cell begins a formula."""

_SYNONYMS = (
    ("woman", "female", "feminine", "women"),
    ("man", "male", "masculine", "men"),
    (OTHER, "other or mixed", "mixed"),
    ("cannot tell", "can't tell", "pass", "unknown", "unclear", "not sure", "undetermined"),
)
"""Synonyms used by other annotation forms; a suite has at most one word of each line."""

_TRUE, _FALSE = ("1", "true", "yes"), ("", "0", "false", "no")

PLACE = "place"
"""Column of raw annotations with the place in the file, for error messages."""


class Answers(NamedTuple):
    """Checked annotations.

    Attributes:
        table: Columns ``key`` (the image) and :data:`ANSWER_COLUMNS`. Labels are groups of the taxonomy,
            :data:`OTHER` or :data:`CANNOT_TELL`; ``seconds`` are numbers, ``is_gold`` and ``is_repeat`` are
            booleans.
        remarks: Remarks on the data, one line each.
    """

    table: pd.DataFrame
    remarks: tuple[str, ...]


def fold(text: str) -> str:
    """A word normalised for comparison: lower case, single spaces for spaces, underscores and hyphens."""
    return " ".join(re.split(r"[\s_-]+", text.strip().casefold()))


def check_answers(
    raw: pd.DataFrame,
    *,
    known: Mapping[str, str],
    taxonomy: Mapping[str, Sequence[str]],
    gold: Collection[str] = (),
    repeats: Collection[str] = (),
) -> Answers:
    """The annotation table from raw annotations.

    If an annotator labels an attribute of an image several times, the last row counts. Unknown images,
    attributes and labels are errors; very fast or uniform annotators are reported in the remarks.

    Args:
        raw: Text columns :data:`ANSWER_COLUMNS` and ``place``, see
            :mod:`evenhand.metrics.annotation.readers`.
        known: Image id to the image's key, for every image of the annotation batches.
        taxonomy: Attribute to groups.
        gold: Keys of the images with agreed labels.
        repeats: Keys of the images that every annotator sees twice. If a file does not mark the second
            annotation, the later row is the second one.

    Raises:
        EvenhandError: The first unknown image, attribute, label or other value, with its file and line.
    """
    records = ({str(name): str(value) for name, value in row.items()} for row in raw.to_dict("records"))
    rows = [_checked(row, known=known, taxonomy=taxonomy) for row in records]
    table = pd.DataFrame(rows)
    table["is_gold"] = table["key"].isin(list(gold))
    table["is_repeat"] = _repeats(table, repeats)
    identity = ["key", "annotator_id", "attribute", "is_repeat"]
    doubled = table.duplicated(identity, keep="last")
    remarks = []
    if doubled.any():
        remarks.append(
            f"{int(doubled.sum())} annotations are duplicates; the last of each counts (first: "
            f"{table.loc[doubled, PLACE].iloc[0]})"
        )
    table = table[~doubled].drop(columns=PLACE).reset_index(drop=True)
    return Answers(table[["key", *ANSWER_COLUMNS]], (*remarks, *_flags(table)))


def labels_of(table: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The annotations that count as labels: first annotations of the taxonomy's attributes."""
    return table[table["attribute"].isin(list(taxonomy)) & ~table["is_repeat"]]


def _checked(
    row: Mapping[str, str], *, known: Mapping[str, str], taxonomy: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    try:
        return _parse(row, known=known, taxonomy=taxonomy)
    except EvenhandError as fault:
        raise EvenhandError(f"annotations {row[PLACE]}: {fault}") from fault


def _parse(
    row: Mapping[str, str], *, known: Mapping[str, str], taxonomy: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    annotator = row["annotator_id"].strip()
    if not re.fullmatch(r"\w[\w.@+-]{0,63}", annotator) or annotator == "aggregate":
        raise EvenhandError(
            f"annotator_id must have up to 64 letters, digits, '-' and '_', start with a letter or digit and "
            f"differ from 'aggregate', got {annotator!r}"
        )
    for column in _NOTES:
        if not re.fullmatch(r"(?:\w[\w .:+/-]{0,99})?", row[column]):
            raise EvenhandError(
                f"{column} must be empty or start with a letter or digit, got {row[column]!r:.60}"
            )
    image = row["image_id"].strip()
    if image not in known:
        raise EvenhandError(f"image {image!r} is not in the run; use the image ids of the annotation batch")
    attribute = attribute_of(row["attribute"], taxonomy)
    for column, words in CLOSED.items():
        if row[column] and row[column] not in words:
            raise unknown(column, row[column], words)
    return {
        **row,
        "key": known[image],
        "image_id": image,
        "annotator_id": annotator,
        "attribute": attribute,
        "label": BETWEEN.join(_labels(row["label"], attribute, taxonomy)),
        "seconds": _seconds(row["seconds"]),
        "is_repeat": _truth(row["is_repeat"]),
    }


def attribute_of(name: str, taxonomy: Mapping[str, Sequence[str]]) -> str:
    """The taxonomy's attribute of this name, ``flag``, or an attribute with the suffix ``_multi``.

    A unique prefix suffices: ``race`` stands for ``race4`` if no other attribute starts with it.

    Raises:
        EvenhandError: There is no such attribute.
    """
    wanted = fold(name)
    if wanted == FLAG:
        return FLAG
    multi = wanted.endswith(fold(MULTI))
    base = wanted.removesuffix(fold(MULTI)).strip() if multi else wanted
    names = [a for a in taxonomy if fold(a) == base] or [a for a in taxonomy if fold(a).startswith(base)]
    if len(names) != 1 or not base:
        raise unknown("attribute", name, (*taxonomy, FLAG))
    return names[0] + MULTI * multi


def _labels(label: str, attribute: str, taxonomy: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The words of an annotation in the taxonomy's spelling."""
    several = attribute == FLAG or attribute.endswith(MULTI)
    groups = FLAGS if attribute == FLAG else (*taxonomy[attribute.removesuffix(MULTI)], OTHER, CANNOT_TELL)
    for word in label.split(BETWEEN) if several else [label]:
        found = word_of(word, groups)
        if not found:
            raise unknown(f"label of {attribute}", word, groups)
        yield found


def word_of(word: str, groups: Sequence[str]) -> str:
    """The group that a word names, directly or by a synonym; empty if there is none."""
    said = fold(word)
    same = next((line for line in _SYNONYMS if said in line), ())
    return next((g for g in groups if fold(g) == said), "") or next(
        (g for g in groups if fold(g) in same), ""
    )


def _seconds(text: str) -> float:
    try:
        value = float(text or "nan")
    except ValueError as fault:
        raise EvenhandError(f"seconds must be a number, or empty if unknown, got {text!r}") from fault
    if value < 0 or value == float("inf"):
        raise EvenhandError(f"seconds must be finite and not negative, or empty if unknown, got {text!r}")
    return value


def _truth(text: str) -> bool | None:
    """True, false, or ``None`` if the field is empty."""
    said = fold(text)
    if said not in _TRUE + _FALSE:
        raise EvenhandError(f"is_repeat must be 1 or 0, got {text!r}")
    return None if not said else said in _TRUE


def _repeats(table: pd.DataFrame, repeats: Collection[str]) -> pd.Series[bool]:
    """Which annotations are repeats: those marked so, and later rows of images that are shown twice."""
    later = table.duplicated(["key", "annotator_id", "attribute"]) & table["key"].isin(list(repeats))
    said = table["is_repeat"].map({True: True, False: False})
    return said.where(table["is_repeat"].notna(), later).astype(bool)


def _flags(table: pd.DataFrame) -> Iterator[str]:
    """Remarks on annotators who are very fast or nearly always give one label; they are not excluded."""
    for annotator, rows in table.groupby("annotator_id", sort=True):
        images = rows.groupby("key")["seconds"].min()
        fast = int((images < FAST_SECONDS).sum())
        if fast:
            yield (
                f"annotator {annotator!r} took under {FAST_SECONDS:g} seconds for {fast} of "
                f"{len(images)} images"
            )
        kept = rows[~rows["attribute"].str.endswith(MULTI) & (rows["attribute"] != FLAG)]
        for attribute, answers in kept.groupby("attribute", sort=True):
            shares = answers["label"].value_counts(normalize=True)
            if len(answers) >= FEWEST_FOR_FLAG and shares.iloc[0] > ONE_LABEL:
                yield (
                    f"annotator {annotator!r} gives the {attribute} label {shares.index[0]!r} to "
                    f"{shares.iloc[0]:.0%} of {len(answers)} images"
                )
