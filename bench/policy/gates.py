"""The gates a method must pass to be ranked (measurement.md, section 9, point 3).

A method may not win by ignoring explicit prompts, by drawing images that nobody can label, or by
changing people whom the prompt defines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.result import Result
from evenhand.bench.results.text import attribute

MARGIN = 0.05
"""What a method may lose against the baseline, as a share of the images."""


@dataclass(frozen=True)
class Gate:
    """One gate's outcome.

    Attributes:
        name: What is guarded.
        status: ``"unproven"`` where the loss is allowed but the images are too few to exclude a larger one,
            ``"unchecked"`` where the method or the baseline lacks the number.
        reason: One clause with the numbers.
    """

    name: str
    status: Literal["passed", "failed", "unproven", "unchecked"]
    reason: str


@dataclass(frozen=True)
class Loss:
    """What a method lost against the baseline, and the most and least that it may have lost."""

    value: float
    most: float
    least: float = math.nan


def gates(result: Result, base: Result) -> list[str]:
    """Reasons why ``result`` is listed below the line; empty where it passes every gate.

    A gate whose numbers are missing is a reason too: not measuring must not pay. The baseline
    passes by definition.
    """
    return [gate.reason for gate in gate_outcomes(result, base) if gate.status != "passed"]


def gate_outcomes(result: Result, base: Result) -> list[Gate]:
    """Every gate of ``result`` against the baseline of the same suite; none for that model itself."""
    if result.spec.method.label == base.spec.method.label:
        return []
    pair = Reading.of(result), Reading.of(base)
    return [
        _outcome("explicit fidelity", "explicit_fidelity", "below", pair, _drop),
        _outcome("undetermined rate", "undetermined", "above", pair, _rise),
        _outcome("over-correction", "over_correction", "above", pair, _rise),
    ]


def fidelity_loss(method: Reading, base: Reading) -> Loss:
    """The loss of explicit fidelity that the gate looks at, none for the baseline itself.

    ``nan`` where the method or the baseline lacks the number.
    """
    if method.label == base.label:
        return Loss(0.0, 0.0, 0.0)
    pair, metric = (method, base), "explicit_fidelity"
    losses = [_loss_at(metric, sets, pair, _drop) for sets in _attribute_sets(metric, pair)]
    known = [loss for loss in losses if not math.isnan(loss.most)]
    return max(known, key=lambda loss: loss.most, default=Loss(math.nan, math.nan))


def _outcome(
    name: str,
    metric: str,
    side: str,
    pair: tuple[Reading, Reading],
    lost: Callable[[Reading, Reading, Key], Loss],
) -> Gate:
    """The gate at the attribute set where the method may have lost most."""
    losses = {sets: _loss_at(metric, sets, pair, lost) for sets in _attribute_sets(metric, pair)}
    missing = [attribute(sets) for sets, loss in losses.items() if math.isnan(loss.most)]
    if not losses or missing:
        where = f" for {', '.join(missing)}" if any(missing) else ""
        return Gate(name, "unchecked", f"{name} not measured{where}, so its gate cannot be checked")
    sets, loss = max(losses.items(), key=lambda item: item[1].most)
    where = f" for {attribute(sets)}" if sets else ""
    bound = "" if loss.most == loss.value else f", by its interval up to {_points(loss.most)}"
    reason = f"{name}{where} is {_points(loss.value)} points {side} the baseline{bound}"
    return Gate(name, _status(loss), f"{reason} ({_points(MARGIN, digits=0)} allowed)")


def _status(loss: Loss) -> Literal["passed", "failed", "unproven"]:
    if loss.most <= MARGIN:
        return "passed"
    return "failed" if loss.value > MARGIN else "unproven"


def _points(share: float, *, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}".replace("-", "−")


def _attribute_sets(metric: str, pair: tuple[Reading, Reading]) -> list[str]:
    """The single attributes; joint cells hold too few explicit images each to exclude a loss."""
    rows = (row for reading in pair for row in reading.result.estimates)
    return sorted(
        {
            row.attributes
            for row in rows
            if row.metric == metric and not (row.concept or row.group or "*" in row.attributes)
        }
    )


def _loss_at(
    metric: str, attributes: str, pair: tuple[Reading, Reading], lost: Callable[[Reading, Reading, Key], Loss]
) -> Loss:
    """The loss on corrected numbers where both sides have them, else on naive ones; ``nan`` if missing."""
    for judge, corrected in (("panel", True), ("panel", False), ("", False)):
        key = Key(metric, attributes, judge, corrected)
        if all(reading.at(key) is not None for reading in pair):
            return lost(*pair, key)
    return Loss(math.nan, math.nan)


def _drop(method: Reading, base: Reading, key: Key) -> Loss:
    """How far the method is below; at most and at least, by the 95 % bounds.

    The bounds are those of the paired interval where the run has one, else MOVER (Zou and Donner, Statistics
    in Medicine 2008): from the two intervals as if independent, which is on the safe side on common seeds.
    """
    ours, theirs = method.index[key], base.index[key]
    value, paired = theirs.value - ours.value, method.against(base.label, key)
    if paired is not None:
        return Loss(value, -paired.low, -paired.high)
    most = value + math.hypot(theirs.high - theirs.value, ours.value - ours.low)
    return Loss(value, most, value - math.hypot(theirs.value - theirs.low, ours.high - ours.value))


def _rise(method: Reading, base: Reading, key: Key) -> Loss:
    """How far the method is above; this gate has no bound (measurement.md 1.23)."""
    value = method.index[key].value - base.index[key].value
    return Loss(value, value)
