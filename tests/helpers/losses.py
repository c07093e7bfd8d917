"""Losses against the baseline: rows with chosen numbers, and studies of explicit prompts."""

from __future__ import annotations

from evenhand.bench.results.result import LossRow

TAXONOMY = {"gender": ("woman", "man"), "tone": ("light", "medium", "dark"), "age": ("adult", "older")}

QUANTITIES = {
    "explicit fidelity": ("explicit_fidelity", "explicit", "gender", 0.05),
    "undetermined rate": ("undetermined", "neutral", "gender", 0.05),
    "over-correction": ("over_correction", "over_correction", "", 0.05),
    "alignment": ("alignment", "neutral", "", 0.10),
    "unrelated images": ("alignment", "unrelated", "", 0.10),
}
"""Gate to the quantity, kind, attribute and margin of its first row."""


def a_loss(gate: str, value: float = 0.0, *, half: float = 0.02, **changes: object) -> LossRow:
    """A row of the gate with bounds ``half`` below and above the value."""
    quantity, kind, attribute, margin = QUANTITIES[gate]
    fields: dict[str, object] = {
        "quantity": quantity,
        "kind": kind,
        "attributes": attribute,
        "value": value,
        "low": value - half,
        "high": value + half,
        "n": 400,
        "margin": margin,
        "needed": 900.0,
    }
    return LossRow.model_validate(fields | changes)


def losses(**values: LossRow) -> list[LossRow]:
    """One row of every gate, passed unless given under the gate's name with underscores."""
    return [values.get(gate.replace(" ", "_").replace("-", "_"), a_loss(gate)) for gate in QUANTITIES]
