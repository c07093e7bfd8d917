"""Whether the thresholds that an auditor fixed beforehand are met: a pure function of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.results.lookup import Key, Reading, served_worst
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import PANEL
from evenhand.bench.results.title_block import Threshold

Verdict = Literal["met", "not met", "undecided", "not measured"]


@dataclass(frozen=True)
class Checked:
    """A threshold and one method or model.

    Attributes:
        threshold: The threshold.
        label: The method or model.
        row: The number; ``None`` where it was not measured.
        verdict: ``"met"`` where the whole 95 % interval respects the limit, ``"not met"`` where the whole
            interval breaks it, ``"undecided"`` where it contains the limit or where there is no interval.
    """

    threshold: Threshold
    label: str
    row: EstimateRow | None
    verdict: Verdict


def check(thresholds: Sequence[Threshold], readings: Sequence[Reading]) -> list[Checked]:
    """Every threshold for every method, in this order."""
    return [_checked(threshold, reading) for threshold in thresholds for reading in readings]


def _checked(threshold: Threshold, reading: Reading) -> Checked:
    row = _row(threshold, reading)
    worst = served_worst(reading, row) if row is not None else None
    if row is not None and worst is not None:
        # The interval stays that of the aggregate: another group may have the lower end.
        row = row.model_copy(update={"group": worst.group})
    return Checked(threshold, reading.label, row, _verdict(threshold, row))


def _row(threshold: Threshold, reading: Reading) -> EstimateRow | None:
    """The panel's number: corrected for judge error where there is a corrected one."""
    key = Key(threshold.metric, threshold.attributes, PANEL, True, group=threshold.group, kind=threshold.kind)
    rows = [reading.at(key), reading.at(key._replace(corrected=False))]
    rows.append(reading.at(key._replace(judge="", corrected=False)))
    return next((row for row in rows if row is not None and math.isfinite(row.value)), None)


def _verdict(threshold: Threshold, row: EstimateRow | None) -> Verdict:
    if row is None:
        return "not measured"
    if math.isnan(row.low) or math.isnan(row.high):
        return "undecided"
    if threshold.at_most is not None:
        limit, best, worst = threshold.at_most, row.low, row.high
    else:
        limit, best, worst = -(threshold.at_least or 0.0), -row.high, -row.low
    return "met" if worst <= limit else "not met" if best > limit else "undecided"
