"""The band of a method: whether it is ranked, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.bench.policy.gates import Gate
from evenhand.bench.results.entry import Band


def band(gates: Sequence[Gate]) -> Band:
    """The band that the outcomes of a method's gates put it in; ``"ranked"`` where all are passed."""
    found = {gate.status for gate in gates} - {"passed"}
    if not found:
        return "ranked"
    if "harm proven" in found:
        return "harm proven"
    return "unchecked" if "unchecked" in found else "not proven"
