"""The audit of a judge on images with known groups: accuracy overall and by group.

Every row has an interval and a number of images, and states whether that number supports a claim (at least
:data:`CLAIM` images in the cell). A number that cannot be computed is ``nan``, with a reason. The audit is
valid for images like the audited ones: a judge audited on portraits may make other errors on generated
images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.calibration import effective_counts
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import interval, recentred, stream, wilson

CLAIM = 30
"""Images that a cell needs to support a claim."""

BINS = 10
"""Equal-count bins of the calibration error."""


@dataclass(frozen=True)
class AuditRow:
    """One number about one judge.

    Attributes:
        judge: The judge; for agreement, the names of all judges joined by ``*``.
        attribute: The attribute that it labels.
        quantity: ``recall`` (share of a true group's decided images that get this label), ``false_rate``
            (share of the other groups' decided images that get this label), ``abstention`` (share of a true
            group's images without a label), ``accuracy``, ``balanced_accuracy`` (mean recall), ``recall_gap``
            (largest minus smallest recall of a group over the groups of another attribute, among those that
            support a claim), ``calibration_error``; a quantity of
            :mod:`evenhand.metrics.judge_quality.sensitivity`; or a statistic of
            :mod:`evenhand.metrics.judge_quality.agreement`.
        group: The group of the value; empty if the value covers all groups.
        within: ``name=value`` of the subset: a true group of another attribute, or a stratum. For a gap the
            name only; empty for all images.
        value: The number; ``nan`` if it cannot be computed.
        low: Lower end of the 95 % interval.
        high: Upper end of the interval.
        n: Images behind the number; for a gap or a balanced accuracy, those of the smallest cell.
        claim: Whether ``n`` is large enough to support a claim.
        floor: Expected calibration error of a perfectly calibrated judge; ``nan`` for other quantities.
        reason: Why there is no value; empty if there is one.
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
    reason: str = ""


@dataclass(frozen=True)
class Seen:
    """Images that one judge labelled on one attribute, with their true groups.

    Attributes:
        judge: The judge.
        attribute: The attribute.
        groups: Its ``K`` groups.
        keys: ``(n,)`` image keys.
        truth: ``(n,)`` true group indices.
        said: ``(n,)`` labels of the judge; ``K`` where undetermined.
        probabilities: ``(n, K + 1)`` probabilities of the judge.
        others: Other attribute to ``(n,)`` true groups; empty where unknown.
        strata: Name to ``(n,)`` strata; empty where an image belongs to none.
        weights: ``(n,)`` inverse inclusion probabilities.
    """

    judge: str
    attribute: str
    groups: tuple[str, ...]
    keys: NDArray[np.object_]
    truth: NDArray[np.int64]
    said: NDArray[np.int64]
    probabilities: FloatArray
    others: Mapping[str, NDArray[np.object_]]
    strata: Mapping[str, NDArray[np.object_]]
    weights: FloatArray

    @property
    def decided(self) -> NDArray[np.bool_]:
        """``(n,)``: whether the judge gave the image a label."""
        return self.said < len(self.groups)

    def cells(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """All images, then the images of each true group of other attributes and of each stratum."""
        yield "", np.ones(len(self.truth), bool)
        for name, who in {**self.others, **self.strata}.items():
            for group in sorted(set(who) - {""}):
                yield f"{name}={group}", who == group

    def counts(self, hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> tuple[float, float]:
        """Number of hits among the images ``among``, and number of these images.

        For images sampled with unequal probabilities, effective counts; see
        :func:`evenhand.metrics.correction.calibration.effective_counts`.
        """
        if not among.any():
            return 0.0, 0.0
        parts = [self.weights[among & hit], self.weights[among & ~hit]]
        worth = effective_counts(*(np.array([(part**power).sum() for part in parts]) for power in (1, 2)))
        return float(worth[0]), float(worth.sum())

    def share(
        self,
        quantity: str,
        hit: NDArray[np.bool_],
        among: NDArray[np.bool_],
        *,
        group: str = "",
        within: str = "",
    ) -> AuditRow:
        """Share of hits among the images ``among``, with its Wilson interval."""
        count, worth = self.counts(hit, among)
        if not worth:
            return self.missing(quantity, "there is no such image", group=group, within=within)
        low, high = (float(end) for end in wilson(count, worth))
        return self.number(quantity, count / worth, low, high, int(among.sum()), group=group, within=within)

    def gap(
        self,
        quantity: str,
        hit: NDArray[np.bool_],
        cells: Mapping[str, NDArray[np.bool_]],
        *,
        group: str = "",
        within: str = "",
    ) -> AuditRow:
        """Largest minus smallest share of hits over the cells that support a claim.

        The interval is that of Newcombe 1998 for the difference of these two shares. As they are selected for
        their distance, a gap whose interval starts near 0 is not significant.
        """
        full = {name: cell for name, cell in cells.items() if cell.sum() >= CLAIM}
        if len(full) < 2:
            reason = f"fewer than two groups of {within} have {CLAIM} such images"
            return self.missing(quantity, reason, group=group, within=within)
        count, worth = np.array([self.counts(hit, cell) for cell in full.values()]).T
        (low, high), share = wilson(count, worth), count / worth
        best, worst = share.argmax(), share.argmin()
        gap = share[best] - share[worst]
        below = np.hypot(share[best] - low[best], high[worst] - share[worst])
        above = np.hypot(high[best] - share[best], share[worst] - low[worst])
        ends = float(gap - below), float(min(gap + above, 1.0))
        n = min(int(cell.sum()) for cell in full.values())
        return self.number(quantity, float(gap), *ends, n, group=group, within=within)

    def number(
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
        """A row with a number and its interval."""
        names = (self.judge, self.attribute, quantity, group, within)
        return AuditRow(*names, value, low, high, n, n >= CLAIM, floor)

    def missing(self, quantity: str, reason: str, *, group: str = "", within: str = "") -> AuditRow:
        """A row without a number, and the reason."""
        names = (self.judge, self.attribute, quantity, group, within)
        return AuditRow(*names, np.nan, np.nan, np.nan, 0, claim=False, reason=reason)


def judge_audit(
    truth: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    strata: pd.DataFrame | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> list[AuditRow]:
    """The audit rows of every judge of a label table, on images with known groups.

    Args:
        truth: Columns ``key``, ``attribute`` and ``group``: the true group of each image. An optional column
            ``probability`` holds the inclusion probability of the image, equal for all attributes of a key.
        labels: Label table of these images, for one judge or several.
        taxonomy: Attribute to its groups, in the order of the probabilities.
        strata: Indexed by key, one column per stratification; empty where an image belongs to no stratum.
        draws: Resamples for the calibration error.
        seed: Seed of the resamples.

    Returns:
        Rows in a fixed order: by judge, attribute and quantity.

    Raises:
        EvenhandError: No labelled image has a known group, or a true group is not in the taxonomy.
    """
    return [
        row
        for seen in seen_by_judges(truth, labels, taxonomy=taxonomy, strata=strata)
        for row in (*_rates(seen), *_gaps(seen), _calibration(seen, draws=draws, seed=seed))
    ]


def seen_by_judges(
    truth: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    taxonomy: Mapping[str, Sequence[str]],
    strata: pd.DataFrame | None = None,
) -> list[Seen]:
    """The labels of every judge on every attribute with known groups; see :func:`judge_audit`.

    Raises:
        EvenhandError: As :func:`judge_audit`.
    """
    shown = truth.set_index(["key", "attribute"])["group"].unstack()
    for attribute in shown.columns:
        strange = set(shown[attribute].dropna()) - set(taxonomy.get(attribute, ()))
        if strange:
            raise EvenhandError(
                f"truth table: unknown group {min(strange)!r} of {attribute}; "
                f"groups: {', '.join(taxonomy.get(attribute, ()))}"
            )
    chance = pd.Series(1.0, index=shown.index)
    if "probability" in truth:
        chance = truth.drop_duplicates("key").set_index("key")["probability"].reindex(shown.index)
    parted = pd.DataFrame(index=shown.index) if strata is None else strata.reindex(shown.index)
    found = []
    for pair, part in labels.groupby(["judge", "attribute"], sort=True):
        judge, attribute = (str(name) for name in pair)
        if attribute in shown.columns and part["key"].isin(shown.index[shown[attribute].notna()]).any():
            found.append(_seen(part, shown, judge, attribute, taxonomy, parted, chance))
    if not found:
        raise EvenhandError("no labelled image is in the truth table; label the images of the truth table")
    return found


def _seen(
    part: pd.DataFrame,
    shown: pd.DataFrame,
    judge: str,
    attribute: str,
    taxonomy: Mapping[str, Sequence[str]],
    strata: pd.DataFrame,
    chance: pd.Series[float],
) -> Seen:
    groups = tuple(taxonomy[attribute])
    code = {group: number for number, group in enumerate(groups)}
    rows = part[part["key"].isin(shown.index[shown[attribute].notna()])].sort_values("key")
    keys = list(rows["key"])
    who, parts = shown.loc[keys].fillna(""), strata.loc[keys].fillna("")
    return Seen(
        judge=judge,
        attribute=attribute,
        groups=groups,
        keys=np.array(keys, object),
        truth=np.asarray(who[attribute].map(code), np.int64),
        said=np.asarray(rows["label"].map(code).where(rows["status"] == "ok", len(groups)), np.int64),
        probabilities=np.array(rows["probabilities"].tolist(), float).reshape(len(rows), len(groups) + 1),
        others={name: who[name].to_numpy(object) for name in taxonomy if name != attribute and name in who},
        strata={str(name): parts[name].to_numpy(object) for name in parts},
        weights=1 / chance.loc[keys].to_numpy(float),
    )


def _rates(seen: Seen) -> Iterator[AuditRow]:
    """Accuracy, and recall, false rate and abstention of every group, over all images and in every cell."""
    decided = seen.decided
    right = decided & (seen.said == seen.truth)
    yield seen.share("accuracy", right, decided)
    yield _balanced(seen)
    for within, here in seen.cells():
        for number, group in enumerate(seen.groups):
            own = here & (seen.truth == number)
            rest = here & (seen.truth != number) & decided
            about = {"group": group, "within": within}
            yield seen.share("recall", right, own & decided, **about)
            yield seen.share("false_rate", seen.said == number, rest, **about)
            yield seen.share("abstention", ~decided, own, **about)


def _balanced(seen: Seen) -> AuditRow:
    """Mean recall; its interval combines those of the recalls in quadrature (Zou and Donner 2008)."""
    cells = [seen.decided & (seen.truth == number) for number in range(len(seen.groups))]
    if not all(cell.any() for cell in cells):
        return seen.missing("balanced_accuracy", "a group has no decided image")
    count, worth = np.array([seen.counts(seen.said == seen.truth, cell) for cell in cells]).T
    (low, high), recall = wilson(count, worth), count / worth
    below, above = (float(np.linalg.norm(reach)) / len(cells) for reach in (recall - low, high - recall))
    value, n = float(recall.mean()), min(int(cell.sum()) for cell in cells)
    return seen.number("balanced_accuracy", value, value - below, value + above, n)


def _gaps(seen: Seen) -> Iterator[AuditRow]:
    """Gap of the recall of each group over the groups of every other attribute."""
    for name, who in seen.others.items():
        for number, group in enumerate(seen.groups):
            own = seen.decided & (seen.truth == number)
            cells = {str(other): own & (who == other) for other in sorted(set(who) - {""})}
            yield seen.gap("recall_gap", seen.said == seen.truth, cells, group=group, within=name)


def calibration_error(
    confidence: FloatArray, right: NDArray[np.bool_], weights: FloatArray | None = None
) -> FloatArray:
    """Mean over equal-count bins of ``|share of correct labels - mean confidence|``.

    Range 0 to 1; lower is better. The error is biased upwards: a perfectly calibrated judge does not score 0
    on few images, so compare it with its floor. It does not distinguish overconfidence from underconfidence.
    Source: Nguyen and O'Connor, arXiv 1508.05154 (adaptive bins).

    Args:
        confidence: ``(..., n)`` highest probabilities.
        right: ``(..., n)`` whether the label is correct.
        weights: ``(n,)`` or ``(..., n)`` weights of the images; equal if ``None``.
    """
    weight = np.ones_like(confidence) if weights is None else np.broadcast_to(weights, confidence.shape)
    order = np.argsort(confidence, axis=-1, kind="stable")
    excess = np.take_along_axis(weight * (np.asarray(right, float) - confidence), order, axis=-1)
    parts = np.array_split(excess, BINS, axis=-1)
    return np.asarray(sum(np.abs(part.sum(axis=-1)) for part in parts) / weight.sum(axis=-1))


def _calibration(seen: Seen, *, draws: int, seed: int) -> AuditRow:
    """Calibration error over the decided images, with its interval and floor."""
    decided = seen.decided
    n = int(decided.sum())
    if not n:
        return seen.missing("calibration_error", "no image is decided")
    confidence, weights = seen.probabilities[decided, :-1].max(axis=1), seen.weights[decided]
    right = seen.said[decided] == seen.truth[decided]
    value = float(calibration_error(confidence, right, weights))
    rng = stream(seed, "calibration error", seen.judge, seen.attribute)
    picks = rng.integers(n, size=(draws, n))
    drawn = recentred(calibration_error(confidence[picks], right[picks], weights[picks]), value)
    fair = calibration_error(
        np.broadcast_to(confidence, (draws, n)), rng.random((draws, n)) < confidence, weights
    )
    low, high = (float(end) for end in interval(drawn))
    return seen.number("calibration_error", value, max(low, 0.0), high, n, floor=float(fair.mean()))
