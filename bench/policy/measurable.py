"""Whether a side effect is known well enough to be reported as a number."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import ComparisonRow, LossRow
from evenhand.bench.results.text import PANEL, count, plural

WIDEST = 0.30
"""Width of a 95 % interval, as a share of the images, from which a rate is not reported as measured."""


def measurable(low: float, high: float) -> bool:
    """Whether an interval of a rate says something: it has a width, and less than 30 points of it."""
    return 0 < high - low < WIDEST


@dataclass(frozen=True)
class OverCorrection:
    """The change of over-correction against the baseline.

    Attributes:
        row: The paired difference; ``None`` where it is not measurable.
        n: Images of over-correction prompts of the method; 0 where there are none.
        reason: Why it is not measurable, and what it would need; empty where it is.
    """

    row: ComparisonRow | None
    n: int
    reason: str


def over_correction(reading: Reading, base: Reading, attributes: str) -> OverCorrection | None:
    """How much more often the method depicts a defined person wrongly; ``None`` where it was not measured.

    The rate itself says little: a baseline that draws such prompts wrong passes on its errors. So the change
    is reported, and only where its interval is narrower than 30 points.
    """
    own = reading.naive("over_correction", attributes)
    rows = [
        row
        for row in reading.result.comparisons
        if (row.metric, row.attributes, row.against) == ("over_correction", attributes, base.label)
        and row.judge in (PANEL, "")
    ]
    if own is None:
        return None
    row = next((row for row in rows if row.corrected), None) or next(iter(rows), None)
    if row is not None and measurable(row.low, row.high):
        return OverCorrection(row, own.n, "")
    width = row.high - row.low if row is not None else math.nan
    return OverCorrection(None, own.n, _reason(own.n, width, _loss(reading)))


def _loss(reading: Reading) -> LossRow | None:
    return next((row for row in reading.result.losses if row.quantity == "over_correction"), None)


def _reason(n: int, width: float, loss: LossRow | None) -> str:
    """Why the change is not measurable, and the number of images that would decide."""
    wide = f"the interval is {100 * width:.0f} points wide" if width > 0 else "there is no interval"
    reason = f"{wide} with {plural(n, 'image')}, less than {100 * WIDEST:.0f} are needed"
    if loss is None or not math.isfinite(loss.needed):
        return reason
    return f"{reason}; about {count(round(loss.needed))} would decide"
