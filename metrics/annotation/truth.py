"""Annotators as judges of the label table: one judge per annotator, and their aggregate as the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.annotation.answers import PEOPLE, labels_of
from evenhand.metrics.annotation.checks import codes_of
from evenhand.metrics.estimation.anchors import HUMAN
from evenhand.metrics.judge_quality.latent_class import MISSING, dawid_skene
from evenhand.metrics.representation import FloatArray, shares_of
from evenhand.metrics.table import DECISION_THRESHOLD, LABEL_COLUMNS, label_rows

Rule = Literal["dawid-skene", "majority"]
RULES = ("dawid-skene", "majority")

AGGREGATE = f"{HUMAN}:aggregate"
"""Judge name of the aggregated annotations."""

FEWEST_RATERS = 3
"""Fewer raters do not identify the Dawid-Skene model."""

MAJORITY = 0.5 + 1e-6
"""Threshold of a majority: more than half of the votes."""


def judge_of(annotator: str) -> str:
    """The annotator's name in the label table."""
    return f"{HUMAN}:{annotator}"


def human_rows(
    table: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    left_out: Collection[str] = (),
    rule: Rule | None = None,
) -> pd.DataFrame:
    """Label-table rows of every annotator, and of the aggregate of the annotators who are kept.

    Repeated annotations do not count. ``other`` and ``cannot_tell`` are undetermined and fill the last column
    of the probabilities. People and models are never averaged into one vote.

    Args:
        table: The annotation table.
        taxonomy: Attribute to groups.
        left_out: Annotators excluded from the aggregate.
        rule: Aggregation rule, see :func:`aggregate`.

    Raises:
        EvenhandError: No annotator is left, or as in :func:`aggregate`.
    """
    labels = labels_of(table, taxonomy=taxonomy)
    parts = [
        _annotator(rows, annotator=str(annotator), attribute=str(attribute), groups=taxonomy[str(attribute)])
        for (annotator, attribute), rows in labels.groupby(["annotator_id", "attribute"], sort=True)
    ]
    kept = labels[~labels["annotator_id"].isin(list(left_out))]
    if kept.empty:
        raise EvenhandError(
            f"the checks leave out every annotator ({labels['annotator_id'].nunique()}); collect more "
            "annotations, or keep all annotators with --keep-all"
        )
    parts.append(aggregate(kept, taxonomy=taxonomy, rule=rule))
    return pd.concat(parts, ignore_index=True)[list(LABEL_COLUMNS)]


def aggregate(
    table: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]], rule: Rule | None = None
) -> pd.DataFrame:
    """The aggregated labels of the annotators, with their probabilities.

    "Cannot tell" is a possible answer and a possible truth. ``dawid-skene`` gives the posteriors of a latent
    class model (Dawid and Skene 1979) in which annotators have individual error rates. ``majority`` gives
    shares of the votes, and a label if more than half of the votes agree. Images without a label remain in
    the table as undetermined.

    Args:
        table: The annotation table of the annotators who are kept.
        taxonomy: Attribute to groups.
        rule: ``dawid-skene`` or ``majority``; by default ``dawid-skene`` for attributes with at least three
            annotators.

    Raises:
        EvenhandError: ``dawid-skene`` is requested and an attribute has fewer than three annotators.
    """
    labels = labels_of(table, taxonomy=taxonomy)
    parts = []
    for attribute in (name for name in taxonomy if name in set(labels["attribute"])):
        rows = labels[labels["attribute"] == attribute]
        groups = taxonomy[attribute]
        codes, _, keys = codes_of(rows, attribute=attribute, taxonomy=taxonomy, missing=MISSING)
        used = rule or rule_for(len(codes))
        if used == "dawid-skene" and len(codes) < FEWEST_RATERS:
            raise EvenhandError(
                f"{attribute} has {len(codes)} annotators and dawid-skene needs {FEWEST_RATERS}; "
                "use the rule majority, or collect more annotations"
            )
        probabilities = _posteriors(codes, len(groups) + 1, used)
        parts.append(
            label_rows(
                keys=keys,
                judge=AGGREGATE,
                version=_version(rows, used),
                family=HUMAN,
                attribute=attribute,
                groups=groups,
                probabilities=probabilities,
                status=_crowd_status(rows, keys, probabilities),
                threshold=DECISION_THRESHOLD if used == "dawid-skene" else MAJORITY,
            )
        )
    return pd.concat(parts, ignore_index=True)


def rule_for(annotators: int) -> Rule:
    """The default rule for this number of annotators."""
    return "dawid-skene" if annotators >= FEWEST_RATERS else "majority"


def anchors_of(rows: pd.DataFrame, probabilities: Mapping[str, float]) -> pd.DataFrame:
    """The aggregate as anchors, for images that were drawn with a known probability.

    Columns ``key``, ``attribute``, ``label`` (empty where undetermined) and ``probability``; see
    :func:`evenhand.metrics.estimation.anchors.confusion_from_anchors`. Images selected by hand (gold images)
    have no probability and are left out.
    """
    own = rows[(rows["judge"] == AGGREGATE) & rows["key"].isin(list(probabilities))]
    table = own[["key", "attribute", "label"]].reset_index(drop=True)
    return table.assign(probability=table["key"].map(probabilities))


def _posteriors(codes: NDArray[np.int64], classes: int, rule: Rule) -> FloatArray:
    """Probabilities ``(images, classes)`` from codes ``(annotators, images)``."""
    if rule == "dawid-skene":
        return dawid_skene(codes.T, classes=classes).posteriors
    return shares_of((codes[..., None] == np.arange(classes)).sum(axis=0))


def _annotator(rows: pd.DataFrame, *, annotator: str, attribute: str, groups: Sequence[str]) -> pd.DataFrame:
    place = {group: number for number, group in enumerate(groups)}
    said = np.array([place.get(label, len(groups)) for label in rows["label"]])
    return label_rows(
        keys=list(rows["key"]),
        judge=judge_of(annotator),
        version=_version(rows, ""),
        family=HUMAN,
        attribute=attribute,
        groups=groups,
        probabilities=np.eye(len(groups) + 1)[said],
        status=[_status(n, tells=code < len(groups)) for n, code in zip(rows["n_people"], said, strict=True)],
    )


def _status(people: str, *, tells: bool) -> str:
    """``no_person``; ``multi_person`` if several people are visible and there is no label; else ``ok``."""
    none, _, several = PEOPLE
    if people == none:
        return "no_person"
    return "multi_person" if people == several and not tells else "ok"


def _crowd_status(rows: pd.DataFrame, keys: Sequence[str], probabilities: FloatArray) -> list[str]:
    """:func:`_status` of the aggregate, from the number of people that most annotators see."""
    shares = {n: (rows["n_people"] == n).groupby(rows["key"]).mean() for n in PEOPLE}
    tells = probabilities.argmax(axis=1) < probabilities.shape[1] - 1
    common = [next((n for n in PEOPLE if shares[n][key] > 0.5), "") for key in keys]
    return [_status(people, tells=bool(sure)) for people, sure in zip(common, tells, strict=True)]


def _version(rows: pd.DataFrame, rule: str) -> str:
    """A hash that changes with the form, the rule and every annotation."""
    columns = ["key", "annotator_id", "attribute", "label", "n_people", "form_version"]
    said = sorted(rows[columns].astype(str).agg("\t".join, axis=1))
    return hashlib.sha256("\n".join([rule, *said]).encode()).hexdigest()[:12]
