"""The decisions that a run's report shows: the outcomes of the gates, and which settings are ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from evenhand.bench.policy.bands import band
from evenhand.bench.policy.gates import Gate, gate_outcomes
from evenhand.bench.policy.strength import Curve, curves, ranked
from evenhand.bench.results.entry import Band
from evenhand.bench.results.result import BASE, Result


@dataclass(frozen=True)
class Outcomes:
    """The decisions on the methods of one run.

    Attributes:
        gates: Label to the outcome of every gate; empty where the run has no baseline.
        ranked: Labels of the settings that are ranked, one for each method.
        curves: Settings that differ only in strength.
    """

    gates: dict[str, list[Gate]]
    ranked: frozenset[str]
    curves: list[Curve]

    @classmethod
    def of(cls, results: Sequence[Result]) -> Self:
        """Decide on the results of one run."""
        cards = [result.spec.method for result in results]
        base = next((result for result in results if result.spec.method.name == BASE), None)
        gates = {r.spec.method.label: gate_outcomes(r, base) for r in results} if base else {}
        return cls(gates=gates, ranked=frozenset(ranked(cards)), curves=curves(cards))

    @property
    def failures(self) -> dict[str, list[str]]:
        """Label to the reasons of the gates that it does not pass."""
        return {
            label: [gate.reason for gate in gates if gate.status != "passed"]
            for label, gates in self.gates.items()
        }

    @property
    def bands(self) -> dict[str, Band]:
        """Label to the band that its gates put it in."""
        return {label: band(gates) for label, gates in self.gates.items()}
