"""A run's judges measured on its anchors: the confusion table, and whether it may correct them everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.calibration.judge_report import audit_rows, tally, write_judge_report
from evenhand.bench.calibration.strata import strata_apart
from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.anchor_file import read_anchors
from evenhand.bench.storage.run_folder import RunSpec, RunFolder
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.suites.audit_config import Audit
from evenhand.metrics.correction.calibration import (
    Calibration,
    Refusal,
    calibrate,
    condition_number,
    confusion_matrix,
    counts_of,
    recalls,
)
from evenhand.metrics.correction.transport import ABSTAINED, RIGHT, WRONG, errors_by_stratum
from evenhand.metrics.estimation.anchors import check_anchors, confusion_from_anchors, judge_labels
from evenhand.metrics.judge_quality.error_independence import product_test
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.statistics.uncertainty import ALPHA, holm, stream


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
        wrong: Stratum to the share of its decided anchors that are given another group, weighed.
        abstained: Stratum to the share of its anchors that have no label, weighed.
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
        images: Anchors with a label.
        untold: Labels left empty, because people could not tell.
        measured: Every judge on every attribute and joint attribute.
        carried: Tests of the strata; empty where anchors have one stratum.
        judge_report: The judge report, if it was asked for.
        audited: Its rows, those that support a claim, and those without a value.
        remarks: What a reader must know, one line each.
    """

    path: Path
    images: int
    untold: int
    measured: list[Measured]
    carried: list[Carried]
    judge_report: Path | None
    audited: Mapping[str, int]
    remarks: list[str]


def calibrate_run(run: Path, *, anchors: Path, out: Path, judge_report: Path | None = None) -> Calibrated:
    """Write the confusion table of a run's judges from anchors among its images.

    Args:
        run: Folder of a run or of an audit.
        anchors: CSV ``key,attribute,label[,probability]``, or with ``file`` for ``key``: the image's path
            in the run, or in the list of the audit.
        out: Where the table goes.
        judge_report: Where the report on the judges goes; none if ``None``.

    Raises:
        EvenhandError: The folder is no run, its images are not judged, or an anchor is not what it must be.
    """
    work = RunFolder(run)
    suite = work.spec()
    elsewhere = isinstance(suite, Audit)
    images, labels = work.image_table.read(), work.labels.read()
    if images.empty or labels.empty:
        command = "audit" if elsewhere else "run"
        raise EvenhandError(
            f"run {run} has no judged images; run the same `evenhand {command}` command again"
        )
    judged = images[images["key"].isin(set(labels["key"]))]
    keys = dict(zip(judged["file" if elsewhere else "path"], judged["key"], strict=True))
    given = read_anchors(anchors, keys=keys, taxonomy=suite.taxonomy).table
    truth = check_anchors(given, taxonomy=suite.taxonomy)
    table = confusion_from_anchors(labels, given, taxonomy=suite.taxonomy, members=suite.panel)
    weighed = "probability" in truth and truth["probability"].nunique() > 1
    measured = list(_measured(table, suite, weighed=weighed))
    voted = judge_labels(labels, truth, taxonomy=suite.taxonomy, members=suite.panel)
    strata = strata_apart(images, elsewhere=elsewhere)
    rows = [] if judge_report is None else audit_rows(work, suite, truth=truth, voted=voted, strata=strata)
    write_atomically(out, f"{_comment(truth, voted, suite, run)}\n{table.to_csv(index=False)}".encode())
    if judge_report is not None:
        write_judge_report(rows, judge_report, about=_about(truth, suite, run))
    return Calibrated(
        path=out,
        images=truth["key"].nunique(),
        untold=len(given) - len(truth),
        measured=measured,
        carried=list(_carried(truth, voted, strata, suite, weighed=weighed)),
        judge_report=judge_report,
        audited=tally(rows),
        remarks=_remarks(weighed=weighed),
    )


def _about(truth: pd.DataFrame, suite: RunSpec, run: Path) -> str:
    return (
        f"{truth['key'].nunique()} anchors among the images of run {run.name!r}, suite {suite.name!r} "
        f"version {suite.version}"
    )


def _comment(truth: pd.DataFrame, voted: pd.DataFrame, suite: RunSpec, run: Path) -> str:
    versions = voted[["judge", "judge_version"]].drop_duplicates().sort_values("judge")
    judged = ", ".join(f"{judge} {version}" for judge, version in versions.itertuples(index=False, name=None))
    return (
        f"# {_about(truth, suite, run)}, judged by {judged}; pairs of truth and label that are not listed "
        "did not occur; made by evenhand calibrate"
    )


def _remarks(*, weighed: bool) -> list[str]:
    if not weighed:
        return []
    return [
        "anchors were chosen with unequal chances: counts are the plain anchors that they are worth, strata "
        "are compared by weight, and it is not tested whether errors on two attributes are independent"
    ]


def _measured(table: pd.DataFrame, suite: RunSpec, *, weighed: bool) -> Iterator[Measured]:
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


def _carried(
    truth: pd.DataFrame, voted: pd.DataFrame, strata: pd.DataFrame, suite: RunSpec, *, weighed: bool
) -> Iterator[Carried]:
    """Every judge, attribute and way to part the anchors that has at least two parts."""
    for (judge, attribute), rows in voted.groupby(["judge", "attribute"], sort=True):
        groups = suite.taxonomy[str(attribute)]
        anchors = truth[truth["attribute"] == attribute].set_index("key")
        shown = anchors["label"]
        said = rows.set_index("key").reindex(shown.index)
        code = {group: number for number, group in enumerate(groups)}
        answers = (
            said["label"].map(code).where(said["status"] == "ok", len(groups)).to_numpy().astype(np.int64)
        )
        truths = shown.map(code).to_numpy().astype(np.int64)
        weights = 1 / anchors["probability"].to_numpy(float) if weighed else None
        for name in strata.columns:
            part = strata[name].reindex(shown.index).replace("", np.nan)
            place, names = pd.factorize(part, sort=True)
            number = place.astype(np.int64)
            if len(names) < 2:
                continue
            inside = number >= 0
            tests = errors_by_stratum(
                truths[inside],
                answers[inside],
                number[inside],
                groups=len(groups),
                rng=stream(suite.bootstrap.seed, "strata", str(judge), str(attribute), str(name)),
                weights=None if weights is None else weights[inside],
            )
            adjusted = holm(np.array([test.p_value for test in tests]))
            for own, (group, test, p_value) in enumerate(zip(groups, tests, adjusted, strict=True)):
                n = np.bincount(number[inside & (truths == own)], minlength=len(names))
                names_of = (str(judge), str(attribute), group, str(name))
                yield _carried_group(*names_of, parts=list(names), shares=test.table, n=n, p_value=p_value)


def _carried_group(
    judge: str,
    attribute: str,
    group: str,
    strata: str,
    *,
    parts: Sequence[str],
    shares: FloatArray,
    n: NDArray[np.int64],
    p_value: float,
) -> Carried:
    wrong = ratio(shares[:, WRONG], shares[:, RIGHT] + shares[:, WRONG])
    abstained = ratio(shares[:, ABSTAINED], shares.sum(axis=1))
    return Carried(
        judge=judge,
        attribute=attribute,
        group=group,
        strata=strata,
        wrong=dict(zip(parts, wrong.tolist(), strict=True)),
        abstained=dict(zip(parts, abstained.tolist(), strict=True)),
        n=dict(zip(parts, n.tolist(), strict=True)),
        p_value=float(p_value),
        alike=not p_value < ALPHA,
    )
