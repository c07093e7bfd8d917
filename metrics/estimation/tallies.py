"""From counted labels to tallies, uncorrected or corrected for the judge's errors, and to possible tallies.

Resampling images that are all alike shows no variation. The exact bound ``1 - 0.05^(1/n)`` on the share of an
outcome that was seen in none of ``n`` images takes its place. Images count as independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, permutations

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.base import LabelMetric, Tally, lowest
from evenhand.metrics.correction.calibration import Calibration
from evenhand.metrics.correction.correction import (
    Inverse,
    corrected_shares,
    invert,
    likeliest_shares,
    project_simplex,
    seen_by_judge,
)
from evenhand.metrics.estimation.views import View
from evenhand.metrics.fairness.intersectional import MISS, unseen_bound
from evenhand.metrics.representation import (
    FloatArray,
    by_group,
    mean_over,
    ratio,
    shares_of,
)
from evenhand.metrics.statistics.uncertainty import FLOOR_DRAWS, fair_tables, recentred, stream

STEPS = 8
"""Number of points at which a metric is evaluated between the observed counts and the bound."""

BLOCK = 2**17
"""Numbers per block of resampled counts, chosen to fit into a processor's cache."""


@dataclass(frozen=True)
class Reading:
    """One judge's labels under one view, uncorrected or corrected.

    Attributes:
        view: The images and the attributes.
        judge: The judge.
        calibration: The judge's confusion matrix; ``None`` for uncorrected labels.
        seed: Seed of the simulated fair models.
    """

    view: View
    judge: str
    calibration: Calibration | None
    seed: int

    @cached_property
    def _fair(self) -> dict[bytes, Tally]:
        return {}

    def reads(self, metric: LabelMetric) -> bool:
        """Whether the metric applies to this kind of prompts, these attributes and this correction."""
        joint = len(self.view.attributes) > 1
        if (metric.joint_only and not joint) or (metric.single_only and joint):
            return False
        return self.view.kind in metric.kinds and (metric.correctable or self.calibration is None)

    def point(self, counts: FloatArray) -> Tally:
        """The tally of the observed counts.

        Corrected shares maximise the likelihood on the simplex. The noise of the unbiased shares includes the
        sampling error of the anchors, which all rows share.

        Args:
            counts: ``(R, K + 1)`` images by label, the last undetermined.
        """
        if self.calibration is None:
            return self._as_seen(counts)
        tally = self._corrected(counts, self.calibration.inverse)
        decided = counts[..., :-1]
        scatter = recentred(corrected_shares(decided, self.calibration.inverses), 0.0) ** 2
        anchors = mean_over(np.moveaxis(scatter, 0, -1)).sum(axis=-1)
        shares = likeliest_shares(decided, self.calibration.matrix, inverse=self.calibration.inverse)
        return self._tally(shares, tally.unbiased, tally.noise + anchors, tally.depicted)

    def resampled(self, counts: FloatArray, *, draws: slice = slice(None)) -> Tally:
        """The tallies of bootstrap draws ``(B, R, K + 1)``, each with its own resampled anchors.

        Args:
            counts: Images by label, the last undetermined.
            draws: Which of all draws the counts belong to.
        """
        if self.calibration is None:
            return self._as_seen(counts)
        return self._corrected(counts, self.calibration.inverses[draws])

    def of_drawn_rows(self, counts: FloatArray, *, draws: slice) -> Tally:
        """The tallies of :meth:`resampled` if rows were drawn as well: each has the target of its own row."""
        tally, rows = self.resampled(counts, draws=draws), self.view.resamples.picks
        if rows is None:
            return tally
        if (tally.target != tally.target[:1]).any():
            tally = replace(tally, target=tally.target[rows[draws]])
        if tally.expected is not None:
            tally = replace(tally, expected=tally.expected[rows[draws]])
        return tally

    def kept(self, counts: FloatArray, *, draws: slice) -> Tally:
        """The tallies ``(b, R, ...)`` of rows that keep their images, each with its draw's resampled anchors.

        Without a correction, all draws have the same tally, which is ``(1, R, ...)``.

        Args:
            counts: ``(R, K + 1)`` images by label, the last undetermined.
            draws: The ``b`` draws.
        """
        if self.calibration is None:
            return self._as_seen(by_group(counts[None]))
        return self._corrected(counts, self.calibration.inverses[draws])

    def supposed(self, counts: FloatArray, *, target: FloatArray | None = None) -> Tally:
        """The tally of hypothetical counts ``(..., R, K + 1)``, with the estimated matrix.

        Args:
            counts: Images by label, the last undetermined.
            target: ``(R, K)`` target shares; the view's target if ``None``.
        """
        known = self.calibration
        tally = self._as_seen(counts) if known is None else self._corrected(counts, known.inverse)
        return tally if target is None else replace(tally, target=target)

    def fair_models(self, n: FloatArray) -> FairModels:
        """Simulated fair models whose rows have ``n (R,)`` decided images."""
        models, place = np.unique(
            np.column_stack([n.astype(int), self.view.target]), axis=0, return_inverse=True
        )
        known = models.tobytes()
        if known not in self._fair:
            self._fair[known] = self._fair_tally(models[:, 0], models[:, 1:])
        # Rows of equal n use different simulated models, so that their errors average out over rows.
        replicate = (np.arange(FLOOR_DRAWS)[:, None] + np.arange(len(n))) % FLOOR_DRAWS
        return FairModels(self._fair[known], replicate * len(models) + place)

    def _fair_tally(self, n: FloatArray, target: FloatArray) -> Tally:
        """The tally of simulated models at the target ``(U, K)`` with ``n (U,)`` decided images."""
        seen = target
        if self.calibration is not None:
            matrix = self.calibration.matrix
            seen = np.stack([seen_by_judge(shares, matrix) for shares in target])
        rng = stream(self.seed, "floor", self.view.name)
        decided = fair_tables(n, seen, draws=FLOOR_DRAWS, rng=rng)
        counts = by_group(np.concatenate([decided, np.zeros((*decided.shape[:-1], 1))], axis=-1))
        return self.supposed(counts, target=target)

    def _as_seen(self, counts: FloatArray) -> Tally:
        view = self.view
        return Tally.of_counts(counts, target=view.target, shape=view.shape, expected=view.expected)

    def _corrected(self, counts: FloatArray, inverse: Inverse) -> Tally:
        unbiased, noise, depicted, n = invert(counts[..., :-1], inverse)
        return self._tally(project_simplex(unbiased), unbiased, noise, depicted * _decided_share(counts, n))

    def _tally(
        self, shares: FloatArray, unbiased: FloatArray, noise: FloatArray, depicted: FloatArray
    ) -> Tally:
        view = self.view
        return Tally(shares, unbiased, noise, depicted, view.target, view.shape, view.expected)


