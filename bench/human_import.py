"""Taking people's answers into a run: as judges of the label table, and as anchors for the correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.bench.human_files import ANSWERS, anchors_path, human_labels, key_folder, read_key
from evenhand.bench.store import write_atomically
from evenhand.bench.workspace import Owner, Workspace
from evenhand.metrics.agreement import Agreed, cohen_kappa, krippendorff_alpha
from evenhand.metrics.humans.answers import check_answers
from evenhand.metrics.humans.checks import AnnotatorCheck, answers_needed, check_annotators, codes_of
from evenhand.metrics.humans.readers import read_answers
from evenhand.metrics.humans.truth import AGGREGATE, Rule, anchors_of, human_rows, rule_for
from evenhand.metrics.uncertainty import stream


@dataclass(frozen=True)
class AgreementLine:
    """How well raters agree on one attribute.

    Attributes:
        attribute: The attribute.
        raters: Who is compared: ``people``, or a judge with the people's aggregate.
        statistic: ``alpha`` (Krippendorff; cannot tell is missing), ``alpha with cannot tell`` (it is one
            more answer), or ``kappa`` (Cohen).
        value: The coefficient, with its 95 % interval and the pictures behind it.
    """

    attribute: str
    raters: str
    statistic: str
    value: Agreed


@dataclass(frozen=True)
class Imported:
    """What an import found and wrote.

    Attributes:
        labels: The label table of people.
        anchors: The aggregate as anchors.
        answers: Answers read.
        pictures: Pictures answered.
        labelled: Attribute to pictures with a common label.
        rules: Attribute to how the common label was made.
        checks: The annotators.
        remarks: What a reader must know, one line each.
        agreement: Of people with each other, and of every judge with the aggregate.
    """

    labels: Path
    anchors: Path
    answers: int
    pictures: int
    labelled: dict[str, int]
    rules: dict[str, str]
    checks: list[AnnotatorCheck]
    remarks: list[str]
    agreement: list[AgreementLine]


def import_answers(
    paths: Sequence[Path],
    run: Path,
    *,
    layout: str | None = None,
    rule: Rule | None = None,
    keep_all: bool = False,
) -> Imported:
    """Read answers of all annotators and write their label rows and the anchors into the run.

    An import takes the place of an earlier one, so give all files at once.

    Args:
        paths: Files of answers.
        run: Folder of the run whose pictures were labelled.
        layout: Format of the files; detected if ``None``.
        rule: How the common label is made; see :func:`evenhand.metrics.humans.truth.aggregate`.
        keep_all: Whether annotators who fail a check count for the common label all the same.

    Raises:
        EvenhandError: A file is not valid, names unknown pictures or words, or nobody can be relied on.
    """
    work = Workspace(run)
    suite = work.owner()
    raw = pd.concat([read_answers(path, layout=layout) for path in paths], ignore_index=True)
    key = read_key(work, batches=set(raw["batch_id"]), ids=set(raw["image_id"]))
    table, remarks = check_answers(
        raw, known=key.known, taxonomy=suite.taxonomy, gold=set(key.gold["key"]), repeats=key.repeats
    )
    if not table["attribute"].isin(list(suite.taxonomy)).any():
        raise EvenhandError(
            f"answers {paths[0]} have none on {', '.join(suite.taxonomy)}; ask for one of them"
        )
    checks = check_annotators(table, taxonomy=suite.taxonomy, gold=key.gold)
    left_out = set() if keep_all else {check.annotator for check in checks if check.reason}
    rows = human_rows(table, taxonomy=suite.taxonomy, left_out=left_out, rule=rule)
    common = rows[rows["judge"] == AGGREGATE]
    drawn = key.probabilities or dict.fromkeys(common["key"], 1.0)
    anchors = anchors_of(rows, drawn)
    if not key.probabilities:
        anchors = anchors.drop(columns="probability")
    human_labels(work).finish(rows)
    write_atomically(anchors_path(work), anchors.to_csv(index=False).encode())
    write_atomically(key_folder(work) / ANSWERS, table.to_csv(index=False).encode())
    kept = table[~table["annotator_id"].isin(list(left_out))]
    return Imported(
        labels=human_labels(work).path,
        anchors=anchors_path(work),
        answers=len(table),
        pictures=table["key"].nunique(),
        labelled={
            str(name): int((part["status"] == "ok").sum()) for name, part in common.groupby("attribute")
        },
        rules={
            str(name): rule or rule_for(part["annotator_id"].nunique())
            for name, part in kept[kept["attribute"].isin(list(suite.taxonomy))].groupby("attribute")
        },
        checks=checks,
        remarks=[*remarks, *_needed(table, suite, left_out)],
        agreement=[*_people(kept, suite), *_judges(common, work, suite)],
    )


def _needed(table: pd.DataFrame, suite: Owner, left_out: set[str]) -> list[str]:
    more = answers_needed(table, taxonomy=suite.taxonomy, without=left_out)
    lacking = int((more > 0).sum())
    if not lacking:
        return []
    return [
        f"{lacking} pictures need more people: three each, five where three disagree ({more.sum()} answers)"
    ]


def _people(table: pd.DataFrame, suite: Owner) -> list[AgreementLine]:
    """Krippendorff's alpha among people."""
    lines = []
    for name, groups in suite.taxonomy.items():
        if name not in set(table["attribute"]):
            continue
        codes, annotators, _ = codes_of(
            table, attribute=name, taxonomy=suite.taxonomy, missing=len(groups) + 1
        )
        if len(annotators) < 2:
            continue
        for statistic, counted in (("alpha", len(groups)), ("alpha with cannot tell", len(groups) + 1)):
            rng = stream(suite.bootstrap.seed, "humans", name, statistic)
            value = krippendorff_alpha(codes, counted, draws=suite.bootstrap.draws, rng=rng)
            lines.append(AgreementLine(name, f"{len(annotators)} people", statistic, value))
    return lines


def _judges(common: pd.DataFrame, work: Workspace, suite: Owner) -> list[AgreementLine]:
    """Cohen's kappa of every judge with the aggregate, on pictures that both decide."""
    labels = work.labels.read()
    lines = []
    for name, groups in suite.taxonomy.items():
        people = common[common["attribute"] == name].set_index("key")["label"]
        said = labels[(labels["attribute"] == name) & labels["key"].isin(list(people.index))]
        for judge, rows in said.groupby("judge", sort=True):
            answers = rows.drop_duplicates("key", keep="last").set_index("key")["label"]
            kappa = cohen_kappa(
                _codes(people.loc[answers.index], groups), _codes(answers, groups), len(groups)
            )
            lines.append(AgreementLine(name, str(judge), "kappa", kappa))
    return lines


def _codes(labels: pd.Series[str], groups: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    place = {group: number for number, group in enumerate(groups)}
    return np.array([place.get(label, len(groups)) for label in labels], np.int64)
