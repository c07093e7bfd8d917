"""Comparisons of methods with the baseline, made of chosen differences."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.report import ATTRIBUTES, JOINT, a_result

from evenhand.bench.results.comparison import Comparison, DifferenceRow, FlipRow, Pair, Side
from evenhand.bench.results.lookup import Reading


def difference(label: str, value: float, *, corrected: bool = False, **where: object) -> DifferenceRow:
    """A difference to the baseline in the square of the primary number."""
    fields = {
        "label": label,
        "against": "base",
        "metric": "excess_agreement",
        "attributes": JOINT,
        "kind": "neutral",
        "judge": "panel",
        "corrected": corrected,
        "value": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "n": 8,
        "unit": "1",
    }
    return DifferenceRow.model_validate(fields | where)


def flips(label: str, table: Sequence[Sequence[int]], **where: object) -> FlipRow:
    """Changes of the perceived gender: images by group of the baseline, then of the method."""
    n = sum(map(sum, table))
    moved = n - sum(line[place] for place, line in enumerate(table))
    changed = moved / n if n else float("nan")
    fields = {
        "label": label,
        "against": "base",
        "attribute": "gender",
        "groups": ["woman", "man"],
        "table": [list(line) for line in table],
        "changed": changed,
        "low": changed - 0.05,
        "high": changed + 0.05,
        "n": n,
        "p": 0.01,
        "p_adjusted": 0.02,
    }
    return FlipRow.model_validate(fields | where)


def compared(*rows: DifferenceRow, methods: Sequence[str] = ("mist", "uce"), **changes: object) -> Comparison:
    """A comparison of methods with the baseline."""
    fields = {
        "evenhand": "0.1",
        "sides": [Side(run="r", method=m, images=8, result=a_result(m)) for m in ("base", *methods)],
        "pairs": [Pair(label=label, against="base", same_images=False) for label in methods],
        "prompts": 2,
        "shared": 8,
        "concepts": ["nurse"],
        "attributes": ATTRIBUTES,
        "primary": JOINT,
        "same_noise": True,
        "differences": list(rows),
        "flips": [],
        "caveats": [],
        "notes": [],
    }
    return Comparison.model_validate(fields | changes)


def readings_of(comparison: Comparison) -> dict[str, Reading]:
    """Label of a side to its reading."""
    return {side.label: Reading.of(side.result) for side in comparison.sides}
