"""The tables of a comparison: differences, changed labels, and settings that differ between the sides."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.policy.measurable import WIDEST, measurable
from evenhand.bench.results.comparison import Comparison, DifferenceRow, Side
from evenhand.bench.results.lookup import COMPARED_METRIC, Key, Reading, served_worst
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import KINDS, PANEL, attribute, count, number, plural, sentence
from evenhand.reports.components.downloads import Download, Raw, write_csv
from evenhand.reports.components.tables import (
    Cell,
    Row,
    Table,
    counted,
    estimated,
    missing,
    no_p_value,
    of_group,
    p_value,
    text,
)
from evenhand.reports.components.wording import (
    CORRECTED,
    UNCORRECTED,
    change,
    interval_of_change,
    measure,
    possible,
)
from evenhand.reports.run.method_table import (
    BIAS,
    NOT_MEASURABLE,
    PRIMARY_SET_ONLY,
    PUBLISHED_FORM,
    SIDE_EFFECTS,
    SINGLE_ATTRIBUTES_ONLY,
)

MEANINGS = {
    "preservation_distance": (
        "0: identical to the other side’s image of the same seed; 1: as different as two of its seeds"
    )
}
"""The meaning of differences that are not differences of two values."""


def summary(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Headings and rows for the command line: the primary number of every pair."""
    rows = comparison.headline
    how = "corrected" if any(row.corrected for row in rows) else "uncorrected"
    title = f"squared RMSDelta {attribute(comparison.primary)}, {how}"
    found = {(row.label, row.against): row for row in rows}
    lines = []
    for pair in comparison.pairs:
        row = found.get((pair.label, pair.against))
        p = p_value(row.p_holm) if row and math.isfinite(row.p_holm) else "-"
        lines.append([pair.label, pair.against, "not measured" if row is None else shown(row), p])
    return ["method", "minus", title, "p (Holm)"], lines


def signed(row: DifferenceRow, *, digits: int = 3) -> str:
    """A difference with its sign, formatted."""
    return change(row.metric, row.value, digits=digits)


def shown(row: DifferenceRow, *, digits: int = 3) -> str:
    """A difference with its interval, for sentences and the command line."""
    ends = ends_of(row, digits=digits)
    return signed(row, digits=digits) + (f" (95% interval {ends})" if ends else " (no interval)")


def ends_of(row: DifferenceRow, *, digits: int = 3) -> str:
    """The interval of a difference; empty without one."""
    if _still(row):
        return ""
    low, high = possible(row.metric, row.low, row.high)
    return interval_of_change(row.metric, low, high, digits=digits)


def _still(row: DifferenceRow) -> bool:
    """Whether the interval is degenerate: with one image per concept nothing can be resampled."""
    return row.value != 0 and row.low == row.high


def direction(row: DifferenceRow) -> str:
    """``"better"``, ``"worse"`` or ``"other"`` where the interval excludes zero; empty otherwise."""
    if _still(row) or not (row.low > 0 or row.high < 0):
        return ""
    good = {"lower": row.high < 0, "higher": row.low > 0}.get(measure(row.metric).better)
    if good is None or row.metric in MEANINGS:
        return "other"
    return "better" if good else "worse"


@dataclass(frozen=True)
class Line:
    """An aggregate with its difference in every pair that has one.

    Attributes:
        metric: The metric.
        attributes: Its attribute set.
        kind: Kind of the prompts.
        found: Both labels of a pair to its difference.
    """

    metric: str
    attributes: str
    kind: str
    found: Mapping[tuple[str, str], DifferenceRow]


def lines_of(comparison: Comparison) -> list[Line]:
    """The aggregates of the audit report's table of measures, in its order; the download has all."""
    order = [*BIAS, *SIDE_EFFECTS]
    names = [comparison.primary, *comparison.attributes]

    def place(key: tuple[str, str, str]) -> tuple[int, str, int, str, int]:
        metric, name, kind = key
        known = order.index(metric) if metric in order else len(order)
        kinds = list(KINDS)
        return (
            known,
            metric,
            names.index(name) if name in names else len(names),
            name,
            kinds.index(kind) if kind in kinds else len(kinds),
        )

    rows = [row for row in comparison.differences if not row.concept and not row.group]
    keys = {(row.metric, row.attributes, row.kind) for row in rows if row.judge in (PANEL, "")}
    kept = [key for key in sorted(keys, key=place) if _is_shown(*key[:2], comparison.primary)]
    first = {(metric, name): kind for metric, name, kind in reversed(kept)}
    return [
        Line(
            metric,
            name,
            kind,
            comparison.differences_in(metric, name, kind=kind, naive=metric in PUBLISHED_FORM),
        )
        for metric, name, kind in kept
        if kind in measure(metric).kinds or kind == first[metric, name]
    ]


def _is_shown(metric: str, name: str, primary: str) -> bool:
    """Whether the audit report shows the metric for these attributes."""
    if metric in PUBLISHED_FORM:
        return name == "gender"
    if metric in PRIMARY_SET_ONLY:
        return name == primary
    return not (metric in SINGLE_ATTRIBUTES_ONLY and "*" in name)


def differences_table(comparison: Comparison, readings: Mapping[str, Reading]) -> Table:
    """Every measure with its difference in every pair; for a single pair also with the values of both sides.

    Args:
        comparison: The comparison.
        readings: Label of a side to its reading.
    """
    pairs = comparison.pairs
    rows = []
    for line in lines_of(comparison):
        how = measure(line.metric)
        better = f"{how.better} is better" if how.better and line.metric not in MEANINGS else ""
        about = "; ".join(filter(None, (MEANINGS.get(line.metric, how.meaning), better)))
        found = [line.found.get((pair.label, pair.against)) for pair in pairs]
        cells = _alone(found[0], readings) if len(pairs) == 1 else [_among(row, readings) for row in found]
        rows.append(Row([_head(line, comparison.primary), *cells], how.title, about))
    columns = [pair.title for pair in pairs]
    if len(pairs) == 1:
        columns = ["Difference", "p", pairs[0].label, pairs[0].against]
    return Table(
        "differences",
        "Paired differences on the shared prompts and seeds",
        ["Measure", *columns],
        rows,
        about=f"95% intervals, not adjusted; {_about_p(comparison)}",
    )


def _about_p(comparison: Comparison) -> str:
    """The test of the p-values, or what it would need to give any."""
    pairs = len(comparison.pairs)
    rows = [row for row in comparison.differences if not row.concept and not row.group]
    untested = no_p_value(concepts=len(comparison.concepts), tests=pairs)
    if not any(math.isfinite(row.p) for row in rows):
        return untested
    by_holm = f", adjusted by Holm over {plural(pairs, 'pair')}" if pairs > 1 else ""
    tested = f"p of the sign-flip test over concepts{by_holm}"
    headline = all(math.isfinite(row.p) for row in comparison.headline)
    return tested if headline else f"{tested}; elsewhere {untested}"


def _head(line: Line, primary: str) -> Cell:
    """The first cell of a line."""
    row, prompts = next(iter(line.found.values())), KINDS.get(line.kind, line.kind)
    title = sentence(attribute(line.attributes) or prompts)
    notes = ["primary measure"] if (line.metric, line.attributes) == (COMPARED_METRIC, primary) else []
    if row.judge:
        notes.append(CORRECTED if row.corrected else UNCORRECTED)
    if line.attributes and line.kind != "neutral":
        notes.append(prompts)
    return Cell(title, ("; ".join(notes),), raw={"": f"{measure(line.metric).title}: {title}"})


def _alone(row: DifferenceRow | None, readings: Mapping[str, Reading]) -> list[Cell]:
    if row is None:
        return [missing() for _ in range(4)]
    p = text("no test")
    if math.isfinite(row.p):
        p = Cell(p_value(row.p), kind="number", raw={"": row.p})
    sides = zip((row.label, row.against), sides_of(row, readings), strict=True)
    return [_difference(row), p, *(_side(readings[label], side) for label, side in sides)]


def _side(reading: Reading, row: EstimateRow | None) -> Cell:
    """The value of one side with the images that it is of."""
    worst = served_worst(reading, row) if row is not None else None
    if worst is not None:
        return of_group(worst)
    return estimated(row, notes=[f"n {count(row.n)}"] if row is not None else [])


def _among(row: DifferenceRow | None, readings: Mapping[str, Reading]) -> Cell:
    if row is None:
        return missing()
    percent = measure(row.metric).percent
    sides = [number(side.value, percent=percent) for side in sides_of(row, readings) if side is not None]
    notes = [f"p {p_value(row.p_holm)}"] if math.isfinite(row.p_holm) else []
    return _difference(row, *notes, *([" vs. ".join(sides)] if sides else []))


def _difference(row: DifferenceRow, *notes: str) -> Cell:
    if row.metric == "over_correction" and not measurable(row.low, row.high):
        width = f"{100 * (row.high - row.low):.0f} points wide, less than {100 * WIDEST:.0f} are needed"
        return missing(f"the interval is {width}", value=NOT_MEASURABLE)
    verdict = direction(row)
    judgement = [f"clearly {verdict}"] if verdict in ("better", "worse") else []
    low, high = possible(row.metric, row.low, row.high)
    raw: dict[str, Raw] = {"": row.value, "low": low, "high": high, "p": row.p, "p Holm": row.p_holm}
    kind: Literal["alert", "number"] = "alert" if verdict == "worse" else "number"
    return Cell(signed(row), (ends_of(row) or "no interval", *notes, *judgement), kind, raw)


def sides_of(
    row: DifferenceRow, readings: Mapping[str, Reading], *, metric: str = ""
) -> tuple[EstimateRow | None, EstimateRow | None]:
    """The two estimates of a difference, the first minus the second, or the same of another ``metric``."""
    key = Key(metric or row.metric, row.attributes, row.judge, row.corrected, group=row.group, kind=row.kind)
    return readings[row.label].at(key), readings[row.against].at(key)


def setup_table(sides: Sequence[Side]) -> Table:
    """The settings that differ between the sides, one per row."""
    same_method = len({side.result.spec.method.name for side in sides}) == 1
    settings = [dict(_settings(side, parameters=same_method)) for side in sides]
    names = dict.fromkeys(name for found in settings for name in found)
    rows = []
    for name in names:
        values = [found.get(name, "none") for found in settings]
        if len(set(values)) > 1:
            rows.append(Row([text(name), *map(text, values)]))
    return Table(
        "setup", "What differs between the sides", ["Setting", *(side.label for side in sides)], rows
    )


def setup_names(sides: Sequence[Side]) -> list[str]:
    """The settings that differ, besides the method."""
    names = [row.cells[0].text for row in setup_table(sides).rows]
    return [name for name in names if name != "Run" and not name.startswith("Method")]


def _settings(side: Side, *, parameters: bool) -> Iterator[tuple[str, str]]:
    """Every setting of a side that may explain a difference; ``parameters``: include those of the method."""
    spec, environment = side.result.spec, side.result.environment
    yield "Run", side.run
    yield "Method", f"{spec.method.name} {spec.method.version}"
    for name, value in spec.method.parameters.items() if parameters else ():
        yield f"Method’s {name}", value if isinstance(value, str) and value else json.dumps(value)
    yield "Method’s steering judge", spec.method.steering_judge or "none"
    yield "Model", spec.model
    yield ("Digest of the images" if spec.external else "Model revision"), spec.model_revision[:16]
    yield "Suite", f"{spec.suite} {spec.suite_version}"
    for name, value in spec.protocol.items():
        yield sentence(name), str(value)
    for card in spec.prompt_sets:
        yield f"Prompt set {card.name}", f"{card.version} ({card.digest[:16]})"
    yield "Evenhand", environment.evenhand
    yield "Python", environment.python
    yield "Device", environment.device
    yield from sorted(environment.packages.items())


def sides_table(sides: Sequence[Side]) -> Table:
    """The origin of every side and the number of its images that are compared."""
    rows = []
    for side in sides:
        spec, coverage = side.result.spec, side.result.coverage
        what = f"audit {spec.suite}" if spec.external else f"suite {spec.suite} {spec.suite_version}"
        model = "external images" if spec.external else f"model {spec.model}"
        cells = [
            text(side.run, what, model),
            counted(side.images),
            counted(coverage.planned),
            counted(coverage.made),
        ]
        rows.append(Row([text(side.label, spec.method.title), *cells]))
    return Table(
        "sides", "The sides", ["Side", "Run", "Images of the run", "Shared", "Of these, available"], rows
    )


def difference_records(comparison: Comparison) -> Download:
    """Every difference by every judge, aggregates and concepts."""
    fields = list(DifferenceRow.model_fields)
    rows: list[list[Raw]] = [[_raw(row, name) for name in fields] for row in comparison.differences]
    return Download("every-difference", "Every paired difference", write_csv([fields, *rows]))


def _raw(row: DifferenceRow, name: str) -> Raw:
    value: Raw = getattr(row, name)
    return str(value).lower() if isinstance(value, bool) else value
