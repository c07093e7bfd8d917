"""From tables to arrays. Incomplete, duplicated or unknown rows are errors, so that nothing is lost later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.rows import Coverage, CoverageRow
from evenhand.metrics.table import IMAGE_COLUMNS, LABEL_COLUMNS, PERSON_KINDS, STATUSES
from evenhand.metrics.terms import KINDS, parse_cell

PROMPT_COLUMNS = ["kind", "concept", "template", "prompt_id", "cell", "prompt"]


@dataclass(frozen=True)
class Study:
    """All images of ``M`` methods on the same ``S`` slots; a slot is a prompt with a seed.

    Attributes:
        methods: Names of the methods, sorted.
        slots: ``S`` rows: the columns of a prompt, ``seed_index`` and ``groups`` (attribute to group).
        keys: ``(M, S)`` image keys.
        status: ``(M, S)`` image statuses.
        columns: Name to ``(M, S)`` values of the numeric columns of the image table.
        taxonomy: Attribute to groups.
        codes: (judge, attribute) to ``(M, S)`` group indices, ``K`` where undetermined.
        label_status: (judge, attribute) to ``(M, S)`` label statuses.
    """

    methods: tuple[str, ...]
    slots: pd.DataFrame
    keys: NDArray[np.object_]
    status: NDArray[np.object_]
    columns: Mapping[str, FloatArray]
    taxonomy: Mapping[str, tuple[str, ...]]
    codes: Mapping[tuple[str, str], NDArray[np.int64]]
    label_status: Mapping[tuple[str, str], NDArray[np.object_]]

    @property
    def people(self) -> NDArray[np.bool_]:
        """``(S,)``: whether the slot's prompt asks for a person."""
        return self.slots["kind"].isin(PERSON_KINDS).to_numpy()

    def judges(self, attributes: Sequence[str]) -> list[str]:
        """Judges that label all of ``attributes``, sorted."""
        known = {judge for judge, _ in self.codes}
        return sorted(judge for judge in known if all((judge, name) in self.codes for name in attributes))

    def joint_codes(self, judge: str, attributes: Sequence[str]) -> NDArray[np.int64]:
        """``(M, S)`` cell indices of a joint attribute; undetermined where any part is."""
        shape = [len(self.taxonomy[name]) for name in attributes]
        parts = [self.codes[judge, name] for name in attributes]
        decided = np.all([part < size for part, size in zip(parts, shape, strict=True)], axis=0)
        cells = np.ravel_multi_index([np.where(decided, part, 0) for part in parts], shape)
        return np.where(decided, cells, int(np.prod(shape)))


