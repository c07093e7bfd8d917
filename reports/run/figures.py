"""The figures of the audit report: the numbers of each panel, and the finding in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from evenhand.bench.results.lookup import (
    COMPARED_METRIC,
    Key,
    Reading,
    base_of,
    cell_shares,
    comparable,
    concept_names,
    measured_attributes,
)
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import SHARE, attribute, cell, count, number, plural, sentence, slug
from evenhand.reports.components.charts import Dot, Look, draw, standalone
from evenhand.reports.components.downloads import Attachment, archive, link
from evenhand.reports.components.tables import Row, Table, estimated, images_and_chance, text
from evenhand.reports.components.wording import CORRECTED, UNCORRECTED, measure
from evenhand.reports.run.findings import (
    UNEVEN,
    UNEVEN_SHARE,
    Numbers,
    distance,
    judges_spread,
    rarest,
    unevenness,
    value_of,
    values_text,
)
from evenhand.reports.run.judges import judge_names, spread_table
from evenhand.reports.run.report_text import report_text_of

MAX_PANELS = 6
"""Methods beyond this number are in a figure's table but have no panel."""

LARGEST = 80_000
"""Bytes up to which the figures are on the page as files too."""

MAX_LINES = 40
"""Concepts or cells beyond this number are only in the download of every estimate."""


