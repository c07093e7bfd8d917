"""A bar beside a distance: its interval, the spread over fits and the baseline, on one scale for a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evenhand.bench.results.result import EstimateRow

WIDTH, HEIGHT = 88, 16
"""Size in pixels."""


@dataclass(frozen=True)
class Scale:
    """The scale that all bars of a table share.

    Attributes:
        high: The value at the right end; the left end is 0.
        base: The baseline's value; ``nan`` for none.
    """

    high: float
    base: float

    @classmethod
    def of(cls, rows: Iterable[EstimateRow | None], base: EstimateRow | None) -> Scale:
        """A scale from 0 that holds every interval."""
        ends = [max(row.value, row.high if math.isfinite(row.high) else 0) for row in rows if row is not None]
        finite = [end for end in ends if math.isfinite(end)]
        return cls(math.ceil(10 * max(finite, default=1.0)) / 10, base.value if base else math.nan)

    def x(self, value: float) -> float:
        """The place of a value, in pixels."""
        return round(min(max(value / self.high, 0.0), 1.0) * (WIDTH - 8) + 4, 1)


def interval_bar(row: EstimateRow | None, scale: Scale, fits: Sequence[float] = ()) -> Markup:
    """The bar as an inline SVG image; empty where nothing was measured. The cell has the same in words.

    Args:
        row: The estimate.
        scale: The scale of the table.
        fits: The values of all fits, drawn as small ticks below.
    """
    if row is None or not math.isfinite(row.value):
        return Markup("")
    middle, parts = HEIGHT / 2, [f'<path class="axis" d="M4 {HEIGHT - 1}H{WIDTH - 4}"/>']
    if math.isfinite(scale.base):
        parts.append(f'<path class="base" d="M{scale.x(scale.base)} 1V{HEIGHT - 1}"/>')
    if math.isfinite(row.low) and math.isfinite(row.high):
        parts.append(f'<path class="span" d="M{scale.x(row.low)} {middle:g}H{scale.x(row.high)}"/>')
    parts += [
        f'<path class="fit" d="M{scale.x(value)} {HEIGHT - 5}v4"/>' for value in fits if math.isfinite(value)
    ]
    parts.append(f'<circle cx="{scale.x(row.value)}" cy="{middle:g}" r="3.5"/>')
    return Markup(
        f'<svg class="interval" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )
