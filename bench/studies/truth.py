"""The models of the study, whose distributions are known, and the true value of every metric."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.mini.law import TAXONOMIES, law
from evenhand.metrics.representation import FloatArray, largest_squared_distance, uniform

ALL = tuple(TAXONOMIES)

MILDNESS = 0.75
"""Weight of the uniform distribution in the mixture that is the debiased model."""


@cache
def models() -> dict[str, FloatArray]:
    """Models to P(joint cell | occupation), ``(40, 12)``: biased, and mixed with the uniform distribution."""
    base = law(ALL).reshape(len(law(ALL)), -1)
    return {"base": base, "debiased": (1 - MILDNESS) * base + MILDNESS / base.shape[1]}


@cache
def sides() -> NDArray[np.int64]:
    """Stereotype of each occupation, ``(40,)``: 1 if the base model generates more women than men, else 0."""
    return (law(("gender",))[:, 0] > 0.5).astype(np.int64)


def shares(model: str, attributes: Sequence[str], occupations: NDArray[np.int64]) -> FloatArray:
    """True shares ``(R, K)`` of the occupations of a model."""
    joint = models()[model][occupations].reshape(-1, *(len(groups) for groups in TAXONOMIES.values()))
    out = tuple(1 + place for place, name in enumerate(ALL) if name not in attributes)
    return np.asarray(joint.sum(axis=out).reshape(len(joint), -1))


def true_value(metric: str, model: str, attributes: Sequence[str], occupations: NDArray[np.int64]) -> float:
    """The value of a metric for infinitely many images and judges without errors."""
    known = shares(model, attributes, occupations)
    if metric == "share":
        return float(known[:, 0].mean())
    target = uniform(known.shape[1])
    squared = ((known - target) ** 2).sum(axis=1) / largest_squared_distance(target)
    return float(np.sqrt(squared.mean()))
