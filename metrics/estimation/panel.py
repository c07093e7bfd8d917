"""The panel's vote: from several judges to one label.

Judges that share training data share errors, so each family of judges has one vote: the average of its
probabilities, decided by the same rule as a single judge's. Images on which the families disagree are
undetermined and counted; no judge's label is used by default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.table import DECISION_THRESHOLD, LABEL_COLUMNS, STATUSES, decide, matrix_of
from evenhand.metrics.terms import PANEL as PANEL

DECIDING_FAMILIES = 2
"""Families that must decide before the panel does; one suffices if only one knows the attribute."""

ANSWERED = ("ok", "low_confidence")
"""Statuses of judges that saw a person, whose probabilities enter the family's average."""


def vote(
    labels: pd.DataFrame,
    *,
    members: Sequence[str],
    taxonomy: Mapping[str, Sequence[str]],
    threshold: float = DECISION_THRESHOLD,
) -> pd.DataFrame:
    """The panel's label of every image and attribute that a member labelled.

    At least two families must decide (one if only one family knows the attribute), and more than half of the
    deciding families must agree. Undetermined images have the status ``inconsistent`` if deciding families
    disagree, else the most frequent status of the judges that did not decide.

    Args:
        labels: The label table; rows of judges outside ``members`` are ignored.
        members: Names of the panel's judges.
        taxonomy: Attribute to groups, in the order of the probabilities.
        threshold: See :func:`evenhand.metrics.table.decide`; applied to each family's average.

    Returns:
        Label-table rows of judge ``panel``, sorted by attribute and key.
    """
    rows = labels[labels["judge"].isin(list(members))]
    version = "+".join(f"{name}@{number}" for name, number in _versions(rows))
    # Keys are long and occur in many rows: number them once, in their order, and compare numbers.
    numbers, keys = pd.factorize(rows["key"], sort=True)
    rows = rows.assign(key=numbers).sort_values(["judge", "key"])
    parts = [
        _vote_attribute(
            rows[rows["attribute"] == name],
            keys=keys,
            attribute=name,
            groups=taxonomy[name],
            threshold=threshold,
            version=version,
        )
        for name in sorted(rows["attribute"].unique())
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(LABEL_COLUMNS))


def _vote_attribute(
    rows: pd.DataFrame,
    *,
    keys: pd.Index[Any],
    attribute: str,
    groups: Sequence[str],
    threshold: float,
    version: str,
) -> pd.DataFrame:
    """The votes on one attribute; column ``key`` of ``rows`` numbers ``keys``."""
    numbers = np.unique(rows["key"])
    families = sorted(rows["family"].unique())
    posteriors = np.stack([_family(rows[rows["family"] == name], numbers, len(groups)) for name in families])
    answered = ~np.isnan(posteriors[..., 0])
    undetermined = len(groups)
    codes = np.full(answered.shape, undetermined)
    codes[answered] = decide(posteriors[answered], threshold=threshold)
    votes = (codes[..., None] == np.arange(undetermined)).sum(axis=0)
    deciding = votes.sum(axis=1)
    enough = deciding >= min(DECIDING_FAMILIES, len(families))
    won = enough & (2 * votes.max(axis=1) > deciding)
    winner = np.where(won, votes.argmax(axis=1), undetermined)
    count = answered.sum(axis=0)[:, None]
    mean = ratio(np.nansum(posteriors, axis=0), count)
    confidence = np.take_along_axis(mean, winner[:, None], axis=1)[:, 0]
    return pd.DataFrame(
        {
            "key": keys[numbers],
            "judge": PANEL,
            "judge_version": version,
            "family": PANEL,
            "attribute": attribute,
            "label": np.array([*groups, ""], dtype=object)[winner],
            "confidence": np.where(won, confidence, np.nan),
            "status": _statuses(rows, numbers, won=won, disagree=enough & ~won),
            "probabilities": list(mean),
        }
    )[list(LABEL_COLUMNS)]


def _family(rows: pd.DataFrame, numbers: NDArray[np.int64], groups: int) -> FloatArray:
    """Mean probabilities ``(n, K + 1)`` of a family's judges that answered; ``nan`` where none did."""
    rows = rows[rows["status"].isin(ANSWERED)]
    total, count = np.zeros((len(numbers), groups + 1)), np.zeros((len(numbers), 1))
    if len(rows):
        position = np.searchsorted(numbers, rows["key"].to_numpy())
        np.add.at(total, position, matrix_of(rows["probabilities"]))
        np.add.at(count, position, 1.0)
    return ratio(total, count)


def _versions(rows: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = rows[["judge", "judge_version"]].drop_duplicates()
    return sorted(zip(pairs["judge"], pairs["judge_version"], strict=True))


def _statuses(
    rows: pd.DataFrame, numbers: NDArray[np.int64], *, won: NDArray[np.bool_], disagree: NDArray[np.bool_]
) -> list[str]:
    """One status per image; of equally frequent statuses, the first in ``STATUSES``."""
    silent = ~won & ~disagree
    reasons: dict[Any, Counter[str]] = {key: Counter() for key in numbers[silent]}
    said_so = rows[(rows["status"] != "ok") & rows["key"].isin(numbers[silent])]
    for key, status in zip(said_so["key"], said_so["status"], strict=True):
        reasons[key][status] += 1
    fallback = "low_confidence"
    said = np.where(won, "ok", np.where(disagree, "inconsistent", fallback)).astype(object)
    for position in np.flatnonzero(silent):
        found = reasons[numbers[position]]
        said[position] = max(STATUSES, key=lambda status: found[status]) if found else fallback
    return [str(status) for status in said]
