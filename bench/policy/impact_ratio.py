"""Impact ratios of depicted groups, in the form of New York City's Local Law 144: a pure function of results.

The law is about employment decisions: the selection rate of a category, divided by that of the category with
the highest rate (Rules of the City of New York, title 6, section 5-301). An image generator selects nobody.
Here the share of the images that show a category stands in the place of its selection rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.results.lookup import Reading, cell_shares
from evenhand.bench.results.result import EstimateRow

FOUR_FIFTHS = 0.8
"""Impact ratio below which the four-fifths rule sees evidence of adverse impact (29 CFR 1607.4 D)."""

SMALL = 0.02
"""Share of the data below which the rules let an auditor exclude a category."""

Side = Literal["highest", "below", "above", "undecided"]


@dataclass(frozen=True)
class Category:
    """One group or cell.

    Attributes:
        name: The group, or groups joined by ``*``.
        row: Its share of the images.
        ratio: Its share divided by the largest share.
        low: Lowest ratio that the intervals of both shares allow.
        high: Highest such ratio.
        small: Whether the rules would let an auditor exclude it.
        side: ``"highest"`` for the largest share; otherwise whether the range of the ratio is below four
            fifths, not below, or contains them.
    """

    name: str
    row: EstimateRow
    ratio: float
    low: float
    high: float
    small: bool
    side: Side


@dataclass(frozen=True)
class ImpactRatios:
    """The categories of one attribute set.

    Attributes:
        attributes: The attribute, or attributes joined by ``*``.
        known: Images whose category is known.
        unknown: Images whose category is not.
        categories: The categories, in the order of the attribute.
    """

    attributes: str
    known: int
    unknown: int
    categories: list[Category]


def impact_ratios(reading: Reading, attributes: str) -> ImpactRatios | None:
    """The impact ratios of one method or model; ``None`` where shares were not measured.

    Args:
        reading: The method.
        attributes: Attribute, or attributes joined by ``*`` for their intersections.
    """
    shares = {name: rows[0] for name, rows in cell_shares([reading], attributes).items()}
    rows = {name: row for name, row in shares.items() if row is not None and math.isfinite(row.value)}
    if not rows:
        return None
    top = max(rows, key=lambda name: rows[name].value)
    known = max(row.n for row in rows.values())
    return ImpactRatios(
        attributes,
        known,
        _unknown(reading, attributes),
        [_category(name, row, rows[top], top=name == top) for name, row in rows.items()],
    )


def _unknown(reading: Reading, attributes: str) -> int:
    """Images of neutral prompts for which the category is undetermined."""
    row = reading.naive("undetermined", attributes, kind="neutral")
    return round(row.value * row.n) if row is not None and math.isfinite(row.value) else 0


def _category(name: str, row: EstimateRow, best: EstimateRow, *, top: bool) -> Category:
    ratio = _divided(row.value, best.value)
    low, high = _divided(row.low, best.high), _divided(row.high, best.low)
    return Category(name, row, ratio, low, high, row.value < SMALL, _side(low, high, top=top))


def _side(low: float, high: float, *, top: bool) -> Side:
    if top:
        return "highest"
    if high < FOUR_FIFTHS:
        return "below"
    return "above" if low >= FOUR_FIFTHS else "undecided"


def _divided(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
