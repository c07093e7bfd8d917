"""The rows of the table on the start page: seven columns on first view, all others on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from evenhand.bench.policy.conclusion import worst_attributes
from evenhand.bench.policy.pareto import layers
from evenhand.bench.policy.ranking import BANDS, Ranking, rank_text
from evenhand.bench.results.entry import BoardRow
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import EstimateRow, LossRow
from evenhand.bench.results.text import count, interval, number, seconds, slug
from evenhand.reports.components.downloads import Raw
from evenhand.reports.components.tables import Cell, alert, counted, estimated, text
from evenhand.reports.leaderboard import row_facts as facts
from evenhand.reports.leaderboard.columns import Column
from evenhand.reports.leaderboard.interval_bar import Scale, interval_bar
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.run.distances import pairs_cell, worst_cell

FIRST = (
    "Method",
    "Verdict",
    "Distance ↓",
    "Explicit fidelity ↑",
    "Alignment ↑",
    "Images to fit ↓",
    "Evidence",
)
"""The columns on first view."""

FURTHER = ("Rank over all", "Fits", "Same group in pairs ↓", "Worst attribute")
"""The columns on demand before the measured ones."""

COSTS = (
    "U-Net passes to fit ↓",
    "Time to fit ↓",
    "U-Net passes of an image ↓",
    "Tuning",
    "Training",
    "Steering judge",
    "Gates not passed",
)
"""The columns on demand after them."""


@dataclass(frozen=True)
class Head:
    """A column: its title, the order that puts the best first, and whether it is on first view."""

    title: str
    best: str
    first: bool


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        anchor: Its place on the page.
        href: The page of the method.
        family: Its family, for the filter.
        tags: Short facts beside its name.
        bar: The distance as an image.
        cells: Its cells, one per column.
    """

    anchor: str
    href: str
    family: str
    tags: list[tuple[str, str]]
    bar: Markup
    cells: list[Cell] = field(repr=False)


def heads(ranking: Ranking, columns: Sequence[Column]) -> list[Head]:
    """The columns of the table."""
    measured = [column.title for column in columns[1:]]
    fronts = [f"Front, {plane.trade_off.name}" for plane in ranking.planes]
    titles = [*FIRST, *FURTHER, *measured, *fronts, *COSTS]
    return [
        Head(title, "descending" if "↑" in title else "ascending", place < len(FIRST))
        for place, title in enumerate(titles)
    ]


def lines(ranking: Ranking, columns: Sequence[Column], pages: SiteMap) -> dict[str, Line]:
    """Label to the row of every method. The first of the columns is the distance that ranks."""
    base = next((row for row, own in zip(columns[0].rows, ranking.rows, strict=True) if own.is_base), None)
    scale = Scale.of(columns[0].rows, base)
    return {row.label: _line(ranking, place, columns, pages, scale) for place, row in enumerate(ranking.rows)}


def _line(ranking: Ranking, place: int, columns: Sequence[Column], pages: SiteMap, scale: Scale) -> Line:
    row, reading = ranking.rows[place], ranking.readings[place]
    distance = columns[0].rows[place]
    fits = [fit.distance for fit in row.fits] if len(row.fits) > 1 else []
    first = [
        Cell(row.label, raw={"": row.label}),
        _verdict(row),
        _distance(distance),
        _change(row, facts.fidelity_change(row)),
        _change(row, facts.alignment_change(row)),
        counted(row.result.images_to_fit),
        text(row.evidence),
    ]
    further = _further(ranking, place, reading)
    measured = [estimated(column.rows[place]) for column in columns[1:]]
    fronts = [
        Cell(ranking.front_of(row.label, plane), raw={"": layers(plane.points).get(row.label)})
        for plane in ranking.planes
    ]
    return Line(
        anchor=f"{ranking.stem}--{slug(row.label)}",
        href=pages.method(ranking, row),
        family=facts.family(row),
        tags=_tags(row),
        bar=interval_bar(distance, scale, fits),
        cells=[*first, *further, *measured, *fronts, *_costs(row)],
    )


def _tags(row: BoardRow) -> list[tuple[str, str]]:
    """Short facts beside the name: kind and text."""
    if row.is_base:
        return [("family", "the model without a method")]
    search = row.result.spec.method.search
    found = [("family", facts.family(row)), *([("origin", "ours")] if row.ours else [])]
    found.append(("tuned", "tuned") if search else ("plain", facts.tuned(row)))
    if training := facts.trained(row):
        found.append(("plain" if training == "trained fully" else "cut", training))
    return found


def _verdict(row: BoardRow) -> Cell:
    if row.is_base:
        return text(facts.verdict(row))
    place = row.track_rank.low if row.track_rank else 1000 * (1 + BANDS.index(row.band))
    raw: dict[str, Raw] = {"": place, "text": facts.verdict(row)}
    return Cell(facts.verdict(row), (), "alert" if row.band == "harm proven" else "text", raw)


def _distance(row: EstimateRow | None) -> Cell:
    """The distance with its interval, in one line."""
    found = estimated(row)
    ends = interval(row.low, row.high, digits=2) if row is not None else ""
    return Cell(found.text, (ends,), found.kind, found.raw)


def _change(row: BoardRow, loss: LossRow | None) -> Cell:
    """A change against the baseline with its one-sided bounds, in one line."""
    if row.is_base:
        return Cell("reference", raw={"": 0})
    if loss is None:
        return Cell(facts.UNKNOWN, kind="missing", raw={"": None})
    value, low, high = (100 * number for number in (-loss.value, -loss.high, -loss.low))
    raw = {"": value, "low": low, "high": high, "n": loss.n}
    ends = interval(low, high, digits=1)
    return Cell(number(value, digits=1), (ends,), "number", raw)


def _further(ranking: Ranking, place: int, reading: Reading) -> list[Cell]:
    row, key = ranking.rows[place], ranking.key
    worst = worst_attributes(ranking.readings, key)[place] if key else None
    return [
        Cell(rank_text(row.rank), raw={"": row.rank.low if row.rank else None}),
        text(facts.fits(row)),
        pairs_cell(reading.at(key) if key else None, row.result.spec),
        worst_cell(worst),
    ]


def _costs(row: BoardRow) -> list[Cell]:
    relative = 1.0 if row.is_base else row.result.cost.relative_passes
    spent = row.timing.fit_seconds if row.timing else None
    gates = "; ".join(row.failed_gates)
    return [
        Cell(count(row.result.fit_passes), kind="number", raw={"": row.result.fit_passes}),
        Cell(facts.UNKNOWN if spent is None else seconds(spent), raw={"": spent}),
        Cell(facts.passes(row), raw={"": relative}),
        text(facts.UNKNOWN if row.is_base else facts.tuned(row)),
        text(facts.training(row)),
        text(row.result.spec.method.steering_judge or "none"),
        alert(gates) if gates else text("none"),
    ]
