"""RMSDelta in words: how often two images of one concept show the same group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from evenhand.bench.results.result import EstimateRow, Spec

EVEN = 1e-6
"""Target shares that differ by less count as even."""


@dataclass(frozen=True)
class MatchingPairs:
    """The share of pairs of images of one concept that show the same group, mean over the concepts.

    Attributes:
        value: The share, from ``even`` to 1.
        low: Lower end of its 95% interval.
        high: Upper end.
        even: The share if every group were equally frequent: one over the number of groups.
    """

    value: float
    low: float
    high: float
    even: float


def even_agreement(attributes: str, spec: Spec) -> float | None:
    """The share of matching pairs with even shares: one over the number of groups.

    ``None`` where the target is not even, because RMSDelta then does not follow from the matching pairs.
    """
    groups = [spec.attributes.get(name, []) for name in attributes.split("*")]
    cells = ["*".join(parts) for parts in product(*groups)]
    targets = [
        spec.target_share(attributes, cell, concept=concept)
        for cell in cells
        for concept in (spec.targets or [""])
    ]
    return 1 / len(cells) if targets and max(targets) - min(targets) < EVEN else None


def matching_pairs(row: EstimateRow, spec: Spec) -> MatchingPairs | None:
    """The matching pairs that an RMSDelta stands for; ``None`` where the target is not even.

    Two images of a concept with shares ``p`` agree with probability ``s = sum_k p_k^2``, and with ``1 / K``
    if the ``K`` groups are equally frequent. For this target ``|p - q|^2 = s - 1 / K``, whose largest value
    is ``1 - 1 / K``. The square of RMSDelta is therefore ``(s - 1 / K) / (1 - 1 / K)``, with the mean of
    ``s`` over the concepts, and ``s`` follows from it exactly.

    For another target ``|p - q|^2`` also depends on which groups are too frequent: it is the agreement within
    the model plus the agreement within the target minus twice the agreement between the two. No single share
    of pairs says that.

    Args:
        row: An estimate of RMSDelta.
        spec: The specification of its result, with the target.
    """
    even = even_agreement(row.attributes, spec)
    if even is None or not math.isfinite(row.value):
        return None
    value, low, high = (even + (1 - even) * end * end for end in (row.value, row.low, row.high))
    return MatchingPairs(value, low, high, even)