@dataclass(frozen=True)
class Panel:
    """One image of a figure with its heading."""

    heading: str
    image: Markup


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: Anchor on the page.
        title: The finding.
        panels: The images.
        legend: Name of a mark of the template and its meaning.
        caption: How to read it, and the number of images.
        table: The data.
        key: Number in the images, mark and method label; empty where the images have no numbers.
    """

    name: str
    title: str
    panels: list[Panel]
    legend: list[tuple[str, str]]
    caption: str
    table: Table
    key: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Frame:
    """What the panels of a figure share; ``targets`` gives the target of each line."""

    name: str
    axis: str
    targets: Mapping[str, float]
    percent: bool
    upper: float
    lower: float = 0


def overview(readings: Sequence[Reading], key: Key) -> Figure:
    """The primary metric of every method, one panel per attribute set."""
    title = measure(key.metric).title
    numbers = {
        name: comparable(readings, key.metric, name)[""] for name in measured_attributes(readings, key.metric)
    }
    panels = []
    for place, (name, rows) in enumerate(numbers.items()):
        dots = [
            dot_of(reading.label, "open" if reading.is_base and len(readings) > 1 else "full", row)
            for reading, row in zip(readings, rows, strict=True)
            if row is not None
        ]
        label = f"{title} over {attribute(name)}: {values_text(readings, rows)}"
        image = draw(
            dots, name=f"overview-{place}", label=label, axis="distance", domain=(0, 1), percent=False
        )
        panels.append(Panel(sentence(attribute(name)), image))
    lines = {attribute(name): rows for name, rows in numbers.items()}
    return Figure(
        "overview",
        distance(readings, key.attributes, numbers[key.attributes]),
        panels,
        dot_legend(readings),
        f"0: target shares; 1: one group only. {images_behind(lines)}",
        figure_table("overview-data", title, "Attributes", readings, lines),
    )


def occupations(readings: Sequence[Reading], attributes: str) -> Figure | None:
    """Every concept for the baseline and each method, one panel per method; ``None`` where not measured."""
    metric, group, found = concept_numbers(readings, attributes)
    if not found:
        return None
    spec = readings[0].result.spec
    targets = {
        name: spec.target_share(attributes, group, concept=name) if group else math.nan for name in found
    }
    numbers = _sorted(farthest(found, targets))
    name = f"by-concept-{slug(attributes)}"
    title = f"Share perceived as {group}" if group else measure(metric).title
    # An unbiased distance may fall below 0 by chance.
    lower = min((row.value for line in numbers.values() for row in line if row and row.value < 0), default=0)
    axis = title.lower() if group else "squared distance"
    frame = Frame(name, axis, targets, percent=bool(group), upper=1, lower=lower)
    return Figure(
        name,
        unevenness(readings, attributes, found, targets),
        _before_after(readings, numbers, frame),
        [
            *dot_legend(readings),
            ("target", "target share") if group else ("chance", "chance level of a fair model"),
        ],
        f"{UNEVEN_SHARE if group else UNEVEN} {images_behind(numbers)}{lines_left_out(found, 'concepts')}"
        f"{_omitted(readings)}",
        figure_table(
            f"{name}-data", f"{title} by concept: {attribute(attributes)}", "Concept", readings, numbers
        ),
    )


def cells(readings: Sequence[Reading], attributes: str) -> Figure | None:
    """The share of every joint cell against its target; ``None`` where shares were not measured."""
    spec = readings[0].result.spec
    measured = cell_shares(readings, attributes)
    if not measured:
        return None
    shares = {cell(name): rows for name, rows in measured.items()}
    targets = {cell(name): spec.target_share(attributes, name) for name in measured}
    numbers = farthest(shares, targets)
    highs = [
        row.high for line in numbers.values() for row in line if row is not None and math.isfinite(row.high)
    ]
    upper = min(1, 1.05 * max(highs, default=1))
    frame = Frame("cells", "share of the images", targets, percent=True, upper=upper)
    return Figure(
        "cells",
        rarest(readings, shares, targets, what="cell"),
        _before_after(readings, numbers, frame),
        [*dot_legend(readings), ("target", "target share")],
        "Mean share over the concepts; lines are 95% intervals. "
        f"{images_behind(numbers)}{lines_left_out(shares, 'cells')}{_omitted(readings)}",
        figure_table(
            "cells-data", f"Share of each cell of {attribute(attributes)}", "Cell", readings, numbers
        ),
    )


def by_judge(readings: Sequence[Reading], key: Key) -> Figure | None:
    """The primary number by each judge alone; ``None`` where only the panel was measured."""
    judges = [
        judge for judge in judge_names(readings) if any(_judged(reading, key, judge) for reading in readings)
    ]
    if len(judges) < 2:
        return None
    numbers = {r.label: [row for judge in judges for row in _judged(r, key, judge)] for r in readings}
    panels = []
    for place, (heading, rows) in enumerate(list(numbers.items())[:MAX_PANELS]):
        dots = [dot_of(row.judge, "full" if row.corrected else "open", row) for row in rows]
        values = ", ".join(
            f"{row.judge} {'corrected ' if row.corrected else ''}{number(row.value)}" for row in rows
        )
        label = f"{heading}: {values}"
        image = draw(
            dots, name=f"by-judge-{place}", label=label, axis="distance", domain=(0, 1), percent=False
        )
        panels.append(Panel(heading, image))
    return Figure(
        "by-judge",
        judges_spread(readings[0], next(iter(numbers.values()))),
        panels,
        [("open", UNCORRECTED), ("full", CORRECTED)],
        f"{measure(key.metric).title}, {attribute(key.attributes)}; lines are 95% intervals. "
        f"{images_behind(numbers)}{_omitted(readings)}",
        spread_table(readings, key),
    )


def _before_after(readings: Sequence[Reading], numbers: Numbers, frame: Frame) -> list[Panel]:
    """One panel per method together with the baseline; a single panel where there is one reading."""
    base = base_of(readings)
    places = [place for place, reading in enumerate(readings) if reading is not base] or [0]
    panels = []
    for place in places[:MAX_PANELS]:
        looks: list[tuple[int, Look]] = [(place, "full")]
        if base is not None and len(readings) > 1:
            looks.insert(0, (readings.index(base), "open"))
        dots = [
            dot_of(line, look, row, frame.targets[line], whose="baseline" if look == "open" else "")
            for line, rows in numbers.items()
            for index, look in looks
            if (row := rows[index]) is not None
        ]
        heading = readings[place].label
        label = (
            f"{frame.axis}, {heading}"
            + (" and the baseline" if len(looks) > 1 else "")
            + "; data in the table below"
        )
        image = draw(
            dots,
            name=f"{frame.name}-{place}",
            label=label,
            axis=frame.axis,
            domain=(frame.lower, frame.upper),
            percent=frame.percent,
        )
        panels.append(Panel(heading, image))
    return panels


def concept_numbers(readings: Sequence[Reading], attributes: str) -> tuple[str, str, Numbers]:
    """Metric, group and rows per concept: the share of the first of two groups, or else a squared distance.

    The distances are uncorrected. They are the squared ones, since only those are unbiased for one concept.
    """
    concepts = concept_names([reading.result for reading in readings])
    groups = readings[0].result.spec.attributes.get(attributes, [])
    if len(groups) == 2:
        shares = _measured(comparable(readings, SHARE, attributes, concepts=concepts, group=groups[0]))
        if shares:
            return SHARE, groups[0], shares
    found = _measured(
        {name: [r.naive(COMPARED_METRIC, attributes, concept=name) for r in readings] for name in concepts}
    )
    return (COMPARED_METRIC, "", found) if found else ("", "", {})


def _measured(numbers: Numbers) -> Numbers:
    return {line: rows for line, rows in numbers.items() if any(row is not None for row in rows)}


def farthest(numbers: Numbers, targets: Mapping[str, float]) -> Numbers:
    """The lines that fit: those farthest from their target in the first reading, in the given order."""

    def away(line: str) -> float:
        value = value_of(numbers[line][0])
        return abs(value - targets[line]) if math.isfinite(value) and math.isfinite(targets[line]) else value

    kept = set(sorted(numbers, key=away, reverse=True)[:MAX_LINES])
    return {line: rows for line, rows in numbers.items() if line in kept}


def _sorted(numbers: Numbers) -> Numbers:
    return dict(sorted(numbers.items(), key=lambda item: -value_of(item[1][0])))


def lines_left_out(numbers: Numbers, what: str) -> str:
    """A sentence where not every line is drawn."""
    if len(numbers) <= MAX_LINES:
        return ""
    return (
        f" The figure shows the {MAX_LINES} of {count(len(numbers))} {what} that are farthest from the "
        "target in the first column of the data; the download of every estimate has all."
    )


def _judged(reading: Reading, key: Key, judge: str) -> list[EstimateRow]:
    rows = [reading.at(key._replace(judge=judge, corrected=corrected)) for corrected in (False, True)]
    return [row for row in rows if row is not None]


def dot_of(line: str, look: Look, row: EstimateRow, target: float = math.nan, *, whose: str = "") -> Dot:
    """The estimate as a dot on its line; ``whose`` names the method where a line has several."""
    return Dot(line, look, row.value, row.low, row.high, row.floor, target, row.n, whose)


def dot_legend(readings: Sequence[Reading]) -> list[tuple[str, str]]:
    """The legend of the two styles of dots."""
    if len(readings) == 1 or base_of(readings) is None:
        return [("full", "estimate with its 95% interval")]
    subject = report_text_of(readings[0].result.spec).subject
    return [("open", "baseline"), ("full", f"{subject}; lines are 95% intervals")]


def figure_table(name: str, caption: str, first: str, readings: Sequence[Reading], numbers: Numbers) -> Table:
    """The data of a figure: a row per entry of ``numbers``, a column per reading."""
    rows = [Row([text(line), *map(estimated, found)]) for line, found in numbers.items()]
    facts = images_and_chance(row for found in numbers.values() for row in found)
    columns = [first, *(reading.label for reading in readings)]
    return Table(name, caption, columns, rows, about="; ".join(["95% intervals", *facts]))


def images_behind(numbers: Numbers) -> str:
    """The number of images of the estimates, as a sentence."""
    counts = [row.n for rows in numbers.values() for row in rows if row is not None]
    low, high = min(counts), max(counts)
    return f"n = {count(low)} each." if low == high else f"n = {count(low)} to {count(high)} each."


def _omitted(readings: Sequence[Reading]) -> str:
    more = len([reading for reading in readings if not reading.is_base]) - MAX_PANELS
    subject = report_text_of(readings[0].result.spec).subject
    return f" {plural(more, f'more {subject}')} in the data only." if more > 0 else ""


def figures_archive(figures: Sequence[Figure]) -> Attachment | None:
    """Every chart of the figures as an SVG file, in a ZIP.

    ``None`` without figures, and where the ZIP would be too large to be on the page a second time; its script
    still saves each figure.
    """
    files: dict[str, str] = {}
    for figure in figures:
        for place, panel in enumerate(figure.panels, start=1):
            name = f"{figure.name}-{place}.svg" if len(figure.panels) > 1 else f"{figure.name}.svg"
            files[name] = standalone(panel.image, title=f"{figure.title} ({panel.heading})")
    packed = archive(files)
    if not files or len(packed) > LARGEST:
        return None
    return Attachment("figures.zip", "Every figure as SVG", link("application/zip", packed))
