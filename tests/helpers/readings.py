"""Readings of results with chosen estimates."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.report import CELLS, JOINT, a_result, a_spec, an_estimate

from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import EstimateRow

FEW = ("nurse", "cook", "CEO")


def a_reading(label: str, *estimates: EstimateRow, concepts: Sequence[str] = FEW, **spec: object) -> Reading:
    """A method with only these estimates; ``spec`` changes fields of its specification."""
    result = a_result(label, concepts=concepts)
    changes: dict[str, object] = {"estimates": list(estimates)}
    if spec:
        changes["spec"] = a_spec(label, concepts=concepts, **spec)
    return Reading.of(result.model_copy(update=changes))


def shares_of(label: str, **shares: float) -> Reading:
    """A method with these shares of the first joint cells, in their order, each with an interval of ±0.02."""
    rows = [
        an_estimate("share", share, attributes=JOINT, group=cell, low=share - 0.02, high=share + 0.02)
        for cell, share in zip(CELLS, shares.values(), strict=False)
    ]
    return a_reading(label, *rows)
