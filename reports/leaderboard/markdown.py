"""The leaderboard as Markdown: a pure function of its rows."""

from __future__ import annotations

import html
from collections.abc import Sequence

from evenhand.bench.policy.conclusion import worst_attributes
from evenhand.bench.policy.pareto import TRADE_OFFS, Plane, dominance_of
from evenhand.bench.policy.ranking import BANDS, Ranking, front_text, rank_text, rankings, title_of
from evenhand.bench.results.entry import BoardRow, panel
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import BASE
from evenhand.bench.results.text import NOT_MEASURED, count, listing, plural, slug
from evenhand.reports.components.charts import standalone
from evenhand.reports.components.wording import BAND_TEXTS, BAND_TITLES, estimand
from evenhand.reports.leaderboard.columns import (
    FIT_COSTS,
    Column,
    best_text,
    cell,
    escape,
    further_columns,
    ranking_columns,
)
from evenhand.reports.leaderboard.evidence import EVIDENCE
from evenhand.reports.leaderboard.literature import NOT_RANKED, NUMBERS, protocols, summary_table
from evenhand.reports.run.distances import pairs_text, worst_text
from evenhand.reports.run.pareto import plane_image, plane_text

INTRODUCTION = """\
# Leaderboard

This leaderboard shows how evenly text-to-image models depict people with each debiasing method, and which
side effects the method has. All labels are perceived attributes of depicted people who do not exist.
This file is generated from `reports/entries` by `evenhand board build`; edit the entries, not this file.

**How to read it.** Methods are only compared within one version of one suite: same model, prompts, settings
and judges. The primary metric is the distance from the target shares (RMSDelta): 0 for a model at the
target, 1 for one that shows a single group. Its square says how much more often than with even shares two
images of one concept show the same group, from 0 (as often) to 1 (always); the column “Same group in pairs”
gives that share of pairs itself. A joint distance can be small although one attribute is far from its target,
so the distances of the single attributes are beside it, and the worst is named.
Parentheses contain 95% intervals, or the value of a perfectly fair model where a number is inflated by small
samples and has no interval; ↓ means lower is better, ↑ higher is better. The notes under the tables give the
number of images of a column (n) and its chance level: the value of a perfectly fair model with that many
images.

The letter of a rank is the tie group: group A holds every method that may be the best, and methods with the
same letter are not distinguishable. The numbers after it are the ranks that the data allow. The order
within a tie group has no meaning. A method is ranked if the data exclude that it loses more against the
baseline than the gates allow. “Not proven” means that the images are too few to exclude it, with the number
that would decide; “harm proven” that the data show a larger loss. The front is the Pareto front:
the methods that no other method dominates in distance and in a side effect.

A method has one row, with the parameters that the suite sets. Its other strengths have a separate table and
are not ranked, because choosing the best one after the fact would favour chance.

**How to add a row.** Run the suite with the method, write the entries with `evenhand board submit RUN` (one
folder `reports/entries/<method>@<suite>-v<version>` per method), check them with `evenhand board check`,
build the leaderboard with `evenhand board build`, and open a pull request. To challenge a row, run the same
suite and method and open an issue with your result. Nothing in an entry is executed.
"""

LEGEND = (
    "In the figures, filled marks are on the front, open marks are dominated but within the 95% intervals "
    "(thin lines), grey marks are dominated beyond the intervals on both axes. Circles pass every gate, "
    "triangles do not, and the square is the baseline. The shaded region is dominated. Numbers refer to the "
    "tables."
)


def render_leaderboard(rows: Sequence[BoardRow], *, images: str = "reports/fronts") -> str:
    """The leaderboard as Markdown: the same rows in any order give the same bytes.

    Args:
        rows: The rows of all suites.
        images: Folder of the images of :func:`front_images`, relative to the leaderboard.
    """
    sections = [_section(suite, images) for suite in rankings(rows)] or ["No entries yet.\n"]
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


