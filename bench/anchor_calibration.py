"""A run's judges measured on its anchors: the confusion table, and whether it may correct them everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.anchor_file import read_anchors
from evenhand.bench.errors import EvenhandError
from evenhand.bench.human_export import stereotypes
from evenhand.bench.run import BASE
from evenhand.bench.store import write_atomically
from evenhand.bench.workspace import Owner, Workspace
from evenhand.metrics.anchors import check_anchors, confusion_from_anchors, judge_labels
from evenhand.metrics.calibration import (
    Calibration,
    Refusal,
    calibrate,
    condition_number,
    confusion_matrix,
    counts_of,
    recalls,
)
from evenhand.metrics.error_independence import product_test
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.transport import ABSTAINED, RIGHT, WRONG, errors_by_stratum
from evenhand.metrics.uncertainty import ALPHA, holm, stream

UNKNOWN = "none"
"""The stereotype of an occupation that WinoBias does not name."""


@dataclass(frozen=True)
class Measured:
    """One judge on one attribute or joint attribute.

    Attributes:
        judge: The judge, or the panel.
        attributes: ``gender`` or ``gender*tone``.
        anchors: Anchors that count, or the plain ones that weighted anchors are worth.
        smallest_row: Anchors of the group that has fewest.
        condition: Condition number of the matrix; ``nan`` where a group has no anchor.
        recall: Group to the share of its decided anchors that are recognised.
        verdict: ``corrected``, with a remark, or why not.
        independence: p-value of the test that errors on two attributes are independent; ``nan`` otherwise.
    """

    judge: str
    attributes: str
    anchors: float
    smallest_row: float
    condition: float
    recall: Mapping[str, float]
    verdict: str
    independence: float


@dataclass(frozen=True)
class Carried:
    """Whether a judge errs alike in all strata, for one true group.

    Attributes:
        judge: The judge.
        attribute: What it judged.
        group: What the anchors truly show.
        strata: ``kind``, ``stereotype`` or ``model``.
        wrong: Stratum to the share of its decided anchors that are given another group.
        abstained: Stratum to the share of its anchors that have no label.
        n: Stratum to anchors.
        p_value: After Holm's adjustment over the attribute's groups.
        alike: Whether strata do not differ at 5 %; with few anchors that says little.
    """

    judge: str
    attribute: str
    group: str
    strata: str
    wrong: Mapping[str, float]
    abstained: Mapping[str, float]
    n: Mapping[str, int]
    p_value: float
    alike: bool


@dataclass(frozen=True)
class Calibrated:
    """What a calibration found and wrote.

    Attributes:
        path: The table; a suite takes it as ``calibration``.
        pictures: Anchors with a label.
        untold: Labels left empty, because people could not tell.
        measured: Every judge on every attribute and joint attribute.
        carried: Tests of the strata; empty where anchors have one stratum or unequal chances.
        remarks: What a reader must know, one line each.
    """

    path: Path
    pictures: int
    untold: int
    measured: list[Measured]
    carried: list[Carried]
    remarks: list[str]


def calibrate_run(run: Path, *, anchors: Path, out: Path) -> Calibrated:
    """Write the confusion table of a run's judges from anchors among its pictures.

    Args:
        run: Folder of the run.
        anchors: CSV ``key,attribute,label[,probability]`` (or ``file`` for the picture's path in the run).
        out: Where the table goes.

    Raises:
        EvenhandError: The folder is no run, its pictures are not judged, or an anchor is not what it must be.
    """
    work = Workspace(run)
    suite = work.owner()
    pictures, labels = work.picture_table.read(), work.labels.read()
    if pictures.empty or labels.empty:
        raise EvenhandError(f"run {run} has no judged pictures; run the same `evenhand run` command again")
    known = set(labels["key"])
    keys = {path: key for path, key in zip(pictures["path"], pictures["key"], strict=True) if key in known}
    given = read_anchors(anchors, keys=keys, taxonomy=suite.taxonomy).table
    truth = check_anchors(given, taxonomy=suite.taxonomy)
    table = confusion_from_anchors(labels, given, taxonomy=suite.taxonomy, members=suite.panel)
    weighed = "probability" in truth and truth["probability"].nunique() > 1
    measured = list(_measured(table, suite, weighed=weighed))
    voted = judge_labels(labels, truth, taxonomy=suite.taxonomy, members=suite.panel)
    write_atomically(out, f"{_comment(truth, voted, suite, run)}\n{table.to_csv(index=False)}".encode())
    return Calibrated(
        path=out,
        pictures=truth["key"].nunique(),
        untold=len(given) - len(truth),
        measured=measured,
        carried=[] if weighed else list(_carried(truth, voted, _strata(pictures), suite)),
        remarks=_remarks(weighed=weighed),
    )


def _comment(truth: pd.DataFrame, voted: pd.DataFrame, suite: Owner, run: Path) -> str:
    versions = voted[["judge", "judge_version"]].drop_duplicates().sort_values("judge")
    judged = ", ".join(f"{judge} {version}" for judge, version in versions.itertuples(index=False, name=None))
    return (
        f"# {truth['key'].nunique()} anchors among the pictures of run {run.name!r}, suite {suite.name!r} "
        f"version {suite.version}, judged by {judged}; pairs of truth and label that are not listed did not "
        "occur; made by evenhand calibrate"
    )


def _remarks(*, weighed: bool) -> list[str]:
    if not weighed:
        return []
    return [
        "anchors were chosen with unequal chances: counts are the plain anchors that they are worth, and "
        "neither strata nor independent errors are tested"
    ]


def _measured(table: pd.DataFrame, suite: Owner, *, weighed: bool) -> Iterator[Measured]:
    seed = suite.bootstrap.seed
    for judge, attributes in table[["judge", "attributes"]].drop_duplicates().itertuples(index=False):
        names = attributes.split("*")
        counts = counts_of(table, judge=judge, attributes=names, taxonomy=suite.taxonomy)
        assert counts is not None  # the pair is one of the table's
        found = calibrate(table, judge=judge, attributes=names, taxonomy=suite.taxonomy, draws=2, seed=seed)
        rows = counts.sum(axis=1)
        own = confusion_matrix(counts) if rows.min() else np.full_like(counts, np.nan)
        matrix = found.matrix if isinstance(found, Calibration) else own
        cells = ["*".join(cell) for cell in product(*(suite.taxonomy[name] for name in names))]
        independence = float("nan")
        if len(names) == 2 and not weighed and counts[:, :-1].any():
            shape = (len(suite.taxonomy[names[0]]), len(suite.taxonomy[names[1]]))
            rng = stream(seed, "independence", judge, attributes)
            independence = product_test(counts[:, :-1], shape=shape, rng=rng).p_value
        yield Measured(
            judge=judge,
            attributes=attributes,
            anchors=float(rows.sum()),
            smallest_row=float(rows.min()),
            condition=condition_number(matrix),
            recall=dict(zip(cells, recalls(matrix).tolist(), strict=True)),
            verdict=_verdict(found),
            independence=independence,
        )


def _verdict(found: Calibration | Refusal) -> str:
    if isinstance(found, Calibration):
        return f"corrected, {found.remark}" if found.remark else "corrected"
    return f"not corrected: {found.reason}"


def _strata(pictures: pd.DataFrame) -> pd.DataFrame:
    """Every picture's strata by key; a shared picture is the base model's.

    Stereotype and model part the neutral prompts alone, so that they are not mixed up with the kind.
    """
    first = pictures.assign(edited=pictures["method"] != BASE).sort_values("edited", kind="stable")
    first = first.drop_duplicates("key").set_index("key")
    sides = stereotypes()
    side = first["concept"].map(lambda concept: sides.get(concept, UNKNOWN))
    model = first["edited"].map({True: "debiased", False: BASE})
    neutral = first["kind"] == "neutral"
    return pd.DataFrame(
        {"kind": first["kind"], "stereotype": side.where(neutral), "model": model.where(neutral)}
    )


def _carried(
    truth: pd.DataFrame, voted: pd.DataFrame, strata: pd.DataFrame, suite: Owner
) -> Iterator[Carried]:
    """Every judge, attribute and way to part the anchors that has at least two parts."""
    for (judge, attribute), rows in voted.groupby(["judge", "attribute"], sort=True):
        groups = suite.taxonomy[str(attribute)]
        shown = truth[truth["attribute"] == attribute].set_index("key")["label"]
        said = rows.set_index("key").reindex(shown.index)
        code = {group: number for number, group in enumerate(groups)}
        answers = (
            said["label"].map(code).where(said["status"] == "ok", len(groups)).to_numpy().astype(np.int64)
        )
        truths = shown.map(code).to_numpy().astype(np.int64)
        for name in strata.columns:
            place, names = pd.factorize(strata[name].reindex(shown.index), sort=True)
            number = place.astype(np.int64)
            if len(names) < 2:
                continue
            inside = number >= 0
            tests = errors_by_stratum(
                truths[inside],
                answers[inside],
                number[inside],
                groups=len(groups),
                rng=stream(suite.bootstrap.seed, "strata", str(judge), str(attribute), name),
            )
            adjusted = holm(np.array([test.p_value for test in tests]))
            for group, test, p_value in zip(groups, tests, adjusted, strict=True):
                yield _carried_group(
                    str(judge), str(attribute), group, name, list(names), test.table, p_value
                )


def _carried_group(
    judge: str,
    attribute: str,
    group: str,
    strata: str,
    names: Sequence[str],
    counts: FloatArray,
    p_value: float,
) -> Carried:
    whole = counts.sum(axis=1)
    wrong = ratio(counts[:, WRONG], counts[:, RIGHT] + counts[:, WRONG])
    abstained = ratio(counts[:, ABSTAINED], whole)
    return Carried(
        judge=judge,
        attribute=attribute,
        group=group,
        strata=strata,
        wrong=dict(zip(names, wrong.tolist(), strict=True)),
        abstained=dict(zip(names, abstained.tolist(), strict=True)),
        n=dict(zip(names, whole.astype(int).tolist(), strict=True)),
        p_value=float(p_value),
        alike=not p_value < ALPHA,
    )
