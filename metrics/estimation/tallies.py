"""From counted labels to tallies, uncorrected or corrected for the judge's errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evenhand.metrics.base import LabelMetric, Tally
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
from evenhand.metrics.representation import (
    FloatArray,
    by_group,
    mean_over,
    multinomial_noise,
    ratio,
)
from evenhand.metrics.statistics.uncertainty import FLOOR_DRAWS, fair_tables, recentred, stream


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
        if metric.joint_only and len(self.view.attributes) == 1:
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
        shares = likeliest_shares(decided, self.calibration.matrix)
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

    def supposed(self, counts: FloatArray, *, target: FloatArray | None = None) -> Tally:
        """The tally of hypothetical counts ``(..., R, K + 1)``, with the estimated matrix.

        Args:
            counts: Images by label, the last undetermined.
            target: ``(R, K)`` target shares; the view's target if ``None``.
        """
        known = self.calibration
        tally = self._as_seen(counts) if known is None else self._corrected(counts, known.inverse)
        return tally if target is None else replace(tally, target=target)

    def floor(self, metric: LabelMetric, n: FloatArray) -> FloatArray:
        """Values ``(F, R)``, before :attr:`Metric.finish`, of simulated fair models with ``n`` images."""
        models, place = np.unique(
            np.column_stack([n.astype(int), self.view.target]), axis=0, return_inverse=True
        )
        known = models.tobytes()
        if known not in self._fair:
            self._fair[known] = self._fair_tally(models[:, 0], models[:, 1:])
        values = metric.of(self._fair[known])
        # Rows of equal n use different simulated models, so that their errors average out over rows.
        replicate = (np.arange(FLOOR_DRAWS)[:, None] + np.arange(len(n))) % FLOOR_DRAWS
        return np.asarray(values[replicate, place])

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
        decided = counts[..., :-1]
        n = decided.sum(axis=-1)
        shares = ratio(decided, n[..., None])
        return self._tally(shares, shares, multinomial_noise(shares, n), _decided_share(counts, n))

    def _corrected(self, counts: FloatArray, inverse: Inverse) -> Tally:
        unbiased, noise, depicted, n = invert(counts[..., :-1], inverse)
        return self._tally(project_simplex(unbiased), unbiased, noise, depicted * _decided_share(counts, n))

    def _tally(
        self, shares: FloatArray, unbiased: FloatArray, noise: FloatArray, depicted: FloatArray
    ) -> Tally:
        view = self.view
        return Tally(shares, unbiased, noise, depicted, view.target, view.shape, view.expected)


def _decided_share(counts: FloatArray, decided: FloatArray) -> FloatArray:
    return ratio(decided, decided + counts[..., -1])
