"""Outcomes on fresh noise with synthetic numbers."""

from __future__ import annotations

from typing import Any

from evenhand.bench.results.fresh import Agreement, FamilyGap, Fresh
from evenhand.bench.results.result import Result

SALT = "5a" * 32


def an_agreement(**changes: Any) -> Agreement:
    """A submission that agrees with fresh noise."""
    fields = {
        "attributes": "gender*tone*age",
        "submitted": 0.2,
        "fresh": 0.21,
        "difference": 0.01,
        "low": -0.02,
        "high": 0.04,
        "concepts": 35,
    }
    return Agreement.model_validate(fields | changes)


def a_gap(**changes: Any) -> FamilyGap:
    """A family that sees what the others see."""
    fields = {
        "family": "supervised",
        "judges": ["vit"],
        "attribute": "tone",
        "declared": False,
        "held_back": False,
        "votes": True,
        "kept": 0.4,
        "others": 0.42,
        "gap": 0.02,
        "low": -0.05,
    }
    return FamilyGap.model_validate(fields | changes)


STEERED = {"kept": 0.05, "others": 0.6, "gap": 0.55, "low": 0.4}
"""Numbers of a family that alone sees an improvement."""


def a_fresh(result: Result, base: Result, **changes: Any) -> Fresh:
    """A complete outcome on fresh noise."""
    fields: dict[str, Any] = {
        "submission": "00" * 32,
        "evenhand": "0.1.0",
        "device": "cpu",
        "fitted": True,
        "same_intervention": True,
        "salt": SALT,
        "images": 1674,
        "planned": 1674,
        "files": dict.fromkeys(("fresh-base-images.parquet", "fresh-base-labels.parquet"), "00" * 32),
        "result": result,
        "base": base,
        "agreement": an_agreement(),
        "gaps": [a_gap()],
    }
    return Fresh.model_validate(fields | changes)
