"""From a data frame of labels, wide or long, to the image and label tables that are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.calibration import UNDETERMINED
from evenhand.metrics.table import label_rows

JUDGE, METHOD = "labels", "all"
"""Names of the judge and of the method where the frame has no column for them."""

ATTRIBUTE, LABEL = "attribute", "label"
"""Columns of a long frame, besides the others."""

Attributes = Sequence[str] | Mapping[str, Sequence[str]]
Taxonomy = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of columns of a frame of labels; an empty name stands for a column that it does not have.

    Attributes:
        concept: What the prompt asked for.
        image: The image, unique within a method.
        cluster: The template, or another unit within which images resemble each other.
        method: The model or method that made the image.
        judge: Who gave the label.
        seed: Number of the image within its prompt, the same for images from the same noise.
        asked: The groups that an explicit prompt names, such as ``"gender=woman"``; empty for neutral ones.
    """

    concept: str
    image: str = ""
    cluster: str = ""
    method: str = ""
    judge: str = ""
    seed: str = ""
    asked: str = ""

    def named(self) -> list[str]:
        """The columns that the frame has."""
        return [name for name in vars(self).values() if name]


def image_keys(frame: pd.DataFrame, columns: Columns) -> pd.Series[str]:
    """The image of each row of a frame; images of several methods are different images.

    Raises:
        EvenhandError: Several rows may be about one image, but no column names the image.
    """
    if not columns.image:
        if columns.judge or ATTRIBUTE in frame:
            raise EvenhandError(
                "a frame with several rows per image needs a column that names the image; pass image='COLUMN'"
            )
        return pd.Series([str(number) for number in range(len(frame))], index=frame.index)
    images = frame[columns.image].astype(str)
    return frame[columns.method].astype(str) + "/" + images if columns.method else images


def long_labels(frame: pd.DataFrame, columns: Columns, attributes: Attributes) -> pd.DataFrame:
    """The labels of a frame, one row per image, judge and attribute.

    Returns:
        Columns ``key``, ``judge``, ``attribute`` and ``label``; the label is empty where it is missing or
        "undetermined".

    Raises:
        EvenhandError: The frame has neither a column for every attribute nor those of a long frame.
    """
    judges = frame[columns.judge].astype(str) if columns.judge else JUDGE
    rows = frame.assign(key=image_keys(frame, columns), judge=judges)
    absent = [name for name in attributes if name not in frame.columns]
    if not absent:
        narrow = rows[["key", "judge", *attributes]].astype(dict.fromkeys(attributes, object))
        rows = narrow.melt(id_vars=["key", "judge"], var_name=ATTRIBUTE, value_name=LABEL)
    elif {ATTRIBUTE, LABEL} <= set(frame.columns):
        rows = rows[rows[ATTRIBUTE].isin(list(attributes))]
    else:
        raise EvenhandError(
            f"the frame has no column {absent[0]!r}; it needs one column per attribute, or the columns "
            f"{ATTRIBUTE!r} and {LABEL!r} (it has: {', '.join(map(str, frame.columns))})"
        )
    texts = rows[LABEL].astype(object).where(rows[LABEL].notna(), "").map(str).replace(UNDETERMINED, "")
    return rows.assign(**{LABEL: texts})[["key", "judge", ATTRIBUTE, LABEL]].reset_index(drop=True)