def groups_asked(cell: str, taxonomy: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The groups that a prompt asks for, by attribute, from ``"gender=woman;tone=dark"``.

    Raises:
        EvenhandError: The cell cannot be read, or names an attribute or group that the taxonomy lacks.
    """
    try:
        groups = parse_cell(cell)
    except ValueError as fault:
        raise EvenhandError(f"image table: {fault}") from fault
    for attribute, group in groups.items():
        if attribute not in taxonomy:
            raise unknown("attribute", attribute, taxonomy)
        if group not in taxonomy[attribute]:
            raise unknown(f"group of {attribute}", group, taxonomy[attribute])
    return groups


def check_tables(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    columns: Sequence[str] = LABEL_COLUMNS,
) -> None:
    """Checks that both tables have their columns and rows, and that the labels are valid.

    Args:
        images: The image table.
        labels: The label table.
        taxonomy: Attribute to groups.
        columns: Required columns of the label table.

    Raises:
        EvenhandError: The first error found.
    """
    for table, frame, needed in (
        ("image table", images, IMAGE_COLUMNS),
        ("label table", labels, columns),
    ):
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            raise EvenhandError(f"{table} lacks column {missing[0]!r}; required columns: {', '.join(needed)}")
        if frame.empty:
            raise EvenhandError(f"{table} is empty; run the suite first")
    check_labels(labels, taxonomy=taxonomy)


def encode(images: pd.DataFrame, labels: pd.DataFrame, *, taxonomy: Mapping[str, tuple[str, ...]]) -> Study:
    """The study of two tables that :func:`check_tables` accepts.

    Labels of failed images and of images outside the image table are ignored.

    Raises:
        EvenhandError: An image is duplicated, methods differ in their prompts and seeds, a prompt differs
            between methods, a kind or cell is unknown, or a generated image lacks a judge's label.
    """
    images = images.sort_values(["method", "kind", "concept", "template", "prompt_id", "seed_index"])
    slots = _slots(images, taxonomy)
    methods = tuple(sorted(images["method"].unique()))
    grid = (len(methods), len(slots))
    numeric = images.select_dtypes("number").columns.difference(["seed_index"])
    keys = images["key"].to_numpy(object).reshape(grid)
    status = _shared(images["status"]).reshape(grid)
    codes, label_status = _codes(labels, keys, status, taxonomy, slots["kind"].isin(PERSON_KINDS).to_numpy())
    return Study(
        methods=methods,
        slots=slots,
        keys=keys,
        status=status,
        columns={name: images[name].to_numpy(float).reshape(grid) for name in numeric},
        taxonomy=taxonomy,
        codes=codes,
        label_status=label_status,
    )


def _slots(images: pd.DataFrame, taxonomy: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The prompts and seeds shared by all methods, in the order of the sorted images."""
    place = ["prompt_id", "seed_index"]
    doubled = images[images.duplicated(["method", *place])]
    if len(doubled):
        row = doubled.iloc[0]
        raise EvenhandError(
            f"method {row.method!r} has prompt {row.prompt_id!r} with seed {row.seed_index} twice; "
            "keep one row"
        )
    slots = images[[*PROMPT_COLUMNS, "seed_index"]].drop_duplicates(ignore_index=True)
    if slots.duplicated(place).any():
        prompt = slots[slots.duplicated(place)].iloc[0].prompt_id
        raise EvenhandError(f"prompt {prompt!r} differs between methods; give it one text, concept and cell")
    counts = images.groupby("method", sort=True).size()
    if (counts != len(slots)).any():
        method = counts.index[counts != len(slots)][0]
        raise EvenhandError(f"method {method!r} has {counts[method]} of {len(slots)} images; run it again")
    for kind in sorted(set(slots["kind"]) - set(KINDS)):
        raise unknown("kind of prompt", kind, KINDS)
    groups = [groups_asked(cell, taxonomy) for cell in slots["cell"]]
    return slots.assign(groups=pd.Series(groups, index=slots.index, dtype=object))


def _codes(
    labels: pd.DataFrame,
    keys: NDArray[np.object_],
    status: NDArray[np.object_],
    taxonomy: Mapping[str, tuple[str, ...]],
    people: NDArray[np.bool_],
) -> tuple[dict[tuple[str, str], NDArray[np.int64]], dict[tuple[str, str], NDArray[np.object_]]]:
    """Codes and statuses ``(M, S)`` of every (judge, attribute); failed images keep their image status."""
    wanted = people & (status == "ok")
    # Keys are long and occur in many rows: number them once and compare numbers.
    flat, known = pd.factorize(keys.ravel())
    numbers = np.asarray(flat).reshape(keys.shape)
    labelled = pd.Index(known).get_indexer(pd.Index(labels["key"]))
    codes: dict[tuple[str, str], NDArray[np.int64]] = {}
    statuses: dict[tuple[str, str], NDArray[np.object_]] = {}
    for pair, rows in labels.assign(number=labelled).groupby(["judge", "attribute"], observed=True):
        judge, attribute = (str(name) for name in pair)
        position = np.full(len(known) + 1, -1)
        position[rows["number"]] = np.arange(len(rows))
        place = position[numbers]
        if (place[wanted] < 0).any():
            key = keys[wanted][place[wanted] < 0][0]
            raise EvenhandError(
                f"judge {judge!r} has no {attribute} label for image {key!r}; label the images again"
            )
        undetermined = len(taxonomy[attribute])
        code = pd.Index(taxonomy[attribute]).get_indexer(pd.Index(rows["label"]))
        said = np.where(rows["status"] == "ok", code, undetermined)
        codes[judge, attribute] = np.where(wanted, said[place], undetermined)
        statuses[judge, attribute] = np.where(wanted, _shared(rows["status"])[place], status)
    return codes, statuses


def _shared(texts: pd.Series) -> NDArray[np.object_]:
    """The texts as objects, equal ones the same: a million separate ones take 80 MB."""
    codes, distinct = pd.factorize(texts)
    return np.asarray(distinct, object)[codes]


def check_labels(labels: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]]) -> None:
    """Checks that labels are unique, from one version of each judge, and in the taxonomy.

    Raises:
        EvenhandError: The first error found.
    """
    doubled = labels[labels.duplicated(["key", "judge", "attribute"])]
    if len(doubled):
        row = doubled.iloc[0]
        raise EvenhandError(
            f"judge {row.judge!r} labels the {row.attribute} of image {row.key!r} twice; keep one row"
        )
    versions = labels.groupby("judge", observed=True)["judge_version"].nunique()
    if (versions > 1).any():
        judge = versions.index[versions > 1][0]
        raise EvenhandError(
            f"labels of judge {judge!r} come from {versions[judge]} versions; label the images again"
        )
    for attribute in sorted(set(labels["attribute"].unique()) - set(taxonomy)):
        raise unknown("attribute", attribute, taxonomy)
    for status in sorted(set(labels["status"].unique()) - set(STATUSES)):
        raise unknown("label status", status, STATUSES)
    decided = labels[labels["status"] == "ok"]
    for attribute in sorted(decided["attribute"].unique()):
        found = set(decided.loc[decided["attribute"] == attribute, "label"].unique())
        for label in sorted(found - set(taxonomy[attribute])):
            raise unknown(f"label of {attribute}", label, taxonomy[attribute])


def coverage(study: Study, method: str) -> Coverage:
    """Coverage of a method: planned, generated, decided and undetermined images by judge and attribute."""
    row = study.methods.index(method)
    made = study.status[row] == "ok"
    rows = []
    kinds = [kind for kind in PERSON_KINDS if (study.slots["kind"] == kind).any()]
    for (judge, attribute), kind in product(sorted(study.codes), kinds):
        slots = (study.slots["kind"] == kind).to_numpy()
        decided = study.codes[judge, attribute][row, slots] < len(study.taxonomy[attribute])
        said = study.label_status[judge, attribute][row, slots]
        undetermined = dict(sorted(Counter(said[~decided].tolist()).items()))
        rows.append(
            CoverageRow(
                judge=judge,
                attribute=attribute,
                kind=kind,
                images=len(decided),
                ok=int(decided.sum()),
                undetermined=undetermined,
            )
        )
    failed = dict(sorted(Counter(study.status[row][~made].tolist()).items()))
    return Coverage(planned=len(made), made=int(made.sum()), failed=failed, rows=rows)
