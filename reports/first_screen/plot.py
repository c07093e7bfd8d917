"""The one chart of the first screen: the distance of every method, with the baseline and the chance level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evenhand.bench.results.lookup import Key, Reading, base_of
from evenhand.bench.results.result import EstimateRow
from evenhand.reports.components.charts import Dot, draw
from evenhand.reports.run.figures import dot_of
from evenhand.reports.run.findings import distance, values_text


@dataclass(frozen=True)
class Plot:
    """The chart.

    Attributes:
        title: The finding.
        image: The SVG.
        legend: Name of a mark of the template and its meaning.
    """

    title: str
    image: Markup
    legend: list[tuple[str, str]]


def distance_plot(readings: Sequence[Reading], key: Key) -> Plot | None:
    """The primary number of every method; ``None`` where none could be estimated.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
    """
    rows = [reading.at(key) for reading in readings]
    if not any(row is not None and math.isfinite(row.value) for row in rows):
        return None
    base = base_of(readings) if len(readings) > 1 else None
    dots = [
        dot_of(reading.label, "open" if reading is base else "full", row)
        for reading, row in zip(readings, rows, strict=True)
        if row is not None
    ]
    title = distance(readings, key.attributes, rows)
    image = draw(
        dots,
        name="first",
        label=f"Distance from the target: {values_text(readings, rows)}",
        axis="distance",
        domain=(0, 1),
        percent=False,
        reference=_baseline(base, key),
    )
    return Plot(title, image, _legend(readings, base, dots))


def _baseline(base: Reading | None, key: Key) -> float:
    row: EstimateRow | None = base.at(key) if base else None
    return row.value if row is not None else math.nan


def _legend(readings: Sequence[Reading], base: Reading | None, dots: Sequence[Dot]) -> list[tuple[str, str]]:
    external = readings[0].result.spec.external
    subject = "model" if external or len(readings) == 1 else "method"
    found = [("full", f"{subject}, 95% interval")]
    if base is not None:
        found = [("baseline", "baseline"), *found]
    if any(math.isfinite(dot.floor) for dot in dots):
        found.append(("chance", "chance level of an even model"))
    return found
