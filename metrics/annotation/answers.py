"""The answer table: what people said of images, checked against the run and the suite's taxonomy."""

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
"""One row per answer (measurement.md 4.3); a file must have the first four, the others may be missing.

``image_id`` is the hash of an image's file: a path would tell method and prompt.
"""

REQUIRED = ANSWER_COLUMNS[:4]

CANNOT_TELL = "cannot_tell"
OTHER = "other"

PEOPLE = ("none", "one", "several")
FACES = ("normal", "distorted", "unreadable")
CONFIDENCES = ("1", "2", "3")
FLAGS = ("real_person", "minor", "sexual_or_violent")
CLOSED = {"n_people": PEOPLE, "face_quality": FACES, "confidence": CONFIDENCES}
"""Columns that may be empty or hold one of these words."""

FLAG = "flag"
MULTI = "_multi"
"""Answers to ``flag``, and to an attribute's question of all groups that apply, are kept but are no labels.

Several words in one answer are joined by :data:`BETWEEN`.
"""

BETWEEN = "|"

FAST_SECONDS = 2.0
"""An image answered faster was hardly looked at."""

ONE_LABEL = 0.95
FEWEST_FOR_FLAG = 20
"""An annotator who gives one label to more than this share of at least so many images is flagged."""

_NOTES = ("batch_id", "form_version", "timestamp")
"""Columns that are kept as they are. They go into files that people open in spreadsheets, where a sign at the
start of a cell begins a formula."""

_SYNONYMS = (
    ("woman", "female", "feminine", "women"),
    ("man", "male", "masculine", "men"),
    (OTHER, "other or mixed", "mixed"),
    ("cannot tell", "can't tell", "pass", "unknown", "unclear", "not sure", "undetermined"),
)
"""Words of other forms that mean the same; a suite has at most one of each line."""

_TRUE, _FALSE = ("1", "true", "yes"), ("", "0", "false", "no")

PLACE = "place"
"""Column of raw answers that says where in the file an answer stands."""


class Answers(NamedTuple):
    """Checked answers.

    Attributes:
        table: :data:`ANSWER_COLUMNS` and ``key``, the image; labels are groups of the taxonomy,
            :data:`OTHER` or :data:`CANNOT_TELL`;
            ``seconds`` are numbers, ``is_gold`` and ``is_repeat`` yes or no.
        remarks: What a reader must know, one line each.
    """

    table: pd.DataFrame
    remarks: tuple[str, ...]


def fold(text: str) -> str:
    """A word as it is compared: lower case, one space for any run of spaces, underscores and hyphens."""
    return " ".join(re.split(r"[\s_-]+", text.strip().casefold()))


def check_answers(
    raw: pd.DataFrame,
    *,
    known: Mapping[str, str],
    taxonomy: Mapping[str, Sequence[str]],
    gold: Collection[str] = (),
    repeats: Collection[str] = (),
) -> Answers:
    """The answer table of raw answers, as the rules of measurement.md 4.3 have it.

    Args:
        raw: Text columns :data:`ANSWER_COLUMNS` and ``place``; see :mod:`evenhand.metrics.annotation.readers`.
        known: Image id to the image's key, for every image that was given out.
        taxonomy: Attribute to groups.
        gold: Keys of the images whose labels are agreed.
        repeats: Keys of the images that every annotator is shown twice. Where a file does not say which
            answer is the second one, the later row is.

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
            f"{int(doubled.sum())} answers were given again; the last of each counts (first: "
            f"{table.loc[doubled, PLACE].iloc[0]})"
        )
    table = table[~doubled].drop(columns=PLACE).reset_index(drop=True)
    return Answers(table[["key", *ANSWER_COLUMNS]], (*remarks, *_flags(table)))


def labels_of(table: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The first answers on the taxonomy's attributes: what counts as labels."""
    return table[table["attribute"].isin(list(taxonomy)) & ~table["is_repeat"]]


def _checked(
    row: Mapping[str, str], *, known: Mapping[str, str], taxonomy: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    try:
        return _parse(row, known=known, taxonomy=taxonomy)
    except EvenhandError as fault:
        raise EvenhandError(f"answers {row[PLACE]}: {fault}") from fault


def _parse(
    row: Mapping[str, str], *, known: Mapping[str, str], taxonomy: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    annotator = row["annotator_id"].strip()
    if not re.fullmatch(r"\w[\w.@+-]{0,63}", annotator) or annotator == "aggregate":
        raise EvenhandError(
            f"annotator {annotator!r} is no annotator id; use up to 64 letters, digits, '-' and '_', "
            "no sign first, and not 'aggregate'"
        )
    for column in _NOTES:
        if not re.fullmatch(r"(?:\w[\w .:+/-]{0,99})?", row[column]):
            raise EvenhandError(
                f"{column} is {row[column]!r:.60}; leave it empty, or begin with a letter or digit"
            )
    image = row["image_id"].strip()
    if image not in known:
        raise EvenhandError(
            f"image {image!r} is not in the run; answers must name images by the ids of the export"
        )
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
    """The taxonomy's attribute of that name, ``flag``, or an attribute with ``_multi`` after it.

    ``race`` stands for ``race4`` where that is the only attribute that begins so.

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
    """The words of an answer in the taxonomy's spelling."""
    several = attribute == FLAG or attribute.endswith(MULTI)
    groups = FLAGS if attribute == FLAG else (*taxonomy[attribute.removesuffix(MULTI)], OTHER, CANNOT_TELL)
    for word in label.split(BETWEEN) if several else [label]:
        found = word_of(word, groups)
        if not found:
            raise unknown(f"label of {attribute}", word, groups)
        yield found


def word_of(word: str, groups: Sequence[str]) -> str:
    """The group that a word means, by its name or a synonym; empty where there is none."""
    said = fold(word)
    same = next((line for line in _SYNONYMS if said in line), ())
    return next((g for g in groups if fold(g) == said), "") or next(
        (g for g in groups if fold(g) in same), ""
    )


def _seconds(text: str) -> float:
    try:
        value = float(text or "nan")
    except ValueError as fault:
        raise EvenhandError(f"seconds {text!r} are no number; leave the field empty if unknown") from fault
    if value < 0 or value == float("inf"):
        raise EvenhandError(f"seconds {text!r} are no duration; leave the field empty if unknown")
    return value


def _truth(text: str) -> bool | None:
    """Yes, no, or ``None`` where the file does not say."""
    said = fold(text)
    if said not in _TRUE + _FALSE:
        raise EvenhandError(f"is_repeat is {text!r}; write 1 or 0")
    return None if not said else said in _TRUE


def _repeats(table: pd.DataFrame, repeats: Collection[str]) -> pd.Series[bool]:
    """Which answers are second looks: those that say so, and later rows of images that are shown twice."""
    later = table.duplicated(["key", "annotator_id", "attribute"]) & table["key"].isin(list(repeats))
    said = table["is_repeat"].map({True: True, False: False})
    return said.where(table["is_repeat"].notna(), later).astype(bool)


def _flags(table: pd.DataFrame) -> Iterator[str]:
    """Annotators who answer too fast or always the same; flagged, not dropped."""
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
                    f"annotator {annotator!r} says {shares.index[0]!r} for the {attribute} of "
                    f"{shares.iloc[0]:.0%} of {len(answers)} images"
                )
