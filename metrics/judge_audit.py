"""How good a judge is, and for whom: the audit table of one judge against pictures of known truth.

Every row carries its interval and the number of pictures, and says whether it supports a claim: below
:data:`CLAIM` pictures in a cell it does not (measurement.md 3.13). Which pictures were chosen decides what
the table speaks of; a judge audited on portraits may err otherwise on generated pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.uncertainty import interval, recentred, stream, wilson

CLAIM = 30
"""Pictures that a cell needs before anything is claimed of it."""

BINS = 10
"""Equal-count bins of the calibration error."""


@dataclass(frozen=True)
class AuditRow:
    """One number about one judge.

    Attributes:
        judge: The judge.
        attribute: What it judged.
        quantity: ``recall`` (of the decided pictures of a true group, those given that group), ``false_rate``
            (decided pictures of other groups that are given this one), ``abstention`` (pictures of a true
            group without a label), ``accuracy``, ``balanced_accuracy`` (mean recall), ``recall_gap`` (largest
            minus smallest recall of a group over the groups of another attribute, of those that support a
            claim), or ``calibration_error``.
        group: The group that the value is about; empty where it is about all.
        within: ``attribute=group`` that the pictures truly show besides; for a gap the other attribute; or
            empty.
        value: The number; ``nan`` without a picture.
        low: Lower end of its 95 % interval.
        high: Upper end.
        n: Pictures behind it; of a gap or a balanced accuracy those of the smallest cell.
        claim: Whether so many pictures support a claim.
        floor: What a perfectly calibrated judge would score; ``nan`` for other quantities.
    """

    judge: str
    attribute: str
    quantity: str
    group: str
    within: str
    value: float
    low: float
    high: float
    n: int
    claim: bool
    floor: float = np.nan


@dataclass(frozen=True)
class _Seen:
    """Pictures of one judge and attribute: true and given codes, and who else is depicted."""

    judge: str
    attribute: str
    groups: tuple[str, ...]
    truth: NDArray[np.int64]
    said: NDArray[np.int64]
    probabilities: FloatArray
    others: Mapping[str, NDArray[np.object_]]

    def row(self, quantity: str, count: int, n: int, group: str = "", within: str = "") -> AuditRow:
        """A share with its Wilson interval."""
        low, high = wilson(count, n)
        value = count / n if n else np.nan
        return self.numbers(quantity, value, float(low), float(high), n, group=group, within=within)

    def numbers(
        self,
        quantity: str,
        value: float,
        low: float,
        high: float,
        n: int,
        *,
        group: str = "",
        within: str = "",
        floor: float = np.nan,
    ) -> AuditRow:
        """Any number with its interval."""
        names = (self.judge, self.attribute, quantity, group, within)
        return AuditRow(*names, value, low, high, n, n >= CLAIM, floor)


def judge_audit(
    truth: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    draws: int = 2000,
    seed: int = 0,
) -> list[AuditRow]:
    """Audits every judge of a label table on pictures of known truth.

    Args:
        truth: Columns ``key``, ``attribute``, ``group``: what each picture shows.
        labels: Label table of those pictures, one judge or several.
        taxonomy: Attribute to its groups, in the order of the probabilities.
        draws: Resamples for the calibration error.
        seed: Seed of the resamples.

    Returns:
        Rows in a fixed order: by judge, attribute and quantity.

    Raises:
        EvenhandError: No labelled picture has a known truth, or a truth is no group of the taxonomy.
    """
    shown = truth.set_index(["key", "attribute"])["group"].unstack()
    for attribute in shown.columns:
        strange = set(shown[attribute].dropna()) - set(taxonomy.get(attribute, ()))
        if strange:
            raise EvenhandError(
                f"truth names {min(strange)!r}, which is no group of {attribute}; "
                f"groups: {', '.join(taxonomy.get(attribute, ()))}"
            )
    rows: list[AuditRow] = []
    for pair, part in labels.groupby(["judge", "attribute"], sort=True):
        judge, attribute = (str(name) for name in pair)
        if attribute not in shown.columns:
            continue
        seen = _seen(part, shown, judge, attribute, taxonomy)
        if len(seen.truth):
            rows += [*_rates(seen), *_gaps(seen), _calibration(seen, draws=draws, seed=seed)]
    if not rows:
        raise EvenhandError("no labelled picture has a known truth; label the pictures of the truth table")
    return rows


def _seen(
    part: pd.DataFrame, shown: pd.DataFrame, judge: str, attribute: str, taxonomy: Mapping[str, Sequence[str]]
) -> _Seen:
    groups = tuple(taxonomy[attribute])
    code = {group: number for number, group in enumerate(groups)}
    known = shown[shown[attribute].notna()]
    rows = part[part["key"].isin(known.index)].sort_values("key")
    who = known.loc[rows["key"]]
    said = np.asarray(rows["label"].map(code).where(rows["status"] == "ok", len(groups)), np.int64)
    truth = np.asarray(who[attribute].map(code), np.int64)
    others = {
        name: who[name].fillna("").to_numpy(object) for name in taxonomy if name != attribute and name in who
    }
    probabilities = np.array(rows["probabilities"].tolist(), float).reshape(len(rows), len(groups) + 1)
    return _Seen(judge, attribute, groups, truth, said, probabilities, others)


def _cells(seen: _Seen) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All pictures, then those of each group of each other attribute."""
    yield "", np.ones(len(seen.truth), bool)
    for name, who in seen.others.items():
        for group in sorted(set(who) - {""}):
            yield f"{name}={group}", who == group


