"""The start page of the site: every suite with its tracks and bands in a table to sort and filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evenhand.bench.policy.ranking import BANDS, TRACK_ORDER, Ranking, title_of
from evenhand.bench.results.entry import BoardRow, panel
from evenhand.bench.results.text import plural, sentence
from evenhand.reports.components.downloads import Download
from evenhand.reports.components.tables import Row, Table
from evenhand.reports.components.wording import BAND_TEXTS, BAND_TITLES, estimand
from evenhand.reports.leaderboard.columns import best_text, further_columns, ranking_columns
from evenhand.reports.leaderboard.evidence import EVIDENCE, band_title
from evenhand.reports.leaderboard.row_facts import TRACK_TEXTS, TRACK_TITLES, bands_text, family
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.leaderboard.site_rows import Head, Line, heads, lines
from evenhand.reports.run.figures import Figure
from evenhand.reports.run.pareto import fairness_trade_offs
from evenhand.reports.run.sections import LIMITS


@dataclass(frozen=True)
class Part:
    """The rows of a band within a track, with its title and meaning."""

    band: str
    title: str
    about: str
    lines: list[Line]


@dataclass(frozen=True)
class TrackPart:
    """A track with its bands, and what can be said about its best methods."""

    track: str
    title: str
    about: str
    best: str
    bands: list[Part]


@dataclass(frozen=True)
class Section:
    """One suite and version.

    Attributes:
        name: Anchor, and prefix of its file names.
        title: Suite, version and model.
        summary: Track to the methods that may be its best, and how many methods are in each band.
        about: What the numbers speak of.
        version: What all rows share.
        fronts: The planes of the trade-offs.
        heads: Columns of the table.
        baseline: The row of the baseline, if there is one.
        tracks: The rows of the methods.
        families: The families of the filter.
        notes: Notes on the columns.
        download: The whole table.
    """

    name: str
    title: str
    summary: list[tuple[str, str]]
    about: str
    version: list[tuple[str, str]]
    fronts: Figure | None
    heads: list[Head]
    baseline: Line | None
    tracks: list[TrackPart]
    families: list[str]
    notes: list[str]
    download: Download


def index_content(found: Sequence[Ranking], pages: SiteMap) -> dict[str, Any]:
    """The variables of the start page."""
    return {
        "title": "Leaderboard",
        "sections": [_section(ranking, pages) for ranking in found],
        "tracks": [(TRACK_TITLES[track], TRACK_TEXTS[track]) for track in TRACK_ORDER if track],
        "bands": [(BAND_TITLES[band], BAND_TEXTS[band]) for band in BANDS],
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
    columns = [*ranking_columns(ranking.readings, ranking.key), *further_columns(ranking.readings)]
    shown = lines(ranking, columns, pages)
    titles = heads(ranking, columns)
    table = Table(
        ranking.stem,
        f"The leaderboard, {ranking.stem}",
        [head.title for head in titles],
        [Row(line.cells) for line in shown.values()],
    )
    return Section(
        name=ranking.stem,
        title=title_of(ranking.result),
        summary=_summary(ranking),
        about=estimand(ranking.result.spec),
        version=version_terms(ranking),
        fronts=_fronts(ranking),
        heads=titles,
        baseline=shown[ranking.base] if ranking.base else None,
        tracks=[_track(ranking, track, rows, shown) for track, rows in ranking.tracks.items()],
        families=sorted({family(row) for row in ranking.rows if not row.is_base}),
        notes=[f"{column.title}: {'; '.join(column.facts)}" for column in columns if column.facts],
        download=table.download,
    )


def _track(ranking: Ranking, track: str, rows: Sequence[BoardRow], shown: dict[str, Line]) -> TrackPart:
    parts = [
        Part(band, band_title(band, evidence), BAND_TEXTS[band], [shown[row.label] for row in own])
        for band, evidence, own in ranking.parts(rows)
    ]
    best = best_text(ranking, track)
    return TrackPart(track, TRACK_TITLES[track], TRACK_TEXTS[track], best, parts)


def _summary(ranking: Ranking) -> list[tuple[str, str]]:
    """For each track the methods that may be the best, and how many are in each band."""
    return [
        (
            TRACK_TITLES[track],
            f"{best_text(ranking, track)} {sentence(plural(len(rows), 'method'))}: "
            f"{bands_text([row.band for row in rows])}.",
        )
        for track, rows in ranking.tracks.items()
    ]


def _fronts(ranking: Ranking) -> Figure | None:
    """The planes of the trade-offs."""
    if ranking.key is None:
        return None
    name = f"{ranking.stem}-fronts"
    figure = fairness_trade_offs(
        ranking.readings, ranking.key, ranking.failures, bands=ranking.bands, name=name
    )
    if figure is None:
        return None
    return replace(figure, table=replace(figure.table, caption=f"{figure.table.caption}, {ranking.stem}"))
