"""The start page of the site: every suite with its fronts and a table that can be sorted and filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evenhand.bench.policy.conclusion import worst_attributes
from evenhand.bench.policy.pareto import Plane, layers
from evenhand.bench.policy.ranking import BANDS, Ranking, front_text, rank_text, title_of
from evenhand.bench.results.entry import Band, BoardRow, panel
from evenhand.bench.results.result import BASE
from evenhand.bench.results.text import listing, plural
from evenhand.reports.components.downloads import Download
from evenhand.reports.components.tables import Cell, Row, Table, alert, counted, estimated, text
from evenhand.reports.components.wording import BAND_TEXTS, BAND_TITLES, estimand
from evenhand.reports.leaderboard.columns import (
    FIT_COSTS,
    Column,
    best_text,
    further_columns,
    ranking_columns,
)
from evenhand.reports.leaderboard.evidence import EVIDENCE
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.run.distances import pairs_cell, worst_cell
from evenhand.reports.run.figures import Figure
from evenhand.reports.run.pareto import fairness_trade_offs
from evenhand.reports.run.sections import LIMITS


@dataclass(frozen=True)
class Line:
    """A method in the table of its suite: its page, its family for the filter, and its cells."""

    href: str
    family: str
    cells: list[Cell]


@dataclass(frozen=True)
class Head:
    """A column of that table; ``best`` is the order that puts the best first."""

    title: str
    best: str


@dataclass(frozen=True)
class Part:
    """The rows of a band, with its title and meaning."""

    band: Band
    title: str
    about: str
    lines: list[Line]


@dataclass(frozen=True)
class Section:
    """One suite and version.

    Attributes:
        name: Anchor, and prefix of its file names.
        title: Suite, version and model.
        summary: The methods that may be the best, and how many methods are in each band.
        version: What all rows share.
        fronts: The planes of the trade-offs.
        heads: Columns of the table.
        bands: Title and meaning of each band with its rows.
        families: The families of the filter.
        notes: Notes on the columns.
        costs: Further metrics, and the cost of fitting every method.
        download: The ranking as a table.
    """

    name: str
    title: str
    summary: str
    version: list[tuple[str, str]]
    fronts: Figure | None
    heads: list[Head]
    bands: list[Part]
    families: list[str]
    notes: list[str]
    costs: Table
    download: Download


def index_content(found: Sequence[Ranking], pages: SiteMap) -> dict[str, Any]:
    """The variables of the start page."""
    return {
        "title": "Leaderboard",
        "sections": [_section(ranking, pages) for ranking in found],
        "evidence": EVIDENCE,
        "limits": LIMITS,
    }


def version_terms(ranking: Ranking) -> list[tuple[str, str]]:
    """What the rows of a table share; rows that differ in any of it are in different tables."""
    spec = ranking.result.spec
    settings = ", ".join(f"{name} {value}" for name, value in sorted(spec.protocol.items()))
    cards = dict.fromkeys(f"{card.name} {card.version} ({card.digest[:12]})" for card in spec.prompt_sets)
    judges = [f"{judge.name} {judge.version} ({judge.family})" for judge in panel(ranking.result)]
    return [
        ("Suite", f"{spec.suite}, version {spec.suite_version} ({spec.suite_digest[:12]})"),
        ("Model", f"{spec.model}, revision {spec.model_revision[:12]}"),
        ("Protocol", settings),
        ("Prompt sets", "; ".join(cards)),
        ("Voting judges", "; ".join(judges)),
    ]


def _section(ranking: Ranking, pages: SiteMap) -> Section:
    readings = ranking.readings
    columns, further = ranking_columns(readings, ranking.key), further_columns(readings)
    lines = [_line(ranking, place, columns, pages) for place in range(len(ranking.rows))]
    pairs = list(zip(ranking.rows, lines, strict=True))
    heads = _heads(ranking.planes, columns)
    table = Table(
        ranking.stem,
        f"The ranking, {ranking.stem}",
        [head.title for head in heads],
        [Row(line.cells) for line in lines],
    )
    return Section(
        name=ranking.stem,
        title=title_of(ranking.result),
        summary=_summary(ranking),
        version=version_terms(ranking),
        fronts=_fronts(ranking),
        heads=heads,
        bands=[
            Part(band, BAND_TITLES[band], BAND_TEXTS[band], own)
            for band in BANDS
            if (own := [line for row, line in pairs if row.band == band])
        ],
        families=sorted({line.family for line in lines}),
        notes=[
            f"{column.title}: {'; '.join(column.facts)}" for column in (*columns, *further) if column.facts
        ],
        costs=_costs(ranking, further),
        download=table.download,
    )


def _heads(drawn: Sequence[Plane], columns: Sequence[Column]) -> list[Head]:
    measured = [Head(c.title, "descending" if "↑" in c.title else "ascending") for c in columns]
    fronts = [Head(f"Front, {plane.trade_off.name}", "ascending") for plane in drawn]
    titles = (
        "Method",
        "Rank",
        "Gates",
        "Same group in pairs ↓",
        "Worst attribute",
        "Evidence",
        "Gates not passed",
    )
    texts = [Head(title, "ascending") for title in titles]
    return [*texts[:5], *measured, *fronts, *texts[5:]]


def _line(ranking: Ranking, place: int, columns: Sequence[Column], pages: SiteMap) -> Line:
    row, reading = ranking.rows[place], ranking.readings[place]
    card, key = row.result.spec.method, ranking.key
    family = "baseline" if card.name == BASE else card.family
    settings = next((len(curve.labels) for curve in ranking.curves if curve.own == card.label), 1)
    notes = [family, f"version {card.version}; number {place + 1} in the charts"]
    notes += [f"{settings} strengths, one ranked"] if settings > 1 else []
    worst = worst_attributes(ranking.readings, key)[place] if key else None
    cells = [
        Cell(card.label, tuple(notes), raw={"": card.label}),
        Cell(rank_text(row), raw={"": row.rank_low}),
        alert(row.band) if row.failed_gates else text(_passed(row)),
        pairs_cell(reading.at(key) if key else None, row.result.spec),
        worst_cell(worst),
        *(estimated(column.rows[place]) for column in columns),
        *(_layer(card.label, plane) for plane in ranking.planes),
        text(row.evidence),
        alert("; ".join(row.failed_gates)) if row.failed_gates else text("none"),
    ]
    return Line(pages.method(ranking, row), family, cells)


def _passed(row: BoardRow) -> str:
    return "reference" if row.result.spec.method.name == BASE else "passed"


def _layer(label: str, plane: Plane) -> Cell:
    return Cell(front_text(label, plane), raw={"": layers(plane.points).get(label)})


def _summary(ranking: Ranking) -> str:
    """What the numbers speak of, the methods that may be the best, and how many are in each band."""
    counts = [
        f"{sum(row.band == band for row in ranking.rows)} {band}"
        for band in BANDS
        if any(row.band == band for row in ranking.rows)
    ]
    every = f"Of {plural(len(ranking.rows), 'method')}, with the baseline: {listing(counts)}."
    return f"{best_text(ranking)} {every} {estimand(ranking.result.spec)}"


def _fronts(ranking: Ranking) -> Figure | None:
    """The planes of the trade-offs."""
    if ranking.key is None:
        return None
    name = f"{ranking.stem}-fronts"
    figure = fairness_trade_offs(ranking.readings, ranking.key, ranking.failures, name=name)
    if figure is None:
        return None
    return replace(figure, table=replace(figure.table, caption=f"{figure.table.caption}, {ranking.stem}"))


def _costs(ranking: Ranking, further: Sequence[Column]) -> Table:
    rows = []
    for place, row in enumerate(ranking.rows):
        cost, card = row.result.cost, row.result.spec.method
        counts = (cost.fit_images, cost.fit_judgements, cost.fit_evaluations)
        measured = [estimated(column.rows[place]) for column in further]
        rows.append(
            Row([text(card.label), *measured, *map(counted, counts), text(card.steering_judge or "none")])
        )
    titles = ["Method", *(column.title for column in further), *FIT_COSTS, "Steering judge"]
    caption = f"Further metrics and cost, {ranking.stem}"
    return Table(f"{ranking.stem}-costs", caption, titles, rows, "95% intervals; exact counts")
