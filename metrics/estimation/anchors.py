"""The judges' confusion table from anchors (images with a true label) and a label table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, combinations

import pandas as pd

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.metrics.correction.calibration import confusion_table
from evenhand.metrics.estimation.encode import check_labels
from evenhand.metrics.estimation.panel import PANEL, vote

ANCHOR_COLUMNS = ("key", "attribute", "label")
"""Columns of an anchor table, one row per image and attribute; the label is empty if undetermined.

An optional column ``probability`` holds the inclusion probability of the image.
"""

HUMAN = "human"
"""Family of human labels. They are the truth, so they are not audited against themselves."""


def confusion_from_anchors(
    labels: pd.DataFrame,
    anchors: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    members: Sequence[str],
) -> pd.DataFrame:
    """The confusion table of every judge, and of the panel's vote, counted on anchors.

    This function computes the panel's vote. Anchors without a label are left out. Anchors with unequal
    inclusion probabilities (for example sampled by a judge's label) are weighted by the inverse probability,
    see :func:`evenhand.metrics.correction.calibration.effective_counts`.

    Args:
        labels: The label table; rows of human labels are ignored.
        anchors: Columns :data:`ANCHOR_COLUMNS` and optionally ``probability`` in (0, 1].
        taxonomy: Attribute to groups.
        members: Names of the panel's judges.

    Returns:
        A table with the columns :data:`evenhand.metrics.correction.calibration.CONFUSION_COLUMNS`, for every
        attribute of the anchors and every joint attribute of these.

    Raises:
        EvenhandError: There are no anchors; an anchor is duplicated or unknown to the label table or the
            taxonomy; a probability is invalid; a judge lacks a label for an anchor; a member labels nothing.
    """
    truth = check_anchors(anchors, taxonomy=taxonomy)
    both = judge_labels(labels, truth, taxonomy=taxonomy, members=members)
    shown = [name for name in taxonomy if name in set(truth["attribute"])]
    sets = chain.from_iterable(combinations(shown, size) for size in range(1, 1 + len(shown)))
    return confusion_table(truth.rename(columns={"label": "group"}), both, list(sets))


def judge_labels(
    labels: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    members: Sequence[str],
) -> pd.DataFrame:
    """The checked labels of every judge for the anchors, and the panel's vote.

    Args:
        labels: The label table.
        truth: The result of :func:`check_anchors`.
        taxonomy: Attribute to groups.
        members: Names of the panel's judges.

    Raises:
        EvenhandError: See :func:`confusion_from_anchors`.
    """
    judged = labels[(labels["family"] != HUMAN) & (labels["judge"] != PANEL)]
    _check_known(truth, judged)
    for name in sorted(set(members) - set(judged["judge"])):
        raise unknown("judge of the panel", name, set(judged["judge"]))
    answers = judged[
        judged["key"].isin(set(truth["key"])) & judged["attribute"].isin(set(truth["attribute"]))
    ]
    check_labels(answers, taxonomy=taxonomy)
    _check_complete(truth, answers)
    votes = vote(answers, members=members, taxonomy=taxonomy)
    return pd.concat([answers, votes], ignore_index=True) if len(votes) else answers


def check_anchors(anchors: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The anchors with a label, checked, with the columns that are used.

    Raises:
        EvenhandError: The first error found; see :func:`confusion_from_anchors`.
    """
    missing = [name for name in ANCHOR_COLUMNS if name not in anchors.columns]
    if missing:
        raise EvenhandError(
            f"anchors lack column {missing[0]!r}; required columns: {', '.join(ANCHOR_COLUMNS)}"
        )
    doubled = anchors[anchors.duplicated(["key", "attribute"])]
    if len(doubled):
        row = doubled.iloc[0]
        raise EvenhandError(f"anchors give the {row.attribute} of image {row.key!r} twice; keep one row")
    columns = [*ANCHOR_COLUMNS, *(name for name in ("probability",) if name in anchors.columns)]
    truth = anchors.loc[anchors["label"].fillna("") != "", columns]
    if truth.empty:
        raise EvenhandError(f"none of {len(anchors)} anchors has a label; label some images first")
    for attribute, rows in truth.groupby("attribute", sort=True):
        if attribute not in taxonomy:
            raise unknown("attribute of the anchors", str(attribute), taxonomy)
        for label in sorted(set(rows["label"]) - set(taxonomy[str(attribute)])):
            raise unknown(f"group of {attribute} in the anchors", str(label), taxonomy[str(attribute)])
    if "probability" in truth:
        _check_probabilities(truth)
    return truth


def _check_probabilities(truth: pd.DataFrame) -> None:
    given = pd.to_numeric(truth["probability"], errors="coerce")
    wrong = truth[~((given > 0) & (given <= 1))]
    if len(wrong):
        row = wrong.iloc[0]
        raise EvenhandError(
            f"anchor {row.key!r}: probability must be above 0 and at most 1, got {row.probability}"
        )
    several = truth.groupby("key")["probability"].nunique()
    if (several > 1).any():
        raise EvenhandError(
            f"anchor {several.index[several > 1][0]!r} has several probabilities; give one for all attributes"
        )


def _check_known(truth: pd.DataFrame, labels: pd.DataFrame) -> None:
    strange = sorted(set(truth["key"]) - set(labels["key"]))
    if strange:
        raise EvenhandError(
            f"{len(strange)} of {truth['key'].nunique()} anchors are not in the label table, "
            f"first {strange[0]!r}; use anchors of the labelled images"
        )
    unjudged = sorted(set(truth["attribute"]) - set(labels["attribute"]))
    if unjudged:
        raise EvenhandError(f"no judge labels the {unjudged[0]} of the anchors; add a judge for it")


def _check_complete(truth: pd.DataFrame, answers: pd.DataFrame) -> None:
    for attribute, rows in truth.groupby("attribute", sort=True):
        for judge, said in answers[answers["attribute"] == attribute].groupby("judge", sort=True):
            lacking = sorted(set(rows["key"]) - set(said["key"]))
            if lacking:
                raise EvenhandError(
                    f"judge {judge!r} has no {attribute} label for anchor {lacking[0]!r}; label it first"
                )
