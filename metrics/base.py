"""The contract of a metric: a card, and one vectorised function of what was counted.

A metric is a frozen object under the entry-point group ``evenhand.metrics``; built-ins use the same door.
A :class:`LabelMetric` is computed for every method, judge, attribute and joint attribute, with and without
the judge's correction; a :class:`ImageMetric` is the mean of a column of the image table. Intervals,
floors, paired differences and ranks come with either: a metric only says how one row is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.representation import FloatArray, mean_over, squared_deviation


@dataclass(frozen=True)
class Tally:
    """What a judge found, by row: a concept, or for explicit prompts the cell that was asked for.

    Leading axes (bootstrap draws, simulated fair models) may precede the rows; a function that works on the
    last axes works on all of them.

    Attributes:
        shares: ``(..., R, K)`` shares of the decided images, on the simplex; ``nan`` without any.
        unbiased: ``(..., R, K)``, the same before a correction is forced onto the simplex.
        noise: ``(..., R)``, trace of the covariance of ``unbiased``; ``nan`` below two decided images.
        depicted: ``(..., R)``, images on which somebody is depicted, as a share of all: the decided ones,
            or their corrected number (then it may slightly exceed 1).
        target: ``(R, K)``, the shares aimed at in each row.
        shape: Groups of each attribute of a joint attribute, ``(K,)`` for a single one.
        expected: ``(R,)``, index of the cell that a row's prompts ask for; ``None`` for neutral prompts.
    """

    shares: FloatArray
    unbiased: FloatArray
    noise: FloatArray
    depicted: FloatArray
    target: FloatArray
    shape: Sequence[int]
    expected: NDArray[np.int64] | None = None

    @cached_property
    def squared_deviation(self) -> FloatArray:
        """``(..., R)``: the unbiased squared deviation ``V``, of which several metrics are made."""
        return squared_deviation(self.unbiased, self.target, self.noise)

    def as_asked(self) -> FloatArray:
        """``(..., R)``: share of decided images that show the cell asked for.

        Raises:
            ValueError: The rows ask for nothing.
        """
        if self.expected is None:
            raise ValueError("rows of neutral prompts expect no group")
        return np.asarray(self.shares[..., np.arange(len(self.expected)), self.expected])


def unchanged(value: FloatArray) -> FloatArray:
    """The default :attr:`Metric.finish`."""
    return value


def lowest(values: FloatArray) -> FloatArray:
    """Smallest value over the last axis; ``nan`` only where none exists. A :attr:`Metric.reduce`."""
    least = np.where(np.isnan(values), np.inf, values).min(axis=-1)
    return np.asarray(np.where(np.isnan(values).all(axis=-1), np.nan, least))


def spread(values: FloatArray) -> FloatArray:
    """Largest minus smallest value over the last axis; ``nan`` where none exists. A :attr:`Metric.reduce`."""
    return np.asarray(-lowest(-values) - lowest(values))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The card of a metric.

    Attributes:
        name: Name in tables and suites.
        title: What a reader sees.
        unit: Unit, ``"1"`` for a ratio or share.
        low: Lower end of its range.
        high: Upper end; ``inf`` if there is none.
        better: Which end is good; empty where neither is.
        formula: In plain text.
        cannot_tell: What the number does not say.
        source: Paper or section.
        kinds: Kinds of prompts that it is measured on.
        reduce: From the rows' values ``(..., R)`` to the aggregate.
        finish: Monotone last step of rows and aggregate, such as a square root.
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


@dataclass(frozen=True, kw_only=True)
class LabelMetric(Metric):
    """A metric of labels.

    Attributes:
        of: Scores every row of a tally: ``(..., R)``, or ``(..., R, K)`` if ``by_group``.
        by_group: Whether every group has a value of its own.
        joint_only: Whether it needs at least two attributes.
        floor: Whether a perfectly fair model's value at the same number of images is to be shown.
        correctable: Whether correcting the judge's errors changes it.
        over: Which images are its ``n``: the decided ones, or all.
    """

    of: Callable[[Tally], FloatArray]
    by_group: bool = False
    joint_only: bool = False
    floor: bool = False
    correctable: bool = True
    over: Literal["decided", "all"] = "decided"


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A mean over the images of each row that have a value in ``column`` of the image table.

    Attributes:
        column: Name of the column; ``preservation_distance`` is made from the embeddings.
    """

    column: str
