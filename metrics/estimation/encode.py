"""Tables to arrays. Incomplete, doubled or unknown rows are refused here, so that nothing is lost later."""

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
from evenhand.metrics.table import IMAGE_COLUMNS, KINDS, LABEL_COLUMNS, PERSON_KINDS, STATUSES

PROMPT_COLUMNS = ["kind", "concept", "template", "prompt_id", "cell", "prompt"]


@dataclass(frozen=True)
class Study:
    """All images of ``M`` methods on the same ``S`` slots (a prompt with a seed).

    Attributes:
        methods: Names, sorted.
        slots: ``S`` rows: the columns of a prompt, ``seed_index`` and ``groups`` (attribute to group).
        keys: ``(M, S)`` image keys.
        status: ``(M, S)`` image statuses.
        columns: ``(M, S)`` numeric columns of the image table.
        taxonomy: Attribute to groups.
        codes: (judge, attribute) to ``(M, S)`` group indices, ``K`` where undetermined.
        label_status: The same for the statuses.
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
        """``(S,)``: slots whose prompts ask for a person."""
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


def parse_cell(cell: str, taxonomy: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The groups that a prompt asks for, from ``"gender=woman;tone=dark"``.

    Raises:
        EvenhandError: The cell names an attribute or group that the taxonomy lacks.
    """
    groups: dict[str, str] = {}
    for part in filter(None, cell.split(";")):
        attribute, _, group = part.partition("=")
        if attribute not in taxonomy:
            raise unknown("attribute", attribute, taxonomy)
        if group not in taxonomy[attribute]:
            raise unknown(f"group of {attribute}", group, taxonomy[attribute])
        groups[attribute] = group
    return groups


def check_tables(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    columns: Sequence[str] = LABEL_COLUMNS,
) -> None:
    """Refuses tables that lack a column or a row, or whose labels are doubled, mixed or unknown.

    Args:
        images: The image table.
        labels: The label table.
        taxonomy: Attribute to groups.
        columns: Those that the label table needs.

    Raises:
        EvenhandError: The first fault found.
    """
    for table, frame, needed in (
        ("image table", images, IMAGE_COLUMNS),
        ("label table", labels, columns),
    ):
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            raise EvenhandError(f"{table} lacks column {missing[0]!r}; it needs {', '.join(needed)}")
        if frame.empty:
            raise EvenhandError(f"{table} is empty; run the suite first")
    check_labels(labels, taxonomy=taxonomy)


def encode(images: pd.DataFrame, labels: pd.DataFrame, *, taxonomy: Mapping[str, tuple[str, ...]]) -> Study:
    """Lines up two tables that :func:`check_tables` has passed.

    Labels of images that are not in the image table are left alone; so are labels of failed images.

    Raises:
        EvenhandError: An image is doubled, methods differ in their prompts and seeds, a prompt changes
            between methods, a kind or cell is unknown, or an image that was made lacks a judge's label.
    """
    images = images.sort_values(["method", "kind", "concept", "template", "prompt_id", "seed_index"])
    slots = _slots(images, taxonomy)
    methods = tuple(sorted(images["method"].unique()))
    grid = (len(methods), len(slots))
    numeric = images.select_dtypes("number").columns.difference(["seed_index"])
    keys = images["key"].to_numpy(object).reshape(grid)
    status = images["status"].to_numpy(object).reshape(grid)
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
    """The prompts and seeds that every method has, in the order of the sorted images."""
    place = ["prompt_id", "seed_index"]
    doubled = images[images.duplicated(["method", *place])]
    if len(doubled):
        row = doubled.iloc[0]
        raise EvenhandError(
            f"method {row.method!r} has prompt {row.prompt_id!r} with seed {row.seed_index} twice; keep one"
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
    groups = [parse_cell(cell, taxonomy) for cell in slots["cell"]]
    return slots.assign(groups=pd.Series(groups, index=slots.index, dtype=object))


def _codes(
    labels: pd.DataFrame,
    keys: NDArray[np.object_],
    status: NDArray[np.object_],
    taxonomy: Mapping[str, tuple[str, ...]],
    people: NDArray[np.bool_],
) -> tuple[dict[tuple[str, str], NDArray[np.int64]], dict[tuple[str, str], NDArray[np.object_]]]:
    """Codes and statuses ``(M, S)`` of every (judge, attribute); a failed image keeps its own status."""
    wanted = people & (status == "ok")
    # Keys are long and stand in many rows: each is looked up once, then its number is as good.
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
                f"judge {judge!r} has no {attribute} label for image {key!r}, which was made; judge again"
            )
        undetermined = len(taxonomy[attribute])
        code = pd.Index(taxonomy[attribute]).get_indexer(pd.Index(rows["label"]))
        said = np.where(rows["status"] == "ok", code, undetermined)
        codes[judge, attribute] = np.where(wanted, said[place], undetermined)
        statuses[judge, attribute] = np.where(wanted, rows["status"].to_numpy(object)[place], status)
    return codes, statuses


def check_labels(labels: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]]) -> None:
    """Refuses labels that are doubled, of several versions of a judge, or unknown to the taxonomy.

    Raises:
        EvenhandError: The first fault found.
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
        raise EvenhandError(f"labels of judge {judge!r} come from {versions[judge]} versions; judge again")
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
    """What became of every image of a method, under every judge and attribute."""
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
