"""Imports human labels into a run: as judges of the label table, and as anchors for the correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.annotation.files import (
    AGREEMENT,
    ANSWERS,
    human_labels,
    key_folder,
    read_key,
)
from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages.strata import separate_strata
from evenhand.bench.storage.files import locked, write_atomically
from evenhand.bench.storage.frames import judged_tables
from evenhand.bench.storage.run_folder import RunFolder, RunSpec
from evenhand.bench.suites.audit_config import Audit
from evenhand.metrics.annotation.answers import CANNOT_TELL, check_answers
from evenhand.metrics.annotation.checks import AnnotatorCheck, answers_needed, check_annotators, codes_of
from evenhand.metrics.annotation.readers import read_answers
from evenhand.metrics.annotation.truth import AGGREGATE, Rule, anchors_of, human_rows, rule_for
from evenhand.metrics.judge_quality.agreement import (
    Agreed,
    Codes,
    agreement_rows,
    by_class,
    by_stratum,
    cohen_kappa,
)
from evenhand.metrics.statistics.uncertainty import stream
from evenhand.metrics.taxonomies import ORDERED


@dataclass(frozen=True)
class AgreementLine:
    """Agreement of raters on one attribute.

    Attributes:
        attribute: The attribute.
        raters: The raters: ``3 people``, or a judge, compared with the aggregated human labels.
        statistic: See :class:`evenhand.metrics.judge_quality.agreement.AgreementRow`; ``cohen_kappa`` for a
            judge.
        cannot_tell: Whether "cannot tell" is treated as ``missing`` or as an ``answer``.
        group: The group of a specific agreement; else empty.
        within: The stratum of the images as ``name=value``; empty for all.
        value: The coefficient with its 95% interval and number of images.
    """

    attribute: str
    raters: str
    statistic: str
    cannot_tell: str
    group: str
    within: str
    value: Agreed

    @property
    def main(self) -> bool:
        """Whether it covers all images and all groups."""
        return not self.group and not self.within


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    Attributes:
        labels: Path of the label table of people.
        anchors: Path of the aggregated labels as anchors.
        agreement_table: Path of the table of :attr:`agreement`.
        answers: Number of annotations read.
        images: Number of annotated images.
        labelled: Attributes to numbers of images with an aggregated label.
        rules: Attributes to aggregation rules.
        checks: The checks of the annotators.
        remarks: Notes for the reader, one line each.
        agreement: Agreement between people, and of every judge with the aggregated labels.
    """

    labels: Path
    anchors: Path
    agreement_table: Path
    answers: int
    images: int
    labelled: dict[str, int]
    rules: dict[str, str]
    checks: list[AnnotatorCheck]
    remarks: list[str]
    agreement: list[AgreementLine]


def import_annotations(
    paths: Sequence[Path],
    run: Path,
    *,
    layout: str | None = None,
    rule: Rule | None = None,
    keep_all: bool = False,
) -> Imported:
    """Read the annotations of all annotators, and write their labels and the anchors into the run.

    An import replaces any earlier one, so pass all files at once.

    Args:
        paths: Files with annotations.
        run: Folder of the run whose images were labelled.
        layout: Format of the files; detected if ``None``.
        rule: Aggregation rule; see :func:`evenhand.metrics.annotation.truth.aggregate`.
        keep_all: Whether to include annotators who fail a check in the aggregated labels.

    Raises:
        EvenhandError: The images of the run are not judged, a file is not valid or has unknown images or
            labels, all annotators fail the checks, or another process uses the run.
    """
    run_folder = RunFolder(run)
    suite = run_folder.spec()
    images, labels = judged_tables(run_folder)
    raw = pd.concat([read_answers(path, layout=layout) for path in paths], ignore_index=True)
    key = read_key(run_folder, batches=set(raw["batch_id"]), ids=set(raw["image_id"]))
    table, remarks = check_answers(
        raw, known=key.known, taxonomy=suite.taxonomy, gold=set(key.gold["key"]), repeats=key.repeats
    )
    if not table["attribute"].isin(list(suite.taxonomy)).any():
        raise EvenhandError(
            f"{paths[0]}: no annotations of {', '.join(suite.taxonomy)}; annotate one of these attributes"
        )
    checks = check_annotators(table, taxonomy=suite.taxonomy, gold=key.gold)
    left_out = set() if keep_all else {check.annotator for check in checks if check.reason}
    rows = human_rows(table, taxonomy=suite.taxonomy, left_out=left_out, rule=rule)
    common = rows[rows["judge"] == AGGREGATE]
    drawn = key.probabilities or dict.fromkeys(common["key"], 1.0)
    anchors = anchors_of(rows, drawn)
    if not key.probabilities:
        anchors = anchors.drop(columns="probability")
    kept = table[~table["annotator_id"].isin(list(left_out))]
    strata = separate_strata(images, external=isinstance(suite, Audit))
    agreement = [*_people(kept, suite, strata), *_judges(common, labels, suite, strata)]
    with locked(run):
        human_labels(run_folder).finish(rows)
        write_atomically(run_folder.anchors, anchors.to_csv(index=False).encode())
        write_atomically(key_folder(run_folder) / ANSWERS, table.to_csv(index=False).encode())
        write_atomically(key_folder(run_folder) / AGREEMENT, _as_csv(agreement))
    return Imported(
        labels=human_labels(run_folder).path,
        anchors=run_folder.anchors,
        agreement_table=key_folder(run_folder) / AGREEMENT,
        answers=len(table),
        images=table["key"].nunique(),
        labelled={
            str(name): int((part["status"] == "ok").sum()) for name, part in common.groupby("attribute")
        },
        rules={
            str(name): rule or rule_for(part["annotator_id"].nunique())
            for name, part in kept[kept["attribute"].isin(list(suite.taxonomy))].groupby("attribute")
        },
        checks=checks,
        remarks=[*remarks, *_needed(table, suite, left_out)],
        agreement=agreement,
    )


