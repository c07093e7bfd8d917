"""Where each method does worst: the most under- and over-represented cells, and the most uneven concept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evenhand.bench.results.lookup import Reading, cell_shares, widest_set
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import attribute, cell, count, interval, number, sentence
from evenhand.reports.components.downloads import Raw
from evenhand.reports.components.tables import Cell, Row, Table, missing, text
from evenhand.reports.components.wording import measure
from evenhand.reports.run.figures import concept_numbers
from evenhand.reports.run.report_text import report_text_of

ABOUT = "95% intervals, not adjusted; the worst of many is partly chance and looks worse than it is"


def worst_table(readings: Sequence[Reading], attributes: str) -> Table:
    """One row per method; no rows where neither shares nor concepts were measured.

    Args:
        readings: The methods, the baseline first.
        attributes: Attribute set for comparing concepts; the cells are those of the widest set.
    """
    joint = widest_set(readings)
    shares = cell_shares(readings, joint)
    metric, group, concepts = concept_numbers(readings, attributes)
    subject = sentence(report_text_of(readings[0].result.spec).subject)
    columns = [subject, "Most under-represented cell", "Most over-represented cell"]
    columns += [f"Most uneven concept, {attribute(attributes)}"] if concepts else []
    rows = []
    for place, reading in enumerate(readings):
        ratios = _ratios(reading, joint, {name: found[place] for name, found in shares.items()})
        ends = [min(ratios, key=_ratio_of, default=None), max(ratios, key=_ratio_of, default=None)]
        cells = [text(reading.label), *map(_cell, ends)]
        if concepts:
            own = {name: row for name, found in concepts.items() if (row := found[place]) is not None}
            cells.append(_concept(reading, own, metric, attributes, group))
        rows.append(Row(cells))
    caption = f"Cells of {attribute(joint)}, mean over the concepts"
    return Table("worst", caption, columns, rows if shares or concepts else [], ABOUT)


def most_underrepresented(reading: Reading, attributes: str) -> tuple[str, EstimateRow, float] | None:
    """The cell with the lowest ratio of share to target, its row and its target; ``None`` without shares."""
    shares = {name: rows[0] for name, rows in cell_shares([reading], attributes).items()}
    return min(_ratios(reading, attributes, shares), key=_ratio_of, default=None)


Found = tuple[str, EstimateRow, float]


def _ratios(reading: Reading, attributes: str, shares: Mapping[str, EstimateRow | None]) -> list[Found]:
    spec = reading.result.spec
    found = [
        (name, row, spec.target_share(attributes, name)) for name, row in shares.items() if row is not None
    ]
    return [each for each in found if math.isfinite(each[1].value) and each[2] > 0]


def _ratio_of(found: Found) -> float:
    _, row, target = found
    return row.value / target


def _cell(found: Found | None) -> Cell:
    if found is None:
        return missing()
    name, row, target = found
    ends = interval(row.low, row.high, percent=True) or "no interval"
    note = (
        f"{number(row.value, percent=True)} ({ends}), n {count(row.n)}, target {number(target, percent=True)}"
    )
    raw: dict[str, Raw] = {"": name, "share": row.value, "low": row.low, "high": row.high, "n": row.n}
    raw["target"] = target
    return Cell(cell(name), (note,), raw=raw)


def _concept(
    reading: Reading, rows: Mapping[str, EstimateRow], metric: str, attributes: str, group: str
) -> Cell:
    """The concept farthest from its target share, or with the largest distance if no share was measured."""
    spec = reading.result.spec

    def away(name: str) -> float:
        value = rows[name].value
        return abs(value - spec.target_share(attributes, group, concept=name)) if group else value

    finite = [name for name in rows if math.isfinite(rows[name].value)]
    if not finite:
        return missing()
    name = max(finite, key=away)
    row, percent = rows[name], measure(metric).percent
    ends = interval(row.low, row.high, percent=percent) or "no interval"
    what = group or measure(metric).title.lower()
    note = f"{what} {number(row.value, percent=percent)} ({ends}), n {count(row.n)}"
    return Cell(
        name, (note,), raw={"": name, "value": row.value, "low": row.low, "high": row.high, "n": row.n}
    )
