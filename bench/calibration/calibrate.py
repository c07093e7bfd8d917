"""Measures the judges of a run on anchors: the confusion table, and whether errors differ between strata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.calibration.judge_report import audit_rows, tally, write_judge_report
from evenhand.bench.external_images.anchor_file import read_anchors
from evenhand.bench.stages.strata import separate_strata
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.frames import judged_tables
from evenhand.bench.storage.run_folder import RunFolder, RunSpec
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
from evenhand.metrics.estimation.correction_checks import coded
from evenhand.metrics.judge_quality.error_independence import product_test
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.statistics.uncertainty import ALPHA, holm, stream


@dataclass(frozen=True)
class JudgeCalibration:
    """The calibration of a judge for one attribute or joint attribute.

    Attributes:
        judge: The judge, or the panel.
        attributes: ``gender`` or ``gender*tone``.
        anchors: Number of anchors; the effective number if anchors are weighted.
        smallest_row: Number of anchors of the smallest group.
        condition: Condition number of the confusion matrix; ``nan`` if a group has no anchor.
        recall: Groups to shares of their decided anchors that are labelled correctly.
        verdict: ``corrected``, possibly with a remark, or the reason why not.
        independence: p-value of the test that errors on two attributes are independent; else ``nan``.
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
class StratumTest:
    """The test whether the error rates of a judge for one true group differ between strata.

    Attributes:
        judge: The judge.
        attribute: The judged attribute.
        group: The true group of the anchors.
        strata: ``kind``, ``stereotype`` or ``model``.
        wrong: Strata to weighted shares of decided anchors with a wrong label.
        abstained: Strata to weighted shares of anchors without a label.
        n: Strata to numbers of anchors.
        p_value: p-value, Holm-adjusted over the groups of the attribute.
        alike: Whether the difference is not significant at 5%; weak evidence if there are few anchors.
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
class CalibrationReport:
    """The result of a calibration.

    Attributes:
        path: Path of the confusion table, for ``calibration`` of a suite.
        images: Number of images with a label.
        untold: Number of empty labels, where people could not tell.
        measured: The calibrations of all judges for all attributes and joint attributes.
        carried: The tests of strata; empty if all anchors are in one stratum.
        judge_report: Path of the judge report, if requested.
        audited: Number of its rows, of rows that support a claim, and of rows without a value.
        remarks: Notes for the reader, one line each.
    """

    path: Path
    images: int
    untold: int
    measured: list[JudgeCalibration]
    carried: list[StratumTest]
    judge_report: Path | None
    audited: Mapping[str, int]
    remarks: list[str]


def calibrate_run(
    run: Path, *, anchors: Path, out: Path, judge_report: Path | None = None
) -> CalibrationReport:
    """Write the confusion table of the judges of a run from anchors among its images.

    Args:
        run: Folder of a run or audit.
        anchors: CSV ``key,attribute,label[,probability]``; or with a column ``file`` instead of ``key``: the
            path of the image in the run, or in the image list of the audit.
        out: Path of the table to write.
        judge_report: Path of the judge report to write; none if ``None``.

    Raises:
        EvenhandError: The folder is not a run, its images are not judged, or an anchor is not valid.
    """
    run_folder = RunFolder(run)
    suite = run_folder.spec()
    external = isinstance(suite, Audit)
    images, labels = judged_tables(run_folder)
    judged = images[images["key"].isin(set(labels["key"]))]
    keys = dict(zip(judged["file" if external else "path"], judged["key"], strict=True))
    given = read_anchors(anchors, keys=keys, taxonomy=suite.taxonomy).table
    truth = check_anchors(given, taxonomy=suite.taxonomy)
    table = confusion_from_anchors(labels, given, taxonomy=suite.taxonomy, members=suite.panel)
    weighted = "probability" in truth and truth["probability"].nunique() > 1
    measured = list(_judge_calibrations(table, suite, weighted=weighted))
    voted = judge_labels(labels, truth, taxonomy=suite.taxonomy, members=suite.panel)
    strata = separate_strata(images, external=external)
    rows = (
        [] if judge_report is None else audit_rows(run_folder, suite, truth=truth, voted=voted, strata=strata)
    )
    write_atomically(out, f"{_comment(truth, voted, suite, run)}\n{table.to_csv(index=False)}".encode())
    if judge_report is not None:
        write_judge_report(rows, judge_report, about=_about(truth, suite, run))
    return CalibrationReport(
        path=out,
        images=truth["key"].nunique(),
        untold=len(given) - len(truth),
        measured=measured,
        carried=list(_stratum_tests(truth, voted, strata, suite, weighted=weighted)),
        judge_report=judge_report,
        audited=tally(rows),
        remarks=_remarks(weighted=weighted),
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


def _remarks(*, weighted: bool) -> list[str]:
    if not weighted:
        return []
    return [
        "anchors were sampled with unequal probabilities: counts are effective sample sizes, strata are "
        "compared with weights, and independence of errors on two attributes is not tested"
    ]


def _judge_calibrations(table: pd.DataFrame, suite: RunSpec, *, weighted: bool) -> Iterator[JudgeCalibration]:
    seed = suite.bootstrap.seed
    for judge, attributes in table[["judge", "attributes"]].drop_duplicates().itertuples(index=False):
        names = attributes.split("*")
        counts = counts_of(table, judge=judge, attributes=names, taxonomy=suite.taxonomy)
        assert counts is not None  # the pair is in the table
        found = calibrate(table, judge=judge, attributes=names, taxonomy=suite.taxonomy, draws=2, seed=seed)
        rows = counts.sum(axis=1)
        own = confusion_matrix(counts) if rows.min() else np.full_like(counts, np.nan)
        matrix = found.matrix if isinstance(found, Calibration) else own
        cells = ["*".join(cell) for cell in product(*(suite.taxonomy[name] for name in names))]
        independence = float("nan")
        if len(names) == 2 and not weighted and counts[:, :-1].any():
            shape = (len(suite.taxonomy[names[0]]), len(suite.taxonomy[names[1]]))
            rng = stream(seed, "independence", judge, attributes)
            independence = product_test(counts[:, :-1], shape=shape, rng=rng).p_value
        yield JudgeCalibration(
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


def _stratum_tests(
    truth: pd.DataFrame, voted: pd.DataFrame, strata: pd.DataFrame, suite: RunSpec, *, weighted: bool
) -> Iterator[StratumTest]:
    """Test all judges, attributes and stratifications with at least two strata."""
    for (judge, attribute), rows in voted.groupby(["judge", "attribute"], sort=True):
        groups = suite.taxonomy[str(attribute)]
        anchors = truth[truth["attribute"] == attribute]
        known = coded(anchors, rows, groups)
        for name in strata.columns:
            part = strata[name].reindex(anchors["key"]).replace("", np.nan)
            place, names = pd.factorize(part, sort=True)
            number = place.astype(np.int64)
            if len(names) < 2:
                continue
            inside = number >= 0
            tests = errors_by_stratum(
                known.truth[inside],
                known.answers[inside],
                number[inside],
                groups=len(groups),
                rng=stream(suite.bootstrap.seed, "strata", str(judge), str(attribute), str(name)),
                weights=known.weights[inside] if weighted else None,
            )
            adjusted = holm(np.array([test.p_value for test in tests]))
            for own, (group, test, p_value) in enumerate(zip(groups, tests, adjusted, strict=True)):
                n = np.bincount(number[inside & (known.truth == own)], minlength=len(names))
                names_of = (str(judge), str(attribute), group, str(name))
                yield _stratum_test(*names_of, parts=list(names), shares=test.table, n=n, p_value=p_value)


def _stratum_test(
    judge: str,
    attribute: str,
    group: str,
    strata: str,
    *,
    parts: Sequence[str],
    shares: FloatArray,
    n: NDArray[np.int64],
    p_value: float,
) -> StratumTest:
    wrong = ratio(shares[:, WRONG], shares[:, RIGHT] + shares[:, WRONG])
    abstained = ratio(shares[:, ABSTAINED], shares.sum(axis=1))
    return StratumTest(
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
