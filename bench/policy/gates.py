"""The gates that a method must pass to be ranked.

A method must not win by ignoring explicit prompts, by generating images that cannot be labelled, by changing
people whom the prompt defines, or by images that no longer show what the prompt asks for. A gate is passed
where the data exclude a loss beyond its margin, not where they fail to show one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import LossRow, Result
from evenhand.bench.results.text import KINDS, attribute, cell, count

Status = Literal["passed", "harm proven", "not proven", "unchecked"]


@dataclass(frozen=True)
class Gate:
    """The outcome of one gate.

    Attributes:
        name: What the gate protects.
        status: ``"passed"`` where every upper bound is below its margin, ``"harm proven"`` where a lower
            bound is above, ``"not proven"`` where the images are too few for either, ``"unchecked"`` where a
            number is missing.
        reason: One clause with the numbers of the row that decides.
        row: That row; ``None`` where a number is missing.
    """

    name: str
    status: Status
    reason: str
    row: LossRow | None = None


@dataclass(frozen=True)
class Loss:
    """A loss against the baseline with its one-sided bounds, as shares of the images."""

    value: float
    high: float
    low: float = math.nan


@dataclass(frozen=True)
class _Rule:
    """Which losses a gate checks, and how they are said: an offset is ``"falls by 3.0 points"``."""

    name: str
    quantity: str
    kinds: tuple[str, ...]
    said: Callable[[LossRow], str]

    def rows(self, result: Result) -> list[LossRow]:
        return [row for row in result.losses if row.quantity == self.quantity and row.kind in self.kinds]


RULES = (
    _Rule(
        "explicit fidelity",
        "explicit_fidelity",
        ("explicit",),
        lambda row: f"explicit fidelity for {subject(row)} {_offset(row, 'falls', 'rises')} points",
    ),
    _Rule(
        "undetermined rate",
        "undetermined",
        ("neutral", "explicit"),
        lambda row: (
            f"undetermined rate for {subject(row)} on {KINDS[row.kind]} "
            f"{_offset(row, 'rises', 'falls')} points"
        ),
    ),
    _Rule(
        "over-correction",
        "over_correction",
        ("over_correction",),
        lambda row: f"over-correction {_offset(row, 'rises', 'falls')} points",
    ),
    _Rule(
        "alignment",
        "alignment",
        ("neutral",),
        lambda row: f"alignment on neutral prompts {_offset(row, 'falls', 'rises')}%",
    ),
    _Rule(
        "unrelated images",
        "alignment",
        ("unrelated",),
        lambda row: f"unrelated images: alignment {_offset(row, 'falls', 'rises')}%",
    ),
)
"""All of them must be passed, so that no multiplicity has to be corrected for passing."""


def gate_outcomes(result: Result, base: Result) -> list[Gate]:
    """The outcome of every gate of ``result`` against the suite's baseline; empty for the baseline itself.

    A gate whose numbers are missing is not passed either, so that leaving out a measurement gives no
    advantage.
    """
    if result.spec.method.label == base.spec.method.label:
        return []
    return [_outcome(rule, rule.rows(result)) for rule in RULES]


def explicit_undecided(result: Result, base: Result) -> bool:
    """Whether more images of explicit prompts may decide a gate of ``result`` that is not proven."""
    if result.spec.method.label == base.spec.method.label:
        return False
    rows = [rule.rows(result) for rule in RULES if rule.quantity == "explicit_fidelity"]
    return any(status_of(found) == "not proven" for found in rows)


def fidelity_loss(method: Reading, base: Reading) -> Loss:
    """The mean loss of explicit fidelity at the attribute where it may be largest, as its gate sees it.

    Zero for the baseline itself; ``nan`` where it was not measured.
    """
    if method.label == base.label:
        return Loss(0.0, 0.0, 0.0)
    worst = fidelity_row(method)
    return Loss(worst.value, worst.high, worst.low) if worst else Loss(math.nan, math.nan)


def fidelity_row(method: Reading) -> LossRow | None:
    """The mean loss of explicit fidelity at the attribute where it may be largest, if it was measured."""
    rows = [row for row in method.result.losses if row.quantity == "explicit_fidelity" and not row.group]
    return max(rows, key=lambda row: row.high, default=None)


def _outcome(rule: _Rule, rows: Sequence[LossRow]) -> Gate:
    status = status_of(rows)
    if status == "unchecked":
        return Gate(rule.name, status, f"{rule.name} not measured, so its gate cannot be checked")
    if status == "harm proven":
        row = max(rows, key=lambda row: row.low - row.margin)
        reason = f"{rule.said(row)} (at least {_points(row.low)}, {_allowed(row)})"
        return Gate(rule.name, status, reason, row)
    row = max(rows, key=_share_of_images if status == "not proven" else _room)
    reason = f"{rule.said(row)} (at most {_points(row.high)}, {_allowed(row)})"
    return Gate(rule.name, status, reason if status == "passed" else f"{reason}; {_size(row)}", row)


def status_of(rows: Sequence[LossRow]) -> Status:
    """The status of a gate from its losses."""
    if not rows or any(math.isnan(row.low) or math.isnan(row.high) for row in rows):
        return "unchecked"
    if any(row.low > row.margin for row in rows):
        return "harm proven"
    return "passed" if all(row.high < row.margin for row in rows) else "not proven"


def _room(row: LossRow) -> float:
    return row.high - row.margin


def _share_of_images(row: LossRow) -> tuple[bool, float]:
    """Of the undecided rows, the one that lacks most images comes first."""
    return row.high >= row.margin, row.needed / row.n


def _size(row: LossRow) -> str:
    if math.isinf(row.needed):
        return "no number of images would decide a loss of exactly what is allowed"
    return f"about {count(round(row.needed))} such images would decide, {count(row.n)} were compared"


def subject(row: LossRow) -> str:
    """The attribute or the group of a loss: ``"skin tone"``, ``"dark (skin tone)"``."""
    name = attribute(row.attributes)
    return f"{cell(row.group)} ({name})" if row.group else name


def _offset(row: LossRow, lost: str, won: str) -> str:
    """The loss with its direction: ``"falls by 3.0"``, or ``"rises by 1.2"`` for a gain."""
    gained = row.value < 0 and _points(row.value) != "0.0"
    return f"{won if gained else lost} by {_points(abs(row.value))}"


def _points(value: float) -> str:
    return f"{100 * value:z.1f}".replace("-", "−")


def _allowed(row: LossRow) -> str:
    return f"{100 * row.margin:.0f} allowed"
