"""What the judges were seen to get wrong where the truth is known, and what was corrected with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenhand.bench.results.lookup import Reading, attribute_names
from evenhand.bench.results.result import ErrorRow
from evenhand.bench.results.text import attribute, count, interval, listing, number, sentence, slug
from evenhand.reports.components.charts import Dot, draw
from evenhand.reports.components.tables import Cell, Row, Table, counted, missing, text
from evenhand.reports.components.wording import measure
from evenhand.reports.run.figures import Figure, Panel
from evenhand.reports.run.judges import judge_names
from evenhand.reports.run.method_table import PUBLISHED_FORM

PANEL = "panel"
UNDETERMINED = "undetermined"


def errors_figure(readings: Sequence[Reading]) -> Figure | None:
    """How often each judge is right about each group; ``None`` where that was not measured."""
    rows = [row for row in _known(readings) if row.label == row.truth and math.isfinite(row.value)]
    if not rows:
        return None
    groups = list(dict.fromkeys((row.attribute, row.truth) for row in rows))
    lower = math.floor(10 * min((row.low for row in rows if math.isfinite(row.low)), default=0)) / 10
    panels = [
        _panel(
            [row for row in rows if (row.attribute, row.truth) == group], name=f"right-{place}", lower=lower
        )
        for place, group in enumerate(groups)
    ]
    return Figure(
        "judges-right",
        _finding(rows),
        panels,
        [("full", "the panel’s vote"), ("open", "one judge; lines are 95% intervals")],
        "Share of the images of known truth that get the right label. A label that is missing counts as "
        f"not right. n = {_sizes(rows)} images of a group.",
        _right_table(rows, groups),
    )


def errors_tables(readings: Sequence[Reading]) -> list[Table]:
    """The confusion matrix of every judge, a table per attribute."""
    rows = _known(readings)
    names = dict.fromkeys(row.attribute for row in rows)
    return [_matrix([row for row in rows if row.attribute == name], name) for name in names]


def corrections(readings: Sequence[Reading]) -> list[tuple[str, str]]:
    """What was corrected for the judges' errors and what was not, as terms with their descriptions."""
    rows = [
        row
        for reading in readings
        for row in reading.result.estimates
        if row.judge == PANEL and not row.concept and not row.group
    ]
    mended = dict.fromkeys(row.metric for row in rows if row.corrected and row.metric not in PUBLISHED_FORM)
    bare = [name for name in dict.fromkeys(row.metric for row in rows) if name not in mended]
    terms = []
    if mended:
        terms.append(("Corrected", listing([measure(name).title for name in mended])))
    if bare:
        terms.append(("As the judges see it", listing([measure(name).title for name in bare])))
    known = [row for row in _known(readings) if row.label == row.truth]
    if known:
        terms.append(("Errors measured on", f"{_sizes(known)} images of known truth for each group"))
    if mended:
        terms.append(("How", _HOW))
    return terms


_HOW = (
    "The measured confusion matrices are inverted: the corrected shares are those that, read with these "
    "errors, give what the judges said. The intervals carry the chance in the matrices too. Where a number "
    "could not be corrected for every method, all are shown as the judges see them."
)


def _known(readings: Sequence[Reading]) -> list[ErrorRow]:
    """Every error row once, by attribute: the panel first, then the judges in the suite's order."""
    found = {
        (row.judge, row.attribute, row.truth, row.label): row
        for reading in readings
        for row in reading.result.judge_errors
    }
    judges = {name: place for place, name in enumerate(judge_names(readings))}
    names = attribute_names([reading.result for reading in readings])
    attributes = {name: place for place, name in enumerate(names)}
    return sorted(
        found.values(),
        key=lambda row: (attributes.get(row.attribute, len(names)), judges.get(row.judge, len(judges))),
    )


def _finding(rows: Sequence[ErrorRow]) -> str:
    """Where the panel is right most and least often; without a panel, the judges."""
    own = [row for row in rows if row.judge == PANEL] or rows
    who = "the panel" if own[0].judge == PANEL else "the judges"
    worst, best = min(own, key=_share), max(own, key=_share)
    if worst.value == best.value:
        return (
            f"Where the truth is known, {who} is right in {number(worst.value, percent=True)} of the images"
        )
    return (
        f"Where the truth is known, {who} is right in {number(worst.value, percent=True)} ({worst.truth}) to "
        f"{number(best.value, percent=True)} ({best.truth}) of the images"
    )


def _sizes(rows: Sequence[ErrorRow]) -> str:
    """The number of images behind the rows, as a range."""
    sizes = [row.n for row in rows]
    return " to ".join(dict.fromkeys(count(n) for n in (min(sizes), max(sizes))))


def _share(row: ErrorRow) -> float:
    return row.value


def _panel(rows: Sequence[ErrorRow], *, name: str, lower: float) -> Panel:
    """One group: a line for every judge, on an axis from ``lower`` to one."""
    heading = f"{sentence(attribute(rows[0].attribute))}: {rows[0].truth}"
    dots = [
        Dot(row.judge, "full" if row.judge == PANEL else "open", row.value, row.low, row.high) for row in rows
    ]
    spoken = ", ".join(f"{row.judge} {number(row.value, percent=True)}" for row in rows)
    image = draw(
        dots,
        name=name,
        label=f"{heading}, labelled right: {spoken}",
        axis="labelled right",
        domain=(min(max(lower, 0), 0.9), 1),
        percent=True,
    )
    return Panel(heading, image)


def _right_table(rows: Sequence[ErrorRow], groups: Sequence[tuple[str, str]]) -> Table:
    found = {(row.judge, row.attribute, row.truth): row for row in rows}
    judges = list(dict.fromkeys(row.judge for row in rows))
    lines = [
        Row([text(truth), *(_cell(found.get((judge, name, truth))) for judge in judges)], _title(name))
        for name, truth in groups
    ]
    about = "share of the images of known truth; 95% intervals (Wilson)"
    return Table("judges-right-data", "How often each judge is right", ["Truth", *judges], lines, about)


def _matrix(rows: Sequence[ErrorRow], name: str) -> Table:
    """The judges' confusion matrices for one attribute, one under the other."""
    labels = list(dict.fromkeys(row.label for row in rows))
    labels.sort(key=lambda label: label == UNDETERMINED)
    found = {(row.judge, row.truth, row.label): row for row in rows}
    lines = []
    for judge, truth in dict.fromkeys((row.judge, row.truth) for row in rows):
        own = [found.get((judge, truth, label)) for label in labels]
        images = max(row.n for row in own if row is not None)
        lines.append(Row([text(truth), *map(_cell, own), counted(images)], judge))
    title = f"Confusion matrices: {attribute(name)}"
    columns = ["Truth", *(f"labelled {label}" for label in labels), "Images"]
    about = "a line per truth, adding up to 100%; 95% intervals (Wilson)"
    return Table(f"errors-{slug(name)}", title, columns, lines, about)


def _cell(row: ErrorRow | None) -> Cell:
    if row is None or not math.isfinite(row.value):
        return missing()
    ends = interval(row.low, row.high, percent=True) or "no interval"
    raw = {"": row.value, "low": row.low, "high": row.high}
    return Cell(number(row.value, percent=True), (ends,), "number", raw)


def _title(name: str) -> str:
    return sentence(attribute(name))
