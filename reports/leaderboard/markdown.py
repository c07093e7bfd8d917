"""The leaderboard as Markdown, five columns and links: a pure function of its rows."""

from __future__ import annotations

import html
from collections.abc import Sequence

from evenhand.bench.policy.pareto import TRADE_OFFS, Plane
from evenhand.bench.policy.ranking import Ranking, fits_text, rankings, title_of
from evenhand.bench.results.entry import BoardRow, panel
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.text import listing, plural, slug
from evenhand.reports.components.charts import standalone
from evenhand.reports.components.wording import BAND_TEXTS, estimand
from evenhand.reports.leaderboard import row_facts as facts
from evenhand.reports.leaderboard.columns import (
    Column,
    best_text,
    cell,
    escape,
    ranking_columns,
)
from evenhand.reports.leaderboard.evidence import EVIDENCE, band_title
from evenhand.reports.leaderboard.literature import NOT_RANKED, NUMBERS, protocols, summary_table
from evenhand.reports.run.pareto import plane_image, plane_text

INTRODUCTION = """\
# Leaderboard

How evenly text-to-image models depict people with each debiasing method, and what the method harms. All
labels are perceived attributes of depicted people who do not exist. This file is generated from
[the published entries](reports/entries) by `evenhand board build`; edit the entries, not this file.

- Methods are compared within one version of one suite and within a **track**: one model for all prompts, a
  model per concept, or something that acts at sampling time.
- **Distance** is that from the target shares (RMSDelta): 0 for a model at the target, 1 for one that shows a
  single group, with the 95% interval.
- **Explicit fidelity** is the change against the baseline in points, with one-sided 95% bounds.
- The **verdict** of a ranked method is its tie group in the track (methods with the same letter are not
  distinguishable) and the ranks that the data allow. Other methods have the one reason in its place.
- **Evidence**: rows verified on fresh noise are ranked before and apart from recomputed ones.

[How to read a row](docs/board.md) explains the rest, the site built from the same entries has every number,
and the link of a method leads to its card. To add or challenge a row, see
[the entries](reports/entries/README.md).
"""

TITLES = ("Method", "Verdict", "Distance ↓", "Explicit fidelity ↑", "Evidence")
"""The columns of every table of methods."""

DOCUMENTED = "docs/methods"
"""Folder of the cards of the methods, relative to the leaderboard."""


def render_leaderboard(
    rows: Sequence[BoardRow], *, images: str = "reports/fronts", entries: str = "reports/entries"
) -> str:
    """The leaderboard as Markdown: the same rows in any order give the same bytes.

    Args:
        rows: The rows of all suites.
        images: Folder of the images of :func:`front_images`, relative to the leaderboard.
        entries: Folder of the entries, relative to the leaderboard.
    """
    sections = [_section(suite, images, entries) for suite in rankings(rows)] or ["No entries yet.\n"]
    return "\n".join([INTRODUCTION, *sections, _literature()])


def front_images(rows: Sequence[BoardRow]) -> dict[str, str]:
    """File name to SVG of the planes of every suite, one per trade-off."""
    found = {}
    for suite in rankings(rows):
        for plane in suite.planes:
            name = suite.image(plane)
            image = plane_image(plane, suite.failures, suite.base, name=slug(name))
            found[name] = standalone(image, title=f"{title_of(suite.result)}. {plane.trade_off.title}")
    return found


def _section(suite: Ranking, images: str, entries: str) -> str:
    """One suite and version: a table for each track and band, then figures and details."""
    column = ranking_columns(suite.readings, suite.key)[0]
    lines = {
        row.label: _line(row, distance, entries)
        for row, distance in zip(suite.rows, column.cells, strict=True)
    }
    parts = [f"## {escape(title_of(suite.result))}", escape(estimand(suite.result.spec))]
    if suite.base:
        parts.append(table(TITLES, [lines[suite.base]]))
    for track, rows in suite.tracks.items():
        parts += [f"### {facts.TRACK_TITLES[track]}", escape(f"{best_text(suite, track)}")]
        for band, evidence, own in suite.parts(rows):
            about = f"**{band_title(band, evidence)}**: {BAND_TEXTS[band]}."
            parts += [about, table(TITLES, [lines[row.label] for row in own])]
    if suite.planes:
        shown = " ".join(_image(suite, plane, images) for plane in suite.planes)
        parts += ["### Trade-offs", *_fronts(suite), shown]
    if suite.curves:
        parts += ["### Other strengths (not ranked)", _strengths(suite)]
    return "\n\n".join([*parts, _footnotes(suite, column)]) + "\n"


def _line(row: BoardRow, distance: str, entries: str) -> list[str]:
    return [
        _name(row),
        escape(facts.verdict(row)),
        distance + (f"; {fits_text(row)}" if facts.luck(row) else ""),
        "reference" if row.is_base else facts.change_text(facts.fidelity_change(row)),
        f"[{row.evidence}]({entries}/{row.entry})" if _is_plain(row.entry) else row.evidence,
    ]