def _as_csv(lines: Sequence[AgreementLine]) -> bytes:
    names = ("attribute", "raters", "statistic", "cannot_tell", "group", "within")
    rows = [{name: getattr(line, name) for name in names} | line.value._asdict() for line in lines]
    columns = [*names, *Agreed._fields]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, float_format="%.6g").encode()


def _needed(table: pd.DataFrame, suite: RunSpec, left_out: set[str]) -> list[str]:
    more = answers_needed(table, taxonomy=suite.taxonomy, without=left_out)
    lacking = int((more > 0).sum())
    if not lacking:
        return []
    return [
        f"{lacking} images need more annotators: three each, five where three disagree "
        f"({more.sum()} annotations)"
    ]


def _people(table: pd.DataFrame, suite: RunSpec, strata: pd.DataFrame) -> Iterator[AgreementLine]:
    """Agreement between people, with "cannot tell" as missing and as an answer."""
    for name, groups in suite.taxonomy.items():
        if name not in set(table["attribute"]):
            continue
        codes, annotators, keys = codes_of(
            table, attribute=name, taxonomy=suite.taxonomy, missing=len(groups) + 1
        )
        if len(annotators) < 2:
            continue
        parts = strata.reindex(keys).fillna("")
        for treated, counted in (("missing", groups), ("answer", [*groups, CANNOT_TELL])):
            rows = agreement_rows(
                codes,
                counted,
                strata={str(part): parts[part].to_numpy(object) for part in parts},
                ordered=name in ORDERED and treated == "missing",
                draws=suite.bootstrap.draws,
                rng=stream(suite.bootstrap.seed, "humans", name, treated),
                raters=_most_common_raters(codes, len(counted)),
            )
            who = f"{len(annotators)} people"
            for row in rows:
                yield AgreementLine(name, who, row.statistic, treated, row.group, row.within, row.found)


def _most_common_raters(codes: Codes, groups: int) -> int:
    """The most common number of annotations per image, among images with at least two."""
    answered = (codes < groups).sum(axis=0)
    return int(np.bincount(answered, minlength=3)[2:].argmax()) + 2


def _judges(
    common: pd.DataFrame, labels: pd.DataFrame, suite: RunSpec, strata: pd.DataFrame
) -> Iterator[AgreementLine]:
    """Cohen's kappa and specific agreement of every judge with aggregated labels, where both decide."""
    for name, groups in suite.taxonomy.items():
        people = common[common["attribute"] == name].set_index("key")["label"]
        said = labels[(labels["attribute"] == name) & labels["key"].isin(list(people.index))]
        for judge, rows in said.groupby("judge", sort=True):
            answers = rows.drop_duplicates("key", keep="last").set_index("key")["label"]
            codes = np.stack([_codes(people.loc[answers.index], groups), _codes(answers, groups)])
            parts = strata.reindex(answers.index).fillna("")
            rng = stream(suite.bootstrap.seed, "humans", name, str(judge))
            yield from _pair(name, str(judge), codes, groups, parts, draws=suite.bootstrap.draws, rng=rng)


def _pair(
    attribute: str,
    judge: str,
    codes: Codes,
    groups: Sequence[str],
    parts: pd.DataFrame,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Iterator[AgreementLine]:
    def line(statistic: str, value: Agreed, *, group: str = "", within: str = "") -> AgreementLine:
        return AgreementLine(attribute, judge, statistic, "missing", group, within, value)

    def kappa(some: Codes, size: int) -> Agreed:
        return cohen_kappa(some[0], some[1], size)

    size = len(groups)
    yield line("cohen_kappa", kappa(codes, size))
    for group, value in zip(groups, by_class(codes, size, draws=draws, rng=rng), strict=True):
        yield line("specific_agreement", value, group=group)
    for name in parts:
        own = (parts[name] != "").to_numpy()
        found = by_stratum(codes[:, own], size, strata=list(parts[name][own]), statistic=kappa)
        for part, value in found.items():
            yield line("cohen_kappa", value, within=f"{name}={part}")


def _codes(labels: pd.Series[str], groups: Sequence[str]) -> NDArray[np.int64]:
    place = {group: number for number, group in enumerate(groups)}
    return np.array([place.get(label, len(groups)) for label in labels], np.int64)
