"""The measured errors of the judges on images of known truth, and what was corrected with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenhand.bench.policy.correction import correction_status
from evenhand.bench.results.lookup import Reading, attribute_names
from evenhand.bench.results.result import ErrorRow
from evenhand.bench.results.text import (
    PANEL,
    UNDETERMINED,
    attribute,
    count,
    interval,
    listing,
    number,
    sentence,
    slug,
)
from evenhand.reports.components.charts import Dot, draw
from evenhand.reports.components.downloads import Raw
from evenhand.reports.components.tables import Cell, Row, Table, counted, missing, text
from evenhand.reports.components.wording import measure
from evenhand.reports.run.figures import Figure, Panel
from evenhand.reports.run.judges import judge_names
from evenhand.reports.run.method_table import PUBLISHED_FORM


def errors_figure(readings: Sequence[Reading]) -> Figure | None:
    """How often each judge labels each group correctly; ``None`` where that was not measured."""
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
        "Share of the images of known truth that are labelled correctly. A missing label counts as "
        f"incorrect. n = {_sizes(rows)} images per group.",
        _right_table(rows, groups),
    )


def errors_tables(readings: Sequence[Reading]) -> list[Table]:
    """The confusion matrix of every judge, one table per attribute."""
    rows = _known(readings)
    names = dict.fromkeys(row.attribute for row in rows)
    return [_matrix([row for row in rows if row.attribute == name], name) for name in names]


def corrections(readings: Sequence[Reading]) -> list[tuple[str, str]]:
    """Which metrics were corrected for judge error and which were not, as terms with descriptions."""
    rows = [
        row
        for reading in readings
        for row in reading.result.estimates
        if row.judge == PANEL and not row.concept and not row.group
    ]
    corrected = dict.fromkeys(
        row.metric for row in rows if row.corrected and row.metric not in PUBLISHED_FORM
    )
    uncorrected = [name for name in dict.fromkeys(row.metric for row in rows) if name not in corrected]
    terms = []
    if corrected:
        terms.append(("Corrected", listing([measure(name).title for name in corrected])))
    if uncorrected:
        terms.append(("Not corrected", listing([measure(name).title for name in uncorrected])))
    known = [row for row in _known(readings) if row.label == row.truth]
    if known:
        terms.append(("Errors measured on", f"{_sizes(known)} images of known truth for each group"))
    if corrected:
        terms.append(("Method of correction", _HOW))
        checked = dict.fromkeys(correction_status(reading.result).sentence for reading in readings)
        terms.append(("Verification", "; ".join(sentence(clause) for clause in checked)))
    return terms


_HOW = (
    "The measured confusion matrices are inverted: the corrected shares are those that would give the "
    "judges’ labels under these errors. The intervals include the sampling error of the matrices. Where a "
    "number could not be corrected for every method, it is shown uncorrected for all."
)


def _known(readings: Sequence[Reading]) -> list[ErrorRow]:
    """Every error row once, by attribute: the panel first, then the judges in the order of the suite."""
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
    """The groups that the panel labels correctly most and least often; without a panel, the judges."""
    own = [row for row in rows if row.judge == PANEL] or rows
    who = "the panel labels" if own[0].judge == PANEL else "the judges label"
    worst, best = min(own, key=_share), max(own, key=_share)
    if worst.value == best.value:
        return f"Where the truth is known, {who} {number(worst.value, percent=True)} of the images correctly"
    return (
        f"Where the truth is known, {who} {number(worst.value, percent=True)} ({worst.truth}) to "
        f"{number(best.value, percent=True)} ({best.truth}) of the images correctly"
    )


def _sizes(rows: Sequence[ErrorRow]) -> str:
    """The number of images behind the rows, as a range."""
    sizes = [row.n for row in rows]
    return " to ".join(dict.fromkeys(count(n) for n in (min(sizes), max(sizes))))


def _share(row: ErrorRow) -> float:
    return row.value


def _panel(rows: Sequence[ErrorRow], *, name: str, lower: float) -> Panel:
    """The panel of one group: a line for every judge, on an axis from ``lower`` to one."""
    heading = f"{sentence(attribute(rows[0].attribute))}: {rows[0].truth}"
    dots = [
        Dot(row.judge, "full" if row.judge == PANEL else "open", row.value, row.low, row.high, n=row.n)
        for row in rows
    ]
    values = ", ".join(f"{row.judge} {number(row.value, percent=True)}" for row in rows)
    image = draw(
        dots,
        name=name,
        label=f"{heading}, labelled correctly: {values}",
        axis="labelled correctly",
        domain=(min(max(lower, 0), 0.9), 1),
        percent=True,
    )
    return Panel(heading, image)


def _right_table(rows: Sequence[ErrorRow], groups: Sequence[tuple[str, str]]) -> Table:
    found = {(row.judge, row.attribute, row.truth): row for row in rows}
    judges = list(dict.fromkeys(row.judge for row in rows))
    lines = [
        Row(
            [text(truth), *(_cell(found.get((judge, name, truth)), n=True) for judge in judges)], _title(name)
        )
        for name, truth in groups
    ]
    about = "share of the images of known truth; 95% intervals (Wilson)"
    return Table(
        "judges-right-data", "How often each judge labels correctly", ["Truth", *judges], lines, about
    )


def _matrix(rows: Sequence[ErrorRow], name: str) -> Table:
    """The judges' confusion matrices for one attribute, one below the other."""
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
    about = "one row per true group, adding up to 100%; 95% intervals (Wilson)"
    return Table(f"errors-{slug(name)}", title, columns, lines, about)


def _cell(row: ErrorRow | None, *, n: bool = False) -> Cell:
    """A rate with its interval; with the number of images where no column has it."""
    if row is None or not math.isfinite(row.value):
        return missing()
    ends = interval(row.low, row.high, percent=True) or "no interval"
    raw: dict[str, Raw] = {"": row.value, "low": row.low, "high": row.high}
    if n:
        raw["n"] = row.n
    notes = (ends, *([f"n {count(row.n)}"] if n else []))
    return Cell(number(row.value, percent=True), notes, "number", raw)


def _title(name: str) -> str:
    return sentence(attribute(name))
