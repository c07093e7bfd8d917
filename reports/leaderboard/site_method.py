"""A method's page: its card, its numbers next to the baseline, and how to reproduce and to challenge them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.bench.errors import EvenhandError
from evenhand.bench.policy.conclusion import worst_attributes
from evenhand.bench.policy.ranking import Ranking, rank_text, title_of
from evenhand.bench.results.entry import BoardRow, EntryImage, version_key
from evenhand.bench.results.lookup import Reading, attribute_names
from evenhand.bench.results.result import BASE, Run
from evenhand.bench.results.text import attribute, count, listing, number, sentence
from evenhand.reports.components.bibtex import bibtex
from evenhand.reports.components.tables import Cell, Row, Table, text
from evenhand.reports.components.wording import BAND_TEXTS, BAND_TITLES, same_group, with_interval
from evenhand.reports.leaderboard.entry_strip import entry_strip
from evenhand.reports.leaderboard.evidence import evidence_texts
from evenhand.reports.leaderboard.row_facts import (
    TRACK_TEXTS,
    TRACK_TITLES,
    fit_cost,
    fits,
    training,
    tuned,
    verdict,
)
from evenhand.reports.leaderboard.site_index import version_terms
from evenhand.reports.leaderboard.site_judge import ROLES
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.leaderboard.site_position import position
from evenhand.reports.run import sections
from evenhand.reports.run.distances import pairs_text, worst_text
from evenhand.reports.run.figures import Figure, by_judge, cells, overview
from evenhand.reports.run.image_strips import UNRELATED, before_and_after, strips
from evenhand.reports.run.judges import dependence_table
from evenhand.reports.run.method_table import cost_table, measures_table
from evenhand.reports.run.pareto import DISTANCE, strengths
from evenhand.reports.run.records import comparisons_download, estimates_download
from evenhand.reports.run.share_figures import cell_map, group_shares
from evenhand.reports.run.worst import worst_table


def method_content(
    ranking: Ranking,
    row: BoardRow,
    pages: SiteMap,
    runs: Sequence[Run],
    *,
    images: Mapping[str, Sequence[EntryImage]],
) -> dict[str, Any]:
    """The variables of a method's page."""
    card, key, own = row.result.spec.method, ranking.key, Reading.of(row.result)
    shown = _beside_base(ranking, own)
    run = _run_of(row, runs)
    tables = {
        "measures": measures_table(shown, key),
        "differences": sections.differences_table([own], key) if key else None,
        "worst": worst_table(shown, key.attributes) if key else None,
        "dependence": dependence_table(shown, key) if key else None,
        "cost": _cost(ranking, shown),
        "coverage": sections.coverage_table([reading.result for reading in shown]),
        "labels": sections.labels_table([row.result]),
    }
    return tables | {
        "title": card.label,
        "suite": title_of(row.result),
        "suite_href": pages.suite(ranking),
        "position": _position_text(ranking, row),
        "gates": [sentence(reason) for reason in row.failed_gates],
        "facts": _facts(ranking, own, row),
        "settings": [] if own.is_base else _settings(row),
        "fits": fits_table(row) if len(row.fits) > 1 else None,
        "fit_cost": fit_cost(row),
        "card": sections.method_cards([row.result])[0],
        "figures": _figures(ranking, own, shown),
        "changed": before_and_after(run, shown) if run else None,
        "strips": strips(run, _lines(run, shown), leave_out=[UNRELATED]) if run else [],
        "strip": None if run else entry_strip(_entries_shown(ranking, row), images),
        "judges_here": [
            (judge.name, ROLES.get(judge.role, judge.role), pages.judge(judge))
            for judge in row.result.spec.judges
        ],
        "tested": sections.tested([row.result]),
        "version": version_terms(ranking),
        "provenance": sections.provenance_tables([row.result]),
        "notes": row.result.notes,
        "evidence": evidence_texts(row),
        "commands": _commands(ranking, row),
        "verify": f"evenhand board verify reports/entries/{shlex.quote(row.entry)}",
        "bibtex": bibtex([row.result]),
        "evenhand": row.result.environment.evenhand,
        "others": _other_suites(ranking, row, pages),
        "entries": _entries(ranking, row, pages),
        "downloads": [estimates_download([own]), comparisons_download([own])],
    }