def _section(suite: Ranking, images: str) -> str:
    """One suite and version: a table for each band, and further tables."""
    columns, further, drawn = (
        ranking_columns(suite.readings, suite.key),
        further_columns(suite.readings),
        suite.planes,
    )
    lines, titles = _lines(suite, columns)
    parts = [
        f"## {escape(title_of(suite.result))}",
        f"{escape(estimand(suite.result.spec))} {escape(best_text(suite))}",
    ]
    if drawn:
        shown = " ".join(_image(suite, plane, images) for plane in drawn)
        parts += [*_fronts(suite), shown, LEGEND]
    for band in BANDS:
        own = [(row, line) for row, line in zip(suite.rows, lines, strict=True) if row.band == band]
        if band == "ranked":
            ranked = [[escape(rank_text(row)), *line] for row, line in own]
            parts.append(_table(["Rank", *titles], ranked) if own else "No method passes every gate yet.")
        elif own:
            reasons = [[*line, escape("; ".join(row.failed_gates))] for row, line in own]
            about = f"Not ranked: {BAND_TEXTS[band]}."
            parts += [f"### {BAND_TITLES[band]}", about, _table([*titles, "Gates not passed"], reasons)]
    parts += ["### Further metrics and cost", _costs(suite.rows, further)]
    if suite.curves:
        parts += ["### Other strengths (not ranked)", _strengths(suite)]
    return "\n\n".join([*parts, _footnotes(suite, [*columns, *further])]) + "\n"


def _lines(suite: Ranking, columns: Sequence[Column]) -> tuple[list[list[str]], list[str]]:
    """The cells of every row and their titles, without rank and gates."""
    readings = suite.readings
    worst = worst_attributes(readings, suite.key) if suite.key else [None] * len(readings)
    lines = []
    for place, row in enumerate(suite.rows):
        cells = [column.cells[place] for column in columns]
        match = pairs_text(readings[place], suite.key)
        about = [_fronts_text(row, suite.planes), row.evidence]
        lines.append(
            [str(place + 1), _name(row), _family(row), match, worst_text(worst[place]), *cells, *about]
        )
    titles = ["No.", "Method", "Family", "Same group in pairs ↓", "Worst attribute"]
    return lines, [*titles, *(column.title for column in columns), "Front", "Evidence"]


