"""The public leaderboard: a pure function of its rows."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from evenhand.bench.policy.pareto import TRADE_OFFS, Plane, dominance_of
from evenhand.bench.policy.ranking import Ranking, layer_words, rank_words, rankings, title_of
from evenhand.bench.results.entry import BoardRow, panel
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import BASE
from evenhand.bench.results.text import NOT_MEASURED, count, listing, plural, slug
from evenhand.reports.components.charts import standalone
from evenhand.reports.leaderboard.columns import Column, cell, escape, further_columns, ranking_columns
from evenhand.reports.leaderboard.evidence import EVIDENCE
from evenhand.reports.leaderboard.literature import NOT_RANKED, NUMBERS, protocols, summary_table
from evenhand.reports.run.pareto import plane_image, spoken

INTRODUCTION = """\
# Leaderboard

How evenly text-to-image models depict people under each debiasing method, and what the method spoils.
All labels are perceived attributes of depicted people who do not exist.
This file is generated from `reports/entries` by `evenhand board build`; edit the entries, not this file.

**How to read it.** Methods are compared within one version of one suite only: same model, prompts, settings
and judges. The primary number is the distance from the target shares (RMSDelta): 0 for a model at the target,
1 for one that draws a single group. Parentheses hold 95% intervals; ↓ means that lower is better, ↑ that
higher is. The notes under the tables say how many images (n) are behind a column and what a perfectly fair
model shows with that many (the chance level).

The letter is the tie group: A holds every method that may be the best, and the data do not tell the methods
of one letter apart; the numbers after it are the ranks that the data allow. The order inside a letter means
nothing. A method below the line failed a gate and is not ranked: against the baseline it may have lost
more than 5 points of explicit fidelity, or it gained more than 5 points of undetermined images or of
over-correction. The front is Pareto's: methods that no other beats both in distance and in what it costs.

A method has one row, with the parameters that the suite gives it. Other strengths of the same method are not
ranked, because to choose the best one afterwards is to choose by chance; they stand in a table of their own.