def _rates(seen: _Seen) -> Iterator[AuditRow]:
    """Recall, false rate and abstention of every group, over all pictures and by other attributes."""
    decided = seen.said < len(seen.groups)
    right = decided & (seen.said == seen.truth)
    yield seen.row("accuracy", int(right.sum()), int(decided.sum()))
    yield _balanced(seen, decided)
    for within, here in _cells(seen):
        for number, group in enumerate(seen.groups):
            own = here & (seen.truth == number)
            rest = here & (seen.truth != number) & decided
            among = int((own & decided).sum())
            yield seen.row("recall", int((own & right).sum()), among, group, within)
            yield seen.row(
                "false_rate", int((rest & (seen.said == number)).sum()), int(rest.sum()), group, within
            )
            yield seen.row("abstention", int((own & ~decided).sum()), int(own.sum()), group, within)


def _balanced(seen: _Seen, decided: NDArray[np.bool_]) -> AuditRow:
    """Mean recall; its interval adds those of the recalls in quadrature (Zou and Donner 2008)."""
    n = np.array([(decided & (seen.truth == number)).sum() for number in range(len(seen.groups))])
    hits = np.array([(seen.said[seen.truth == number] == number).sum() for number in range(len(seen.groups))])
    low, high = wilson(hits, n)
    recall = hits / np.where(n > 0, n, np.nan)
    below, above = (float(np.linalg.norm(reach)) / len(n) for reach in (recall - low, high - recall))
    value = float(recall.mean())
    return seen.numbers("balanced_accuracy", value, value - below, value + above, int(n.min()))


def _gaps(seen: _Seen) -> Iterator[AuditRow]:
    """Largest minus smallest recall over the groups of another attribute that support a claim.

    The interval is Newcombe's for the difference of those two; as they were picked for being furthest apart,
    a gap whose interval starts near 0 is not shown to exist.
    """
    decided = seen.said < len(seen.groups)
    for name, who in seen.others.items():
        for number, group in enumerate(seen.groups):
            cells = [decided & (seen.truth == number) & (who == other) for other in sorted(set(who) - {""})]
            n = np.array([cell.sum() for cell in cells])
            if (n >= CLAIM).sum() < 2:
                yield seen.numbers(
                    "recall_gap", np.nan, np.nan, np.nan, int(n.min(initial=0)), group=group, within=name
                )
                continue
            hits = np.array([(seen.said[cell] == number).sum() for cell in cells])[n >= CLAIM]
            n = n[n >= CLAIM]
            low, high = wilson(hits, n)
            best, worst = (hits / n).argmax(), (hits / n).argmin()
            top, bottom = hits[best] / n[best], hits[worst] / n[worst]
            below = np.hypot(top - low[best], high[worst] - bottom)
            above = np.hypot(high[best] - top, bottom - low[worst])
            gap = top - bottom
            ends = float(gap - below), float(min(gap + above, 1.0))
            yield seen.numbers("recall_gap", float(gap), *ends, int(n.min()), group=group, within=name)


def calibration_error(confidence: FloatArray, right: NDArray[np.bool_]) -> FloatArray:
    """Mean over equal-count bins of ``|share right - mean confidence|``, for arrays ``(..., n)``.

    Range 0 to 1; lower is better. It is biased upwards: a perfectly calibrated judge does not score 0 on few
    pictures, so compare it with its floor. It cannot tell over- from under-confidence.
    Source: Nguyen and O'Connor 2015 (adaptive bins); measurement.md 3.13.
    """
    order = np.argsort(confidence, axis=-1, kind="stable")
    excess = np.take_along_axis(np.asarray(right, float) - confidence, order, axis=-1)
    parts = np.array_split(excess, BINS, axis=-1)
    return np.asarray(sum(np.abs(part.sum(axis=-1)) for part in parts) / excess.shape[-1])


def _calibration(seen: _Seen, *, draws: int, seed: int) -> AuditRow:
    """Of the pictures that the judge decides: its highest probability against how often it is right."""
    decided = seen.said < len(seen.groups)
    confidence = seen.probabilities[decided, :-1].max(axis=1, initial=0)
    right = seen.said[decided] == seen.truth[decided]
    n = len(right)
    if not n:
        return seen.numbers("calibration_error", np.nan, np.nan, np.nan, 0)
    value = float(calibration_error(confidence, right))
    rng = stream(seed, "calibration error", seen.judge, seen.attribute)
    picks = rng.integers(n, size=(draws, n))
    drawn = recentred(calibration_error(confidence[picks], right[picks]), value)
    fair = calibration_error(np.broadcast_to(confidence, (draws, n)), rng.random((draws, n)) < confidence)
    low, high = (float(end) for end in interval(drawn))
    return seen.numbers("calibration_error", value, max(low, 0.0), high, n, floor=float(fair.mean()))
