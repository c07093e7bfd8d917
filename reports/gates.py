"""The gates a method must pass to be ranked (measurement.md, section 9, point 3).

A method may not win by ignoring explicit prompts, by drawing pictures that nobody can label, or by
changing people whom the prompt defines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.result import Result
from evenhand.reports.reading import Key, Reading
from evenhand.reports.words import attribute

MARGIN = 0.05
"""What a method may lose against the untreated model, as a share of the pictures."""

Loss = Callable[[Reading, Reading, Key], float]


@dataclass(frozen=True)
class Gate:
    """One gate's outcome.

    Attributes:
        name: What is guarded.
        status: ``"unchecked"`` where the method or the untreated model lacks the number.
        reason: One clause with the number.
    """

    name: str
    status: Literal["passed", "failed", "unchecked"]
    reason: str


def gates(result: Result, base: Result) -> list[str]:
    """Reasons why ``result`` is listed below the line; empty where it passes every gate.

    A gate whose numbers are missing is a reason too: not measuring must not pay. The untreated model
    passes by definition.
    """
    return [gate.reason for gate in gate_outcomes(result, base) if gate.status != "passed"]


def gate_outcomes(result: Result, base: Result) -> list[Gate]:
    """Every gate of ``result`` against the untreated model of the same suite; none for that model itself."""
    if result.spec.method.label == base.spec.method.label:
        return []
    pair = Reading.of(result), Reading.of(base)
    return [
        _outcome(
            "explicit fidelity", "explicit_fidelity", "may be up to {} points below", pair, _possible_drop
        ),
        _outcome("undetermined rate", "undetermined", "is {} points above", pair, _rise),
        _outcome("over-correction", "over_correction", "is {} points above", pair, _rise),
    ]


def _outcome(name: str, metric: str, how: str, pair: tuple[Reading, Reading], loss: Loss) -> Gate:
    """The gate at the attribute set where the method loses most."""
    losses = {sets: _loss_at(metric, sets, pair, loss) for sets in _attribute_sets(metric, pair)}
    missing = [attribute(sets) for sets, value in losses.items() if math.isnan(value)]
    if not losses or missing:
        where = f" for {', '.join(missing)}" if any(missing) else ""
        return Gate(name, "unchecked", f"{name} not measured{where}, so its gate cannot be checked")
    worst = max(losses, key=lambda sets: losses[sets])
    where = f" for {attribute(worst)}" if worst else ""
    points = f"{100 * losses[worst]:.1f}".replace("-", "−")
    failed = losses[worst] > MARGIN
    verb = how.format(points)
    return Gate(
        name,
        "failed" if failed else "passed",
        f"{name}{where} {verb} the untreated model ({100 * MARGIN:.0f} allowed)",
    )


def _attribute_sets(metric: str, pair: tuple[Reading, Reading]) -> list[str]:
    rows = (row for reading in pair for row in reading.result.estimates)
    return sorted(
        {row.attributes for row in rows if row.metric == metric and not row.concept and not row.group}
    )


def _loss_at(metric: str, attributes: str, pair: tuple[Reading, Reading], loss: Loss) -> float:
    """The loss on corrected numbers where both sides have them, else on naive ones; ``nan`` if missing."""
    for judge, corrected in (("panel", True), ("panel", False), ("", False)):
        key = Key(metric, attributes, judge, corrected)
        if all(reading.at(key) is not None for reading in pair):
            return loss(*pair, key)
    return math.nan


def _possible_drop(method: Reading, base: Reading, key: Key) -> float:
    """Upper 95 % bound of the drop from the untreated model to the method.

    The paired interval where the run has one, else MOVER (Zou and Donner, Statistics in Medicine 2008):
    the bound from the two intervals as if independent, which is on the safe side on common seeds.
    """
    paired = method.against(base.label, key)
    if paired is not None:
        return -paired.low
    ours, theirs = method.index[key], base.index[key]
    return theirs.value - ours.value + math.hypot(theirs.high - theirs.value, ours.value - ours.low)


def _rise(method: Reading, base: Reading, key: Key) -> float:
    return method.index[key].value - base.index[key].value