**How to add a row.** Run the suite with the method, write the entries with `evenhand board submit RUN`
(a folder `reports/entries/<method>@<suite>-v<version>` each), check them with `evenhand board check`, build
with `evenhand board build`, and open a pull request with what changed. To challenge a row, run the same suite
and method and open an issue with your result. Nothing in an entry is executed.
"""

LEGEND = (
    "In the images: filled, on the front; open, behind it by values only; grey, behind it beyond the 95% "
    "intervals (thin lines) on both axes. A triangle fails a gate, a circle passes all, the square is the "
    "baseline. Shaded is what the front beats by values. Numbers are those of the tables."
)


def render_leaderboard(rows: Sequence[BoardRow], *, images: str = "reports/fronts") -> str:
    """The leaderboard as Markdown: the same rows in any order give the same bytes.

    Args:
        rows: The rows of all suites.
        images: Where the images of :func:`front_images` lie, as seen from the leaderboard.
    """
    sections = [_section(suite, images) for suite in rankings(rows)] or ["No entries yet.\n"]
    return "\n".join([INTRODUCTION, *sections, _literature()])


def front_images(rows: Sequence[BoardRow]) -> dict[str, str]:
    """File name to SVG: the methods of every suite, fairness against each trade_off."""
    found = {}
    for suite in rankings(rows):
        for plane in suite.planes:
            name = suite.image(plane)
            image = plane_image(plane, suite.failures, suite.base, name=slug(name))
            found[name] = standalone(image, title=f"{title_of(suite.result)}. {plane.trade_off.title}")
    return found


def _section(suite: Ranking, images: str) -> str:
    """One suite in one version: the ranked methods, those below the line, and all the rest."""
    readings, key, drawn = suite.readings, suite.key, suite.planes
    columns, further = ranking_columns(readings, key), further_columns(readings)
    lines = []
    for place, row in enumerate(suite.rows):
        cells = [column.cells[place] for column in columns]
        words = [_dominance(row, drawn), row.evidence]
        lines.append([str(place + 1), _name(row), _family(row), *cells, *words])
    titles = ["No.", "Method", "Family", *(column.title for column in columns), "Front", "Evidence"]
    pairs = list(zip(suite.rows, lines, strict=True))
    above = [[escape(rank_words(row)), *line] for row, line in pairs if not row.failed_gates]
    below = [[*line, escape("; ".join(row.failed_gates))] for row, line in pairs if row.failed_gates]
    parts = [f"## {escape(title_of(suite.result))}"]
    if drawn:
        shown = " ".join(_image(suite, plane, images) for plane in drawn)
        parts += [*_fronts(drawn, suite.failures), shown, LEGEND]
    parts.append(_table(["Rank", *titles], above) if above else "No method passes every gate yet.")
    if below:
        parts += ["### Below the line: not ranked", _table([*titles, "Gates not passed"], below)]
    parts += ["### Further numbers and cost", _costs(suite.rows, further)]
    if suite.curves:
        parts += ["### Other strengths: not ranked", _strengths(suite)]
    return "\n\n".join([*parts, _footnotes(suite, [*columns, *further])]) + "\n"


def _literature() -> str:
    """What others have published, protocol by protocol, folded away."""
    parts = ["## Reported in the literature", f"{NOT_RANKED} Numbers by occupation are in `{NUMBERS}`."]
    for protocol in protocols():
        table = summary_table(protocol)
        lines = [[escape("; ".join((cell.text, *cell.notes))) for cell in row.cells] for row in table.rows]
        about = f"{escape(f'{protocol.about} {table.about}. {protocol.year}')}, <{protocol.link}>."
        head = html.escape(f"{protocol.source}; model: {protocol.model}")
        body = _table([escape(title) for title in table.columns], lines)
        parts.append(f"<details><summary>{head}</summary>\n\n{about}\n\n{body}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _fronts(drawn: Sequence[Plane], failures: Mapping[str, Sequence[str]]) -> list[str]:
    """Who is on the Pareto front against each trade_off."""

    def names(labels: Sequence[str]) -> str:
        return escape(listing([f"{name} (below the line)" if failures[name] else name for name in labels]))

    lines = []
    for plane in drawn:
        found = dominance_of(plane.points)
        near = [point.label for point in plane.points if found[point.label] == "near"]
        line = f"**Pareto front of fairness and {plane.trade_off.kept}**, by values: {names(plane.front)}."
        if near:
            line += f" Behind it, but not beyond the intervals: {names(near)}."
        lines.append(line)
    return lines


def _image(suite: Ranking, plane: Plane, images: str) -> str:
    return f"![{escape(spoken(plane))}]({images}/{suite.image(plane)})"


def _name(row: BoardRow) -> str:
    method = row.result.spec.method
    return f"{escape(method.label)} {escape(method.version)}"


def _family(row: BoardRow) -> str:
    method = row.result.spec.method
    return "baseline" if method.name == BASE else escape(method.family)


def _dominance(row: BoardRow, drawn: Sequence[Plane]) -> str:
    """The front that the method is on, against every trade_off."""
    label = row.result.spec.method.label
    return "; ".join(f"{plane.trade_off.name} {layer_words(label, plane)}" for plane in drawn) or NOT_MEASURED


def _costs(rows: Sequence[BoardRow], further: Sequence[Column]) -> str:
    """Numbers beside the ranking, and what every method's fit used."""
    lines = []
    for place, row in enumerate(rows):
        cost = row.result.cost
        counts = (cost.fit_images, cost.fit_judgements, cost.fit_evaluations)
        judge = escape(row.result.spec.method.steering_judge or "none")
        cells = [column.cells[place] for column in further]
        lines.append([str(place + 1), _name(row), *cells, *map(count, counts), judge])
    costs = ["Images drawn to fit", "Images judged to fit", "Images through the U-Net to fit"]
    return _table(["No.", "Method", *(column.title for column in further), *costs, "Steering judge"], lines)


def _strengths(suite: Ranking) -> str:
    """Every setting of the methods that ran with several strengths, folded away."""
    readings = {row.result.spec.method.label: Reading.of(row.result) for row in suite.every}
    spans = {p.name: dict(zip(readings, p.spans(list(readings.values())), strict=True)) for p in TRADE_OFFS}
    lines = []
    for curve in suite.curves:
        for label, value in zip(curve.labels, curve.values, strict=True):
            setting = f"{curve.parameter} = {value:g}" + (" (the suite’s own)" if label == curve.own else "")
            prices = [trade_off.shown(spans[trade_off.name][label]) for trade_off in TRADE_OFFS]
            gates = "not all passed" if suite.failures[label] else "passed"
            distance = cell(readings[label].at(suite.key) if suite.key else None)
            lines.append([escape(curve.own), escape(setting), distance, *prices, gates])
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
        f"Judges that vote: {judges}",
        f"Suite digest: {spec.suite_digest[:12]}",
    ]
    front = (
        "Front: the 1st holds the methods whose distance and trade_off no other method beats, by values, against "
        "explicit fidelity lost and against change of unrelated images; the 2nd those that only methods of "
        "the 1st beat, and so on; “may be 1st” is beaten by values, but not beyond the intervals on both."
    )
    behind = "; ".join(f"{word}: {meaning}" for word, meaning in EVIDENCE.items())
    return "\n".join(f"- {line}" for line in [front, f"Evidence: {behind}", *map(escape, notes)])