def taxonomy_of(frame: pd.DataFrame, labels: pd.DataFrame, attributes: Attributes) -> Taxonomy:
    """Attribute to its groups: those given, the categories of its column, or the labels that occur.

    Args:
        frame: The frame of the user.
        labels: The result of :func:`long_labels`.
        attributes: Names of the attributes, or attribute to groups.

    Raises:
        EvenhandError: An attribute has fewer than two groups, or two spellings of one.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in attributes:
        if isinstance(attributes, Mapping):
            groups = [str(group) for group in attributes[name]]
        elif name in frame and isinstance(frame[name].dtype, pd.CategoricalDtype):
            groups = [str(group) for group in frame[name].cat.categories if str(group) != UNDETERMINED]
        else:
            groups = sorted(set(labels.loc[labels[ATTRIBUTE] == name, LABEL]) - {""})
        if len(groups) < 2:
            raise EvenhandError(
                f"attribute {name!r} has {len(groups)} groups in the labels ({', '.join(groups) or 'none'}); "
                f"name all that are possible: attributes={{{name!r}: ['…', '…']}}"
            )
        _check_spelling(name, groups)
        found[name] = tuple(groups)
    return found


def _check_spelling(attribute: str, groups: Sequence[str]) -> None:
    """Check that no group is another one, or "undetermined", in another spelling."""
    spelt = {UNDETERMINED: UNDETERMINED}
    for group in groups:
        other = spelt.setdefault(group.strip().casefold(), group)
        if other != group:
            raise EvenhandError(
                f"labels {other!r} and {group!r} of attribute {attribute!r} differ only in case or spaces; "
                f"write both as {other!r}"
            )


def label_table(labels: pd.DataFrame, taxonomy: Taxonomy) -> pd.DataFrame:
    """The label table of hard labels; every judge is a family, so every judge has a vote.

    Raises:
        EvenhandError: A label is not among the groups of its attribute.
    """
    parts = []
    for (judge, attribute), rows in labels.groupby(["judge", ATTRIBUTE], sort=True):
        groups = [*taxonomy[str(attribute)], ""]
        code = pd.Index(groups).get_indexer(pd.Index(rows[LABEL]))
        if (code < 0).any():
            strange = rows[LABEL][code < 0].iloc[0]
            raise EvenhandError(
                f"label {strange!r} of judge {judge!r} is not a group of {attribute!r} "
                f"({', '.join(groups[:-1])}); rename it or add the group"
            )
        parts.append(
            label_rows(
                keys=rows["key"].tolist(),
                judge=str(judge),
                version="",
                family=str(judge),
                attribute=str(attribute),
                groups=groups[:-1],
                probabilities=np.eye(len(groups))[code],
                status=["ok"] * len(rows),
            )
        )
    return pd.concat(parts, ignore_index=True)


def image_table(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The image table of a frame, with its numeric columns.

    Without a seed, the images of a prompt are numbered in the order of the frame.
    """

    def text(name: str, default: str = "") -> pd.Series[str]:
        if not name:
            return pd.Series(default, index=frame.index, dtype=object)
        return frame[name].astype(object).where(frame[name].notna(), "").map(str)

    concept, template, cell = text(columns.concept), text(columns.cluster), text(columns.asked)
    prompt = concept + "/" + template + "/" + cell
    images = frame.select_dtypes("number").assign(
        key=image_keys(frame, columns),
        method=text(columns.method, METHOD),
        prompt_id=prompt,
        prompt=prompt,
        concept=concept,
        template=template,
        kind=np.where(cell == "", "neutral", "explicit"),
        cell=cell,
        status="ok",
    )
    images = images.drop_duplicates("key", ignore_index=True)
    place = images.groupby(["method", "prompt_id"], sort=False).cumcount()
    if columns.seed:
        if not (pd.to_numeric(frame[columns.seed], errors="coerce") % 1 == 0).all():
            raise EvenhandError(f"column {columns.seed!r} must have whole numbers; number the images")
        seeds = frame[columns.seed].set_axis(image_keys(frame, columns))
        place = images["key"].map(seeds[~seeds.index.duplicated()])
    images = images.assign(seed_index=place.astype(int))
    return images if "alignment" in images else images.assign(alignment=np.nan)


def check_columns(frame: pd.DataFrame, columns: Columns, *, what: str = "the frame") -> None:
    """Check that a frame has these columns and rows, and that every row says what it is about.

    Raises:
        EvenhandError: It is not a data frame, a column is missing or not unique, the frame has no rows, or
            the concept, method, image or judge of a row is empty.
    """
    if not isinstance(frame, pd.DataFrame):
        raise EvenhandError(
            f"{what} is of type {type(frame).__name__}; pass a pandas data frame, such as pd.DataFrame(rows)"
        )
    if twice := [str(name) for name in frame.columns[frame.columns.duplicated()]]:
        raise EvenhandError(f"{what} has several columns {twice[0]!r}; rename or drop one of them")
    for name in columns.named():
        if name not in frame.columns:
            raise EvenhandError(
                f"{what} has no column {name!r}; its columns are {', '.join(map(str, frame.columns))}"
            )
    if frame.empty:
        raise EvenhandError(f"{what} has no rows; pass one row per image")
    for name in filter(None, (columns.concept, columns.method, columns.image, columns.judge)):
        if lost := int((frame[name].isna() | (frame[name] == "")).sum()):
            raise EvenhandError(
                f"column {name!r} of {what} is empty in {lost} of {len(frame)} rows; fill it in, or leave "
                "these rows out"
            )
