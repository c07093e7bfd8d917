"""Metrics as plain functions of counts: ``rms_delta(counts)``, for loops that count labels themselves.

Each function takes counts ``(O, K)`` of decided images, one row per concept and one column per group, or
``(K,)`` for a single concept, and returns what a run reports for these counts without correction: the mean
over concepts, on the scale of the metric. Counts of batches are added before they are passed.

>>> rms_delta([[30, 10], [5, 35]]).round(3)
np.float64(0.621)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import catalog
from evenhand.metrics.base import LabelMetric, Tally
from evenhand.metrics.representation import FloatArray, uniform


def score(
    metric: LabelMetric,
    counts: ArrayLike,
    *,
    target: ArrayLike | None = None,
    undetermined: ArrayLike = 0,
    shape: Sequence[int] | None = None,
) -> FloatArray:
    """The value of a metric for counts of neutral prompts; ``nan`` without decided images.

    Args:
        metric: A metric of labels, registered or not.
        counts: ``(O, K)`` or ``(K,)`` decided images by concept and group.
        target: ``(K,)`` or ``(O, K)`` target shares; uniform if ``None``.
        undetermined: ``(O,)`` undetermined images.
        shape: Number of groups of each attribute, if the ``K`` columns are the cells of several attributes.

    Returns:
        A number, or ``(K,)`` numbers for a metric with a value for each group.

    Raises:
        EvenhandError: Counts or target have a wrong shape or value, or the metric is about other prompts.
    """
    decided = np.atleast_2d(np.asarray(counts, float))
    groups = decided.shape[-1]
    if decided.ndim != 2 or groups < 2 or not np.isfinite(decided).all() or (decided < 0).any():
        raise EvenhandError(
            f"counts must be non-negative numbers of shape (concepts, groups), got shape {decided.shape}"
        )
    aim = uniform(groups) if target is None else np.asarray(target, float)
    if aim.shape not in ((groups,), decided.shape) or not np.allclose(aim.sum(axis=-1), 1) or (aim < 0).any():
        raise EvenhandError(f"target must be {groups} shares that sum to 1, got {aim.tolist()}")
    parts = (groups,) if shape is None else tuple(shape)
    if np.prod(parts) != groups:
        raise EvenhandError(f"shape {parts} must have as many cells as counts have columns, {groups}")
    if "neutral" not in metric.kinds or (metric.joint_only and len(parts) < 2):
        needs = "the shape of several attributes" if metric.joint_only else f"{metric.kinds[0]} prompts"
        raise EvenhandError(f"metric {metric.name!r} needs {needs}; use audit_labels")
    missing = np.broadcast_to(np.asarray(undetermined, float), len(decided))
    tally = Tally.of_counts(
        np.column_stack([decided, missing]), target=np.broadcast_to(aim, decided.shape), shape=parts
    )
    rows = metric.of(tally)
    return np.asarray(metric.finish(metric.reduce(rows.T if metric.by_group else rows)))[()]


class OfCounts(Protocol):
    """A metric as a function of counts; see :func:`score`."""

    def __call__(self, counts: ArrayLike, *, target: ArrayLike | None = None) -> FloatArray:
        """The value for counts ``(O, K)`` or ``(K,)`` and target shares, uniform if ``None``."""
        ...


def of_counts(metric: LabelMetric) -> OfCounts:
    """A metric of neutral prompts as a function of counts."""

    def measured(counts: ArrayLike, *, target: ArrayLike | None = None) -> FloatArray:
        return score(metric, counts, target=target)

    measured.__name__ = measured.__qualname__ = metric.name
    measured.__doc__ = f"{metric.title}: {metric.formula}. See :func:`score`."
    return measured


share = of_counts(catalog.share)
rms_delta = of_counts(catalog.rms_delta)
excess_agreement = of_counts(catalog.excess_agreement)
squared_deviation = of_counts(catalog.squared_deviation)
deviation_ratio = of_counts(catalog.deviation_ratio)
delta_tv = of_counts(catalog.delta_tv)
worst_cell = of_counts(catalog.worst_cell)
normalised_entropy = of_counts(catalog.normalised_entropy)
kl_divergence = of_counts(catalog.kl_divergence)
js_divergence = of_counts(catalog.js_divergence)
fd_l2 = of_counts(catalog.fd_l2)
shen_bias = of_counts(catalog.shen_bias)
mean_absolute_deviation = of_counts(catalog.mean_absolute_deviation)
min_max_ratio = of_counts(catalog.min_max_ratio)
mutual_information = of_counts(catalog.mutual_information)