def _literature() -> str:
    """Published numbers, one collapsed section per protocol."""
    parts = ["## Reported in the literature", f"{NOT_RANKED} Numbers by occupation are in `{NUMBERS}`."]
    for protocol in protocols():
        table = summary_table(protocol)
        lines = [[escape("; ".join((cell.text, *cell.notes))) for cell in row.cells] for row in table.rows]
        about = f"{escape(f'{protocol.about} {table.about}. {protocol.year}')}, <{protocol.link}>."
        head = html.escape(f"{protocol.source}; model: {protocol.model}")
        body = _table([escape(title) for title in table.columns], lines)
        parts.append(f"<details><summary>{head}</summary>\n\n{about}\n\n{body}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _fronts(suite: Ranking) -> list[str]:
    """The methods on the Pareto front of each trade-off that are closer to the target than the baseline."""
    bands = {row.result.spec.method.label: row.band for row in suite.rows}

    def names(labels: Sequence[str]) -> str:
        found = [f"{x} ({bands[x]})" if bands[x] != "ranked" else x for x in labels if x in suite.closer]
        return escape(listing(found)) or "no method that is closer to the target shares than the baseline"

    lines = []
    for plane in suite.planes:
        found = dominance_of(plane.points)
        near = [p.label for p in plane.points if found[p.label] == "near" and p.label in suite.closer]
        line = f"**Pareto front of fairness and {plane.trade_off.kept}:** {names(plane.front)}."
        lines.append(line + (f" Dominated, but within the intervals: {names(near)}." if near else ""))
    return lines


def _image(suite: Ranking, plane: Plane, images: str) -> str:
    return f"![{escape(plane_text(plane))}]({images}/{suite.image(plane)})"


def _name(row: BoardRow) -> str:
    method = row.result.spec.method
    return f"{escape(method.label)} {escape(method.version)}"


def _family(row: BoardRow) -> str:
    method = row.result.spec.method
    return "baseline" if method.name == BASE else escape(method.family)


def _fronts_text(row: BoardRow, drawn: Sequence[Plane]) -> str:
    """The front that the method is on, for every trade-off."""
    label = row.result.spec.method.label
    return "; ".join(f"{plane.trade_off.name} {front_text(label, plane)}" for plane in drawn) or NOT_MEASURED


def _costs(rows: Sequence[BoardRow], further: Sequence[Column]) -> str:
    """Further metrics, and the cost of fitting every method."""
    lines = []
    for place, row in enumerate(rows):
        cost = row.result.cost
        counts = (cost.fit_images, cost.fit_judgements, cost.fit_evaluations)
        judge = escape(row.result.spec.method.steering_judge or "none")
        cells = [column.cells[place] for column in further]
        lines.append([str(place + 1), _name(row), *cells, *map(count, counts), judge])
    return _table(
        ["No.", "Method", *(column.title for column in further), *FIT_COSTS, "Steering judge"], lines
    )


def _strengths(suite: Ranking) -> str:
    """Every setting of the methods that ran with several strengths, in a collapsed section."""
    readings = {row.result.spec.method.label: Reading.of(row.result) for row in suite.every}
    spans = {p.name: dict(zip(readings, p.spans(list(readings.values())), strict=True)) for p in TRADE_OFFS}
    lines = []
    for curve in suite.curves:
        for label, value in zip(curve.labels, curve.values, strict=True):
            setting = f"{curve.parameter} = {value:g}" + (" (ranked)" if label == curve.own else "")
            side_effects = [trade_off.shown(spans[trade_off.name][label]) for trade_off in TRADE_OFFS]
            gates = next(row.band for row in suite.every if row.result.spec.method.label == label)
            distance = cell(readings[label].at(suite.key) if suite.key else None)
            lines.append([escape(curve.own), escape(setting), distance, *side_effects, gates])
    titles = [
        "Method",
        "Strength",
        "Distance ↓",
        *(f"{trade_off.title} ↓" for trade_off in TRADE_OFFS),
        "Gates",
    ]
    head = f"{plural(len(lines), 'setting')} of {plural(len(suite.curves), 'method')}"
    return f"<details><summary>{head}</summary>\n\n{_table(titles, lines)}\n\n</details>"


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _footnotes(suite: Ranking, columns: Sequence[Column]) -> str:
    spec = suite.result.spec
    settings = ", ".join(f"{name} {value}" for name, value in sorted(spec.protocol.items()))
    cards = dict.fromkeys(f"{card.name} {card.version} ({card.digest[:12]})" for card in spec.prompt_sets)
    judges = ", ".join(f"{judge.name} {judge.version} ({judge.family})" for judge in panel(suite.result))
    notes = [
        *(f"{column.title}: {'; '.join(column.facts)}" for column in columns if column.facts),
        f"Model {spec.model}, revision {spec.model_revision}; {plural(len(spec.concepts), 'concept')}",
        f"Protocol: {settings}",
        f"Prompt sets: {', '.join(cards)}",
        f"Voting judges: {judges}",
        f"Suite digest: {spec.suite_digest[:12]}",
    ]
    front = (
        "Front: number of the Pareto front of distance and each side effect (explicit fidelity lost, change "
        "of unrelated images), from the estimates. The 1st front holds the methods that no other dominates, "
        "the 2nd those that only methods of the 1st dominate, and so on. “Not distinguishable from 1st”: "
        "dominated by the estimates, but not beyond the intervals on both axes."
    )
    evidence = "; ".join(f"{name}: {meaning}" for name, meaning in EVIDENCE.items())
    return "\n".join(f"- {line}" for line in [front, f"Evidence: {evidence}", *map(escape, notes)])