def _name(row: BoardRow) -> str:
    """The method with what a reader must know first."""
    method = row.result.spec.method
    about = [facts.family(row), *(["ours"] if row.ours else [])]
    about += [facts.tuned(row)] if method.search else []
    about += [facts.trained(row)] if facts.trained(row) not in ("", "trained fully") else []
    return f"{linked_name(row)} ({escape(', '.join(about))})"


def linked_name(row: BoardRow) -> str:
    """The method, linked to its card if it belongs to the project."""
    method = row.result.spec.method
    label = escape(method.label)
    return f"[{label}]({DOCUMENTED}/{method.name}.md)" if row.documented else label


def _is_plain(name: str) -> bool:
    """Whether a name can stand in a link; entries are checked to have such names."""
    return all(letter.isascii() and (letter.isalnum() or letter in "@.-_") for letter in name)


def _literature() -> str:
    """Published numbers, one collapsed section per protocol."""
    parts = ["## Reported in the literature", f"{NOT_RANKED} Numbers by occupation are in `{NUMBERS}`."]
    for protocol in protocols():
        summary = summary_table(protocol)
        lines = [[escape("; ".join((cell.text, *cell.notes))) for cell in row.cells] for row in summary.rows]
        about = f"{escape(f'{protocol.about} {summary.about}. {protocol.year}')}, <{protocol.link}>."
        head = html.escape(f"{protocol.source}; model: {protocol.model}")
        body = table([escape(title) for title in summary.columns], lines)
        parts.append(f"<details><summary>{head}</summary>\n\n{about}\n\n{body}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _fronts(suite: Ranking) -> list[str]:
    """The methods on the Pareto front of each trade-off that are closer to the target than the baseline."""
    bands = {row.label: row.band for row in suite.rows}
    lines = []
    for plane in suite.planes:
        own = [label for label in plane.front if label in suite.closer]
        found = [f"{label} ({bands[label]})" if bands[label] != "ranked" else label for label in own]
        names = listing(found) or "no method that is closer to the target shares than the baseline"
        lines.append(f"**Pareto front of fairness and {plane.trade_off.kept}:** {escape(names)}.")
    return lines


def _image(suite: Ranking, plane: Plane, images: str) -> str:
    return f"![{escape(plane_text(plane))}]({images}/{suite.image(plane)})"


def _strengths(suite: Ranking) -> str:
    """Every setting of the methods that ran with several strengths, in a collapsed section."""
    readings = {row.label: Reading.of(row.result) for row in suite.every}
    spans = {p.name: dict(zip(readings, p.spans(list(readings.values())), strict=True)) for p in TRADE_OFFS}
    lines = []
    for curve in suite.curves:
        for label, value in zip(curve.labels, curve.values, strict=True):
            own = " (ranked)" if label == curve.own else ""
            setting = f"{curve.own}, {curve.parameter} = {value:g}{own}"
            side_effects = [trade_off.shown(spans[trade_off.name][label]) for trade_off in TRADE_OFFS]
            band = next(row.band for row in suite.every if row.label == label)
            distance = cell(readings[label].at(suite.key) if suite.key else None)
            lines.append([escape(setting), distance, *side_effects, band])
    titles = ["Method", "Distance ↓", *(f"{trade_off.title} ↓" for trade_off in TRADE_OFFS), "Band"]
    head = f"{plural(len(lines), 'setting')} of {plural(len(suite.curves), 'method')}"
    return f"<details><summary>{head}</summary>\n\n{table(titles, lines)}\n\n</details>"


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table, whose cells are Markdown."""
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _footnotes(suite: Ranking, column: Column) -> str:
    """What all rows share, in a collapsed section."""
    spec = suite.result.spec
    settings = ", ".join(f"{name} {value}" for name, value in sorted(spec.protocol.items()))
    cards = dict.fromkeys(f"{card.name} {card.version} ({card.digest[:12]})" for card in spec.prompt_sets)
    judges = ", ".join(f"{judge.name} {judge.version} ({judge.family})" for judge in panel(suite.result))
    notes = [
        f"{column.title}: {'; '.join(column.facts)}",
        f"Model {spec.model}, revision {spec.model_revision}; {plural(len(spec.concepts), 'concept')}",
        f"Protocol: {settings}",
        f"Prompt sets: {', '.join(cards)}",
        f"Voting judges: {judges}",
        f"Suite digest: {spec.suite_digest[:12]}",
    ]
    evidence = "; ".join(f"{name}: {meaning}" for name, meaning in EVIDENCE.items())
    lines = "\n".join(f"- {line}" for line in [f"Evidence: {evidence}", *map(escape, notes)])
    return f"<details><summary>What all rows share</summary>\n\n{lines}\n\n</details>"