def _source(row: BoardRow) -> str:
    """The code of the method: package, version and digest; empty if the entry does not state it."""
    source = row.source
    if source is None:
        return ""
    at = f" from {source.address}" if source.address else ""
    return f"{source.package} {source.version}{at}, source {source.digest[:12]}"


def _beside_base(ranking: Ranking, own: Reading) -> list[Reading]:
    """The baseline, then the method; only one reading for the baseline itself."""
    base = [reading for reading in ranking.readings if reading.is_base]
    return [own] if own.is_base else [*base, own]


def _cost(ranking: Ranking, shown: Sequence[Reading]) -> Table:
    timings = {row.result.spec.method.label: row.timing for row in ranking.rows if row.timing}
    return cost_table(shown, timings)


def _position_text(ranking: Ranking, row: BoardRow) -> str:
    """The rank of the method within its track, in a sentence."""
    if row.is_base:
        return "The model without a method, which all methods are compared with."
    if row.band != "ranked":
        return f"{BAND_TITLES[row.band]}, so not ranked: {BAND_TEXTS[row.band]}."
    if row.track_rank is None:
        return "Not ranked."
    ranked = [
        other
        for other in ranking.tracks[row.track]
        if other.track_rank is not None and other.evidence == row.evidence
    ]
    peers = [
        x.label for x in ranked if x.track_rank and x.track_rank.tie == row.track_rank.tie and x is not row
    ]
    tied = f"; not distinguishable from {listing(peers)}" if peers else ""
    # The baseline takes a rank in every track, as the reference.
    among = f"of {len(ranked) + 1} ranked in its track, the baseline included"
    text = f"Group {rank_text(row.track_rank)} {among}{tied}."
    contrast = ranking.not_closer(row.label)
    return f"{text} It is {contrast}." if contrast else text


def _facts(ranking: Ranking, own: Reading, row: BoardRow) -> list[tuple[str, str]]:
    """The key figures of the first screen."""
    key = ranking.key
    estimate = own.at(key) if key else None
    facts = (
        []
        if row.is_base
        else [(sentence(verdict(row)), f"verdict; track: {TRACK_TITLES[row.track].lower()}")]
    )
    if estimate is not None and key is not None:
        facts.append((with_interval(estimate), f"{DISTANCE}, {attribute(key.attributes)}; 0 is even"))
        about = f"of pairs of images of one concept show the {same_group(key.attributes)}"
        facts.append((pairs_text(own, key), about))
        if (worst := worst_attributes([own], key)[0]) is not None:
            facts.append((sentence(worst_text(worst)), "attribute with the largest distance"))
    for plane in ranking.planes:
        about = f"Pareto front of fairness and {plane.trade_off.kept}"
        facts.append((sentence(ranking.front_of(own.label, plane)), about))
    return [*facts, (sentence(row.evidence), "evidence")]


def _settings(row: BoardRow) -> list[tuple[str, str]]:
    """What a reader must know before comparing the method, as terms."""
    search = row.result.spec.method.search
    record = (
        f"{tuned(row)} with {count(search.passes)} U-Net passes; record {search.record[:12]}"
        if search
        else ""
    )
    return [
        ("Track", f"{TRACK_TITLES[row.track].lower()}: {TRACK_TEXTS[row.track]}"),
        ("Proposed by", "the authors of Evenhand" if row.ours else "a third party"),
        *([("Code", _source(row))] if row.source else []),
        ("Parameters", record or f"{tuned(row)}: those that the suite states, or the defaults"),
        ("Training", training(row)),
        ("Fits", fits(row)),
    ]


def fits_table(row: BoardRow) -> Table:
    """The fits of a row, each with other seeds."""
    rows = []
    for place, fit in enumerate(row.fits):
        shown = row.published is not None and fit.entry == row.published.entry
        distance = Cell(number(fit.distance), kind="number", raw={"": fit.distance})
        rows.append(
            Row(
                [
                    text(str(place + 1), *(["median, shown"] if shown else [])),
                    distance,
                    text(fit.band),
                    text(fit.entry),
                ]
            )
        )
    return Table("fits", "Fits with other seeds", ["Fit", "Distance ↓", "Band", "Entry"], rows)


def _figures(ranking: Ranking, own: Reading, shown: Sequence[Reading]) -> list[Figure]:
    """Distances, fronts, strengths, shares and the single judges, where they were measured."""
    key = ranking.key
    if key is None:
        return []
    curve = [curve for curve in ranking.curves if own.label in curve.labels]
    every = [Reading.of(each.result) for each in ranking.every]
    found = [
        overview(shown, key),
        position(ranking, own, key),
        strengths(
            every,
            key,
            ranking.failures,
            bands=ranking.bands,
            curves=curve,
            ranked=ranking.readings,
        ),
        *(group_shares(shown, name) for name in attribute_names([own.result])),
        cell_map(shown, key.attributes),
        cells(shown, key.attributes),
        by_judge([own], key),
    ]
    return [figure for figure in found if figure]


def _run_of(row: BoardRow, runs: Sequence[Run]) -> Run | None:
    """The run of the entry, if it is among those given."""
    card = row.result.spec.method
    for run in runs:
        own = next((result for result in run.results if result.spec.method.label == row.run_label), None)
        if own is None or version_key(own) != version_key(row.result):
            continue
        if own.spec.method.intervention != card.intervention:
            raise EvenhandError(
                f"run {run.folder} fitted {card.label!r} differently from its entry "
                f"({card.intervention[:12]}); pass the run that the entry was submitted from"
            )
        return run
    return None


def _entries_shown(ranking: Ranking, row: BoardRow) -> list[tuple[str, str]]:
    """Label and entry of the baseline and the method; only one for the baseline itself."""
    base = [other for other in ranking.rows if other.is_base and not row.is_base]
    return [(one.label, one.entry) for one in [*base, row]]


def _lines(run: Run, shown: Sequence[Reading]) -> list[str]:
    """The methods whose images the run has."""
    there = {result.spec.method.label for result in run.results}
    return [reading.label for reading in shown if reading.label in there]


def _commands(ranking: Ranking, row: BoardRow) -> list[str]:
    """The commands that reproduce the row."""
    spec = row.result.spec
    folder, suite, card = f"runs/{ranking.stem}", row.registered or spec.suite, spec.method
    # Fits that all seeds share have one entry, but were made.
    fits = max(len(row.fits), 1 + len(card.other_fits))
    own = [] if row.is_base else [f"--method {shlex.quote(card.label)}", f"--fits {fits}"]
    options = " ".join([f"--method {BASE}", *own])
    return [
        f"evenhand run {shlex.quote(suite)} {options} --out {folder}",
        f"evenhand board submit {folder} --entries my-entries",
    ]


def _entries(ranking: Ranking, row: BoardRow, pages: SiteMap) -> list[tuple[str, str, str]]:
    """Label, name and download of the entries of the method, of its other fits and strengths."""
    labels = next((set(curve.labels) for curve in ranking.curves if curve.own == row.label), {row.label})
    found = [entry for each in ranking.every if each.label in labels for entry in entries_of(each)]
    return [(label, name, pages.entry(name)) for label, name in found]


def entries_of(row: BoardRow) -> list[tuple[str, str]]:
    """Label and name of the entries of all fits of a row."""
    return [(fit.label, fit.entry) for fit in row.fits] or [(row.label, row.entry)]


def _other_suites(ranking: Ranking, row: BoardRow, pages: SiteMap) -> list[tuple[str, str]]:
    """Pages of the same method on other suites."""
    label = row.result.spec.method.label
    return [
        (stem, path) for (stem, name), path in pages.methods.items() if name == label and stem != ranking.stem
    ]
