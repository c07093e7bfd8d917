"""The gates that a method must pass to be ranked.

A method must not win by ignoring explicit prompts, by generating images that cannot be labelled, or by
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
"""The largest loss against the baseline that is allowed, as a share of the images."""


@dataclass(frozen=True)
class Gate:
    """The outcome of one gate.

    Attributes:
        name: The quantity that the gate protects.
        status: ``"unproven"`` where the estimated loss is allowed but its interval includes a larger one,
            ``"unchecked"`` where the method or the baseline lacks the number.
        reason: One clause with the numbers.
    """

    name: str
    status: Literal["passed", "failed", "unproven", "unchecked"]
    reason: str


@dataclass(frozen=True)
class Loss:
    """A loss against the baseline: the estimate and the ends of its interval, all as shares of the images."""

    value: float
    most: float
    least: float = math.nan


def gates(result: Result, base: Result) -> list[str]:
    """The reasons why ``result`` is not ranked; empty where it passes every gate.

    A gate whose numbers are missing is not passed either, so that leaving out a measurement gives no
    advantage. The baseline passes by definition.
    """
    return [gate.reason for gate in gate_outcomes(result, base) if gate.status != "passed"]


def gate_outcomes(result: Result, base: Result) -> list[Gate]:
    """The outcome of every gate of ``result`` against the suite's baseline; empty for the baseline itself."""
    if result.spec.method.label == base.spec.method.label:
        return []
    pair = Reading.of(result), Reading.of(base)
    return [
        _outcome("explicit fidelity", "explicit_fidelity", "below", pair, _drop),
        _outcome("undetermined rate", "undetermined", "above", pair, _rise),
        _outcome("over-correction", "over_correction", "above", pair, _rise),
    ]


def fidelity_loss(method: Reading, base: Reading) -> Loss:
    """The loss of explicit fidelity that its gate checks: zero for the baseline itself.

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
    side: Literal["below", "above"],
    pair: tuple[Reading, Reading],
    lost: Callable[[Reading, Reading, Key], Loss],
) -> Gate:
    """The outcome at the attribute set where the method may have lost most."""
    losses = {sets: _loss_at(metric, sets, pair, lost) for sets in _attribute_sets(metric, pair)}
    missing = [attribute(sets) for sets, loss in losses.items() if math.isnan(loss.most)]
    if not losses or missing:
        where = f" for {', '.join(missing)}" if any(missing) else ""
        return Gate(name, "unchecked", f"{name} not measured{where}, so its gate cannot be checked")
    sets, loss = max(losses.items(), key=lambda item: item[1].most)
    where = f" for {attribute(sets)}" if sets else ""
    bound = "" if loss.most == loss.value else f", and its 95% interval reaches {_offset(loss.most, side)}"
    reason = f"{name}{where} is {_offset(loss.value, side)} the baseline{bound}"
    return Gate(name, _status(loss), f"{reason} ({100 * MARGIN:.0f} allowed)")


def _status(loss: Loss) -> Literal["passed", "failed", "unproven"]:
    if loss.most <= MARGIN:
        return "passed"
    return "failed" if loss.value > MARGIN else "unproven"


def _offset(loss: float, side: Literal["below", "above"]) -> str:
    """A loss in points with its side of the baseline; a gain is on the other side: ``"0.9 points above"``."""
    points = f"{100 * abs(loss):.1f}"
    gained = loss < 0 and points != "0.0"
    other = "above" if side == "below" else "below"
    return f"{points} points {other if gained else side}"


def _attribute_sets(metric: str, pair: tuple[Reading, Reading]) -> list[str]:
    """The single attributes; joint cells have too few explicit images each to exclude a loss."""
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
    """The loss on corrected numbers where both have them, else on uncorrected ones; ``nan`` if missing."""
    for judge, corrected in (("panel", True), ("panel", False), ("", False)):
        key = Key(metric, attributes, judge, corrected)
        if all(reading.at(key) is not None for reading in pair):
            return lost(*pair, key)
    return Loss(math.nan, math.nan)


def _drop(method: Reading, base: Reading, key: Key) -> Loss:
    """How far the method is below the baseline, with the ends of the 95% interval.

    The ends are those of the paired interval where the run has one. Otherwise they are MOVER's (Zou and
    Donner, Statistics in Medicine 2008), which combines the two intervals as if they were independent. That
    is conservative for images of common seeds.
    """
    ours, theirs = method.index[key], base.index[key]
    value, paired = theirs.value - ours.value, method.against(base.label, key)
    if paired is not None:
        return Loss(value, -paired.low, -paired.high)
    most = value + math.hypot(theirs.high - theirs.value, ours.value - ours.low)
    return Loss(value, most, value - math.hypot(theirs.value - theirs.low, ours.high - ours.value))


def _rise(method: Reading, base: Reading, key: Key) -> Loss:
    """How far the method is above the baseline; this gate uses the estimate alone, without an interval."""
    value = method.index[key].value - base.index[key].value
    return Loss(value, value)
