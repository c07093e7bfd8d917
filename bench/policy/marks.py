"""The marks of a method: is it more even, does it follow explicit prompts, does it leave the rest alone?

A mark is a tick where the data prove a yes, a cross where they prove a no, and otherwise a question mark.
They follow the paired interval and the gates: a method is ranked exactly where its second and third mark are
ticks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from evenhand.bench.policy.gates import Gate, Status
from evenhand.bench.results.lookup import Key, Reading, base_of, difference
from evenhand.bench.results.pairs import even_agreement
from evenhand.bench.results.result import ComparisonRow, EstimateRow, LossRow, Spec
from evenhand.bench.results.text import attribute, cell

Sign = Literal["yes", "open", "no"]

EVEN = 0.1
"""Distance from the target below which a model counts as even: with two groups, shares of 45% and 55%."""

FOLLOWED, IGNORED = 0.9, 0.5
"""Explicit fidelity of a model that follows explicit prompts, and of one that ignores them.

They apply where there is no baseline. Between them the judges' own errors may explain what is missing.
"""

LABELLED = 0.05
"""Share of images that judges may fail to label, as in the gate of the undetermined rate."""

EXPLICIT = "explicit fidelity"
"""The gate of the second mark; all others decide the third."""

SEVERITY: tuple[Status, ...] = ("harm proven", "unchecked", "not proven", "passed")
"""The outcomes of a gate, the one that decides a mark first."""

SIGNS: dict[Status, Sign] = {
    "passed": "yes",
    "harm proven": "no",
    "not proven": "open",
    "unchecked": "open",
}


@dataclass(frozen=True)
class Mark:
    """The answer to one question about one method, with the number that decides it.

    Attributes:
        sign: ``"yes"`` or ``"no"`` where that is proven, otherwise ``"open"``.
        what: What the number is of; empty where the question says it.
        value: The number: a change against the baseline or, where there is none, a number of its own. ``nan``
            where it was not measured.
        low: Lower end of its interval.
        high: Upper end.
        unit: ``"points"``, ``"%"`` or, for a distance, nothing.
        change: Whether the number is a change, which is written with its sign.
    """

    sign: Sign
    what: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unit: Literal["points", "%", ""] = ""
    change: bool = True


class Marks(NamedTuple):
    """The three marks of a method, or of a model without a baseline.

    Of a model without a baseline they say whether it is even, whether it follows explicit prompts, and
    whether its images can be labelled.
    """

    even: Mark
    explicit: Mark
    rest: Mark


UNKNOWN = Mark("open")


def marks(
    readings: Sequence[Reading], key: Key | None, gates: Mapping[str, Sequence[Gate]]
) -> dict[str, Marks]:
    """The marks of every method by label; none for a baseline that others are compared with.

    Args:
        readings: The methods of a run, or the models of an audit.
        key: The primary number.
        gates: Label to the outcomes of its gates.
    """
    base = base_of(readings)
    if base is None or len(readings) == 1:
        return {reading.label: _without_baseline(reading, key) for reading in readings}
    return {
        reading.label: Marks(
            _more_even(reading, base, key),
            _gated([gate for gate in gates.get(reading.label, ()) if gate.name == EXPLICIT]),
            _gated([gate for gate in gates.get(reading.label, ()) if gate.name != EXPLICIT]),
        )
        for reading in readings
        if not reading.is_base
    }


def change_in_evenness(row: ComparisonRow, spec: Spec) -> Mark:
    """The paired difference as a mark: in points of matching pairs, or in squared distance.

    Squared distances lie between 0 and 1, so the interval is cut where their difference cannot lie.
    """
    sign: Sign = "yes" if row.high < 0 else "no" if row.low > 0 else "open"
    low, high = (end if math.isnan(end) else min(max(end, -1.0), 1.0) for end in (row.low, row.high))
    even = even_agreement(row.attributes, spec)
    if even is None:
        return Mark(sign, "squared distance", row.value, low, high)
    value, low, high = (100 * (1 - even) * number for number in (row.value, low, high))
    return Mark(sign, "matching pairs", value, low, high, "points")


def _more_even(reading: Reading, base: Reading, key: Key | None) -> Mark:
    row = difference(reading, base.label, key) if key else None
    return change_in_evenness(row, reading.result.spec) if row is not None else UNKNOWN


def _gated(gates: Sequence[Gate]) -> Mark:
    """The mark of the gate that decides: the worst outcome, and of several the one with the least room."""
    if not gates:
        return UNKNOWN
    gate = min(gates, key=lambda gate: (SEVERITY.index(gate.status), -_used(gate.row)))
    return _of_loss(SIGNS[gate.status], gate.row) if gate.row else Mark("open", gate.name)


def _used(row: LossRow | None) -> float:
    """How far the upper bound is beyond the margin, or below it."""
    return row.high - row.margin if row is not None else math.inf


def _of_loss(sign: Sign, row: LossRow) -> Mark:
    """A loss as a change: fidelity and alignment fall by it, rates of failure rise by it."""
    fall = row.quantity in ("explicit_fidelity", "alignment")
    low, high = (-row.high, -row.low) if fall else (row.low, row.high)
    value, low, high = (100 * number for number in (-row.value if fall else row.value, low, high))
    return Mark(sign, _subject(row), value, low, high, "%" if row.quantity == "alignment" else "points")


def _subject(row: LossRow) -> str:
    if row.quantity == "explicit_fidelity":
        return cell(row.group) if row.group else attribute(row.attributes)
    if row.quantity == "alignment":
        return "alignment" if row.kind == "neutral" else "unrelated images"
    return row.quantity.replace("_", "-")


def _without_baseline(reading: Reading, key: Key | None) -> Marks:
    return Marks(_even(reading.at(key) if key else None), _followed(reading), _labelled(reading))


def _even(row: EstimateRow | None) -> Mark:
    if row is None:
        return UNKNOWN
    sign: Sign = "yes" if row.high < EVEN else "no" if row.low >= EVEN else "open"
    return Mark(sign, "distance", row.value, row.low, row.high, change=False)


def _followed(reading: Reading) -> Mark:
    """Explicit fidelity at the single attribute where it is lowest."""
    rows = _single(reading, "explicit_fidelity")
    if not rows:
        return UNKNOWN
    sign: Sign = "no" if any(row.high < IGNORED for row in rows) else "open"
    sign = "yes" if all(row.low >= FOLLOWED for row in rows) else sign
    return _share(sign, min(rows, key=lambda row: row.value))


def _labelled(reading: Reading) -> Mark:
    """The undetermined rate at the single attribute where it is highest."""
    rows = _single(reading, "undetermined", "neutral")
    if not rows:
        return UNKNOWN
    sign: Sign = "no" if any(row.low > LABELLED for row in rows) else "open"
    sign = "yes" if all(row.high < LABELLED for row in rows) else sign
    return _share(sign, max(rows, key=lambda row: row.value), "undetermined: ")


def _single(reading: Reading, metric: str, kind: str = "") -> list[EstimateRow]:
    """The panel's finite rows of a metric for single attributes."""
    rows = [reading.naive(metric, name, kind=kind) for name in reading.result.spec.attributes]
    return [row for row in rows if row is not None and math.isfinite(row.value)]


def _share(sign: Sign, row: EstimateRow, before: str = "") -> Mark:
    value, low, high = (100 * number for number in (row.value, row.low, row.high))
    return Mark(sign, f"{before}{attribute(row.attributes)}", value, low, high, "%", change=False)
