"""Error rates of the judges on anchors, as shares with intervals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import pandas as pd

from evenhand.metrics.correction.calibration import UNDETERMINED, counts_of
from evenhand.metrics.rows import ErrorRow
from evenhand.metrics.statistics.uncertainty import wilson


def judge_errors(
    table: pd.DataFrame, *, judges: Collection[str], taxonomy: Mapping[str, Sequence[str]]
) -> list[ErrorRow]:
    """The rows of every judge's confusion matrix on every single attribute.

    A group without anchors has rows without a value. The shares are plain counts, without the smoothing of
    small rows in :func:`evenhand.metrics.correction.calibration.confusion_matrix`.

    Args:
        table: A confusion table with the columns
            :data:`evenhand.metrics.correction.calibration.CONFUSION_COLUMNS`.
        judges: The judges of the study, and the panel; other judges are left out.
        taxonomy: Attribute to its groups, in order.

    Raises:
        EvenhandError: The table names a group that the taxonomy lacks.
    """
    found = sorted(set(table["judge"]) & set(judges))
    return [
        row for judge in found for name in taxonomy for row in _rows(table, judge, name, taxonomy=taxonomy)
    ]


def _rows(
    table: pd.DataFrame, judge: str, attribute: str, *, taxonomy: Mapping[str, Sequence[str]]
) -> Iterator[ErrorRow]:
    counts = counts_of(table, judge=judge, attributes=[attribute], taxonomy=taxonomy)
    if counts is None:
        return
    groups = taxonomy[attribute]
    for truth, row in zip(groups, counts, strict=True):
        anchors = float(row.sum())
        lows, highs = wilson(row, anchors)
        for place, label in enumerate((*groups, UNDETERMINED)):
            share = float(row[place]) / anchors if anchors else float("nan")
            yield ErrorRow(
                judge=judge,
                attribute=attribute,
                truth=truth,
                label=label,
                value=share,
                low=float(lows[place]),
                high=float(highs[place]),
                n=round(anchors),
            )
