"""The band of a method: whether it is ranked, and if not, why."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenhand.bench.policy.gates import Gate, subject
from evenhand.bench.results.entry import Band, Evidence
from evenhand.bench.results.fresh import Fresh
from evenhand.bench.results.result import LossRow
from evenhand.bench.results.text import KINDS, attribute, cell, count

_FALLS = ("explicit_fidelity", "alignment")
"""What falls by a loss; everything else rises by it."""


def band(gates: Sequence[Gate]) -> Band:
    """The band that the outcomes of a method's gates put it in; ``"ranked"`` where all are passed."""
    found = {gate.status for gate in gates} - {"passed"}
    if not found:
        return "ranked"
    if "harm proven" in found:
        return "harm proven"
    return "unchecked" if "unchecked" in found else "not proven"


def band_on_board(
    gates: Sequence[Gate], *, evidence: Evidence, fresh: Fresh | None, is_base: bool
) -> tuple[Band, str]:
    """The band of a row of the leaderboard, and why it is not ranked in a few words; empty if it is.

    Numbers that are only reported are not ranked, nor is a method whose improvement on fresh noise only one
    voting judge family sees. A proven harm comes first.

    Args:
        gates: The outcomes of its gates.
        evidence: The evidence for its numbers.
        fresh: Its outcome on fresh noise, if there is one.
        is_base: Whether it is the baseline, which is never ranked.
    """
    own = band(gates)
    if is_base or own == "harm proven":
        return own, why_not_ranked(gates)
    if evidence == "reported":
        return "reported", "numbers only reported"
    if fresh is not None and fresh.suspicious:
        worst = max(fresh.suspicious, key=lambda gap: gap.low)
        return "disputed", f"only {worst.family} judges see an effect ({attribute(worst.attribute)})"
    return own, why_not_ranked(gates)


def deciding_gate(gates: Sequence[Gate]) -> Gate | None:
    """The gate that decides the band; ``None`` where all are passed.

    Of several proven harms the largest relative to its margin, of several gates that are not proven the one
    that needs most images relative to those compared.
    """
    own = band(gates)
    found = [gate for gate in gates if gate.status == own]
    return max(found, key=_weight, default=None) if own != "ranked" else None


def why_not_ranked(gates: Sequence[Gate]) -> str:
    """The one reason in a few words; empty where all gates are passed.

    ``"explicit fidelity −12.0 points"`` for a harm, ``"needs about 900 explicit images for dark (skin
    tone)"`` where the images are too few to decide.
    """
    gate = deciding_gate(gates)
    if gate is None:
        return ""
    if gate.row is None:
        return f"{gate.name} not measured"
    if gate.status == "harm proven":
        whose = f" of {cell(gate.row.group)}" if gate.row.group else ""
        return f"{gate.name}{whose} {change(gate.row)}"
    if math.isinf(gate.row.needed):
        return f"{gate.name}: the loss is exactly what is allowed"
    kind = KINDS[gate.row.kind].removesuffix(" prompts")
    # Only images of prompts that name the attribute or the group enter the loss.
    whose = f" for {subject(gate.row)}" if gate.row.quantity == "explicit_fidelity" else ""
    return f"needs about {count(round(gate.row.needed))} {kind} images{whose}"


def change(row: LossRow) -> str:
    """A loss as the change of what is measured, with its sign and unit: ``"−12.0 points"``."""
    value = -row.value if row.quantity in _FALLS else row.value
    unit = "%" if row.quantity == "alignment" else " points"
    return f"{100 * value:+z.1f}{unit}".replace("-", "−").replace("+0.0", "0.0")


def _weight(gate: Gate) -> float:
    row = gate.row
    if row is None:
        return 0.0
    return row.low / row.margin if gate.status == "harm proven" else row.needed / row.n