@dataclass(frozen=True)
class FairModels:
    """Simulated perfectly fair models, from which floors follow.

    Attributes:
        tally: The tally ``(F, U, ...)`` of all distinct rows, each with its target and number of images.
        place: ``(F, R)`` position of every row's value among the ``F * U`` values of a metric.
    """

    tally: Tally
    place: NDArray[np.int64]

    def values(self, metric: LabelMetric) -> FloatArray:
        """Values ``(F, R)`` before :attr:`Metric.finish`."""
        return np.take(metric.of(self.tally), self.place)


@dataclass(frozen=True)
class Counted:
    """Images of one method by row and label, the last label undetermined.

    Attributes:
        point: ``(R, K + 1)`` counts.
        within: ``(B, R, K + 1)`` counts resampled within rows; ``None`` if neither rows nor extremes need
            them.
        across: ``(B, R, K + 1)`` counts with rows resampled as well; ``None`` if drawn rows keep their
            images.
    """

    point: FloatArray
    within: FloatArray | None
    across: FloatArray | None


def draws_of(
    metrics: Sequence[LabelMetric], reading: Reading, counted: Counted, *, by_row: bool
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Metric with an interval to its draws of the aggregate, and to those of the rows.

    Rows have draws if they are reported, or if a metric is one of extremes. Draws of an aggregate are
    ``(B,)`` or ``(K, B)``, and those of rows ``(B, R)`` or ``(K, B, R)``.
    """
    drawn = [metric for metric in metrics if metric.interval]
    names = [metric.name for metric in drawn]
    rows: dict[str, FloatArray] = {}
    if counted.within is not None and (by_row or any(metric.of_extremes for metric in drawn)):
        parts = zip(*_of_counts(drawn, reading.resampled, counted.within), strict=True)
        rows = dict(zip(names, (np.concatenate(each, axis=-2) for each in parts), strict=True))
        if counted.across is counted.within:
            return {metric.name: metric.reduce(rows[metric.name]) for metric in drawn}, rows
    blocks = (
        _of_chosen(drawn, reading, counted.point)
        if counted.across is None
        else _of_counts(drawn, reading.of_drawn_rows, counted.across)
    )
    # Reduced block by block: all draws of all rows together do not fit into a processor's cache.
    reduced = ([metric.reduce(each) for metric, each in zip(drawn, block, strict=True)] for block in blocks)
    parts = zip(*reduced, strict=True)
    return dict(zip(names, (np.concatenate(each, axis=-1) for each in parts), strict=True)), rows


def _of_counts(
    metrics: Sequence[LabelMetric], tally: Callable[..., Tally], counts: FloatArray
) -> Iterator[list[FloatArray]]:
    """The values of each metric from counts ``(B, R, K + 1)``, block by block."""
    for draws in _blocks(len(counts), counts[0].size):
        yield _scored(metrics, tally(counts[draws], draws=draws))


def _of_chosen(
    metrics: Sequence[LabelMetric], reading: Reading, point: FloatArray
) -> Iterator[list[FloatArray]]:
    """The values of each metric if drawn rows keep their images ``(R, K + 1)``, block by block."""
    resamples = reading.view.resamples
    values: list[FloatArray] = []
    for draws in _blocks(resamples.draws, point.size):
        if not values or reading.calibration is not None:
            values = _scored(metrics, reading.kept(point, draws=draws))
        yield [resamples.chosen(each, draws=draws) for each in values]


def _blocks(draws: int, size: int) -> Iterator[slice]:
    """The draws, of ``size`` numbers each, in blocks of :data:`BLOCK` numbers."""
    blocks = -(-draws * size // BLOCK)
    ends = [draws * block // blocks for block in range(blocks + 1)]
    return (slice(start, stop) for start, stop in pairwise(ends))


def _scored(metrics: Sequence[LabelMetric], tally: Tally) -> list[FloatArray]:
    """The values ``(b, R)`` or ``(K, b, R)`` of each metric; metrics with the same function share them."""
    known: dict[object, FloatArray] = {}
    for metric in metrics:
        if metric.of not in known:
            values = metric.of(tally)
            known[metric.of] = np.moveaxis(values, -1, 0) if metric.by_group else values
    return [known[metric.of] for metric in metrics]


def _decided_share(counts: FloatArray, decided: FloatArray) -> FloatArray:
    return ratio(decided, decided + counts[..., -1])


@dataclass(frozen=True)
class Seen:
    """The labels from which a series was computed.

    Attributes:
        metric: The metric.
        reading: The judge, the view and the correction.
        counts: ``(R, K + 1)`` images by row and label, the last undetermined.
        n: ``(R,)`` images that the metric counts.
        group: Place of the group that the series is about; ``None`` if the metric is not by group.
    """

    metric: LabelMetric
    reading: Reading
    counts: FloatArray
    n: FloatArray
    group: int | None = None


def evidence(metric: LabelMetric, n: FloatArray) -> FloatArray:
    """Images ``(R,)`` behind the bound on each row of an aggregate, from the images ``(R,)`` of the rows.

    All images together stand behind a mean of rows. Behind a minimum stand the images of its row alone,
    because one row suffices to lower it.
    """
    return np.full(len(n), n.sum()) if metric.reduce is mean_over else n


def extremes(reading: Reading, counts: FloatArray, n: FloatArray, *, together: int = 1) -> Tally:
    """Tallies ``(2 STEPS, R, ...)`` in which outcomes unseen in ``n (R,)`` images reach their 95 % bound.

    ``together`` bounds shall all hold in 95 %.

    The first ``STEPS`` tallies raise groups without an image, in proportion to their targets. The others
    raise undetermined images, or decided ones if all are undetermined. A metric need not be monotone on the
    way to the bound, hence several steps.
    """
    decided, undetermined = counts[:, :-1], counts[:, -1:]
    most = unseen_bound(n, miss=MISS / together)[:, None]
    some = most * np.linspace(1, 0, STEPS, endpoint=False)[:, None, None]
    missing = np.where(decided == 0, reading.view.target, 0.0)
    filled = (1 - some) * decided + some * decided.sum(axis=-1, keepdims=True) * shares_of(missing)
    filled = np.where(missing.any(axis=-1, keepdims=True), filled, decided)
    total = counts.sum(axis=-1, keepdims=True)
    aimed = np.pad(reading.view.target, [(0, 0), (0, 1)])
    fewer, more = (1 - some) * counts, some * total * aimed
    lost = fewer + some * total * np.eye(counts.shape[1])[-1]
    either = np.where(undetermined == 0, lost, np.where(undetermined == total, fewer + more, counts))
    kept = np.broadcast_to(undetermined, (STEPS, *undetermined.shape))
    return reading.supposed(np.concatenate([np.concatenate([filled, kept], axis=-1), either]))


def reach(seen: Seen) -> float:
    """How far the aggregate can move by changes of labels that no pair of images shows.

    It is the largest :func:`row_reach`, because all changes may be in one row.
    """
    return float(-lowest(-row_reach(seen, evidence(seen.metric, seen.n))))


def row_reach(seen: Seen, n: FloatArray) -> FloatArray:
    """How far each row ``(R,)`` can move by changes of labels that no pair of images shows.

    If two methods label ``n`` pairs of images alike, the share of pairs that they label differently is at
    most ``1 - 0.05^(1/n)``, the exact bound. The value moves farthest if all of these images go from one
    label to another; every two labels are tried, half way and the whole way. For a share the result is at
    most the bound itself. Rows without images have no reach (``nan``).

    Args:
        seen: The labels of either method, for a metric with an interval.
        n: ``(R,)`` pairs behind the bound of each row, see :func:`evidence`.
    """
    labels = seen.counts.shape[1]
    source, goal = np.array(list(permutations(range(labels), 2))).T
    step = np.eye(labels)[goal] - np.eye(labels)[source]
    most = np.minimum(unseen_bound(n) * seen.n, seen.counts[:, source].T)
    changed = np.concatenate([0.5 * most, most])[..., None] * np.concatenate([step, step])[:, None]
    moved, still = (
        seen.metric.of(seen.reading.supposed(counts)) for counts in (seen.counts + changed, seen.counts)
    )
    away = np.abs(moved - still)
    return -lowest(-np.moveaxis(away if seen.group is None else away[..., seen.group], 0, -1))
