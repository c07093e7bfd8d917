"""The contract of a metric: a card, and one vectorised function of what was counted.

A metric is a frozen object registered under the entry-point group ``evenhand.metrics``, built-in or not.
A :class:`LabelMetric` is computed for every method, judge, attribute and joint attribute, with and without
correction for judge error; an :class:`ImageMetric` is the mean of a column of the image table. A metric only
defines the score of one row; intervals, floors, paired differences and ranks follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.representation import (
    FloatArray,
    mean_over,
    multinomial_noise,
    ratio,
    squared_deviation,
)


@dataclass(frozen=True)
class Tally:
    """The counts of a judge by row: a concept, or for explicit prompts the cell that the prompt names.

    Leading axes (bootstrap draws, simulated fair models) may precede the rows, so functions must work on the
    last axes.

    Attributes:
        shares: ``(..., R, K)`` shares of the decided images, on the simplex; ``nan`` without any.
        unbiased: ``(..., R, K)``, the same before a correction is forced onto the simplex.
        noise: ``(..., R)``, trace of the covariance of ``unbiased``; ``nan`` below two decided images.
        depicted: ``(..., R)``, decided images as a share of all images; may slightly exceed 1 if corrected.
        target: ``(R, K)``, the target shares of each row; ``(B, R, K)`` if they differ between draws.
        shape: Groups of each attribute of a joint attribute, ``(K,)`` for a single one.
        expected: ``(R,)`` or ``(B, R)``, index of the cell that the prompts of a row name; ``None`` for
            neutral prompts.
    """

    shares: FloatArray
    unbiased: FloatArray
    noise: FloatArray
    depicted: FloatArray
    target: FloatArray
    shape: Sequence[int]
    expected: NDArray[np.int64] | None = None

    @classmethod
    def of_counts(
        cls,
        counts: FloatArray,
        *,
        target: FloatArray,
        shape: Sequence[int],
        expected: NDArray[np.int64] | None = None,
    ) -> Self:
        """The tally of observed counts ``(..., R, K + 1)``, whose last column is undetermined images."""
        decided = counts[..., :-1]
        n = decided.sum(axis=-1)
        shares = ratio(decided, n[..., None])
        depicted = ratio(n, n + counts[..., -1])
        return cls(shares, shares, multinomial_noise(shares, n), depicted, target, shape, expected)

    @cached_property
    def squared_deviation(self) -> FloatArray:
        """``(..., R)``: the unbiased squared deviation ``V``, which several metrics use."""
        return squared_deviation(self.unbiased, self.target, self.noise)

    def as_asked(self) -> FloatArray:
        """``(..., R)``: share of decided images that show the cell that their prompt names.

        Raises:
            ValueError: The rows are of neutral prompts.
        """
        if self.expected is None:
            raise ValueError("rows of neutral prompts expect no group")
        cells = np.broadcast_to(self.expected, self.shares.shape[:-1])[..., None]
        return np.take_along_axis(self.shares, cells, axis=-1)[..., 0]


def unchanged(value: FloatArray) -> FloatArray:
    """The value itself; default of :attr:`Metric.finish`."""
    return value


def lowest(values: FloatArray) -> FloatArray:
    """Minimum over the last axis, ignoring ``nan``; for :attr:`Metric.reduce`."""
    found = np.where(np.isnan(values), np.inf, values).min(axis=-1)
    return np.asarray(np.where(np.isnan(values).all(axis=-1), np.nan, found))


def spread(values: FloatArray) -> FloatArray:
    """Maximum minus minimum over the last axis, ignoring ``nan``; for :attr:`Metric.reduce`."""
    return np.asarray(-lowest(-values) - lowest(values))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The card of a metric.

    Attributes:
        name: Name in tables and suites.
        title: Title in reports.
        unit: Unit, ``"1"`` for a ratio or share.
        low: Lower end of its range.
        high: Upper end; ``inf`` if unbounded.
        better: Which direction is better; empty if neither is.
        formula: Formula as plain text.
        cannot_tell: Limits of the metric.
        source: Publication of the metric.
        kinds: Kinds of prompts that it is measured on.
        reduce: Function from the values of the rows ``(..., R)`` to the aggregate.
        finish: Monotone function applied last to rows and aggregate, such as a square root.
        minimum: Smallest true value before ``finish``; an unbiased estimate can lie below it by chance.
        interval: Whether it has an interval. False for a function of shares that sampling noise moves away
            from its value for a fair model: percentiles of its bootstrap draws never contain that value.
    """

    name: str
    title: str
    unit: str = "1"
    low: float = 0.0
    high: float = 1.0
    better: Literal["lower", "higher", ""]
    formula: str
    cannot_tell: str
    source: str
    kinds: tuple[str, ...]
    reduce: Callable[[FloatArray], FloatArray] = mean_over
    finish: Callable[[FloatArray], FloatArray] = unchanged
    minimum: float = -np.inf
    interval: bool = True

    @property
    def of_extremes(self) -> bool:
        """Whether the aggregate is the lowest row or the range of the rows.

        Sampling noise moves both away from their true values, and bootstrap draws move them again, so their
        interval follows from intervals of all rows.
        """
        return self.reduce in (lowest, spread)

    @property
    def ranked(self) -> bool:
        """Whether methods are ranked, and judges compared, by bootstrap draws of the aggregate."""
        return self.interval and not self.of_extremes

    @property
    def compared(self) -> bool:
        """Whether methods are compared by paired differences.

        Differences need an interval, and values before :attr:`finish`: those after a root are biased, most
        for the fairest methods.
        """
        return self.interval and self.finish is unchanged


@dataclass(frozen=True, kw_only=True)
class LabelMetric(Metric):
    """A metric of labels.

    Attributes:
        of: Function from a tally to the score of every row: ``(..., R)``, or ``(..., R, K)`` if ``by_group``.
        by_group: Whether each group has a value.
        joint_only: Whether it needs at least two attributes.
        single_only: Whether it is for one attribute, not for the cells of several.
        floor: Whether to report the expected value of a perfectly fair model at the same number of images.
        correctable: Whether correction for judge error changes it.
        over: The images counted as ``n``: decided images or all images.
    """

    of: Callable[[Tally], FloatArray]
    by_group: bool = False
    joint_only: bool = False
    single_only: bool = False
    floor: bool = False
    correctable: bool = True
    over: Literal["decided", "all"] = "decided"


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A mean over the images of each row that have a value in ``column`` of the image table.

    Attributes:
        column: Name of the column; ``preservation_distance`` is computed from the embeddings.
    """

    column: str
