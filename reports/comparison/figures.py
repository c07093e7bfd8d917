"""The figures of a comparison: both sides of every pair, and the paired differences by concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evenhand.bench.results.comparison import Comparison, DifferenceRow, Pair
from evenhand.bench.results.lookup import COMPARED_METRIC, PRIMARY_METRIC, Reading
from evenhand.bench.results.text import SHARE, attribute, count, number, plural, sentence, slug
from evenhand.reports.comparison.tables import sides_of, signed
from evenhand.reports.components.charts import Dot, Look, draw
from evenhand.reports.components.tables import Cell, Row, Table, estimated, missing, text
from evenhand.reports.components.wording import UNCORRECTED, interval_of_change, measure
from evenhand.reports.run.figures import MAX_PANELS, Figure, Panel

BY_CONCEPT = COMPARED_METRIC
"""The metric that is drawn by concept for attributes with more than two groups."""

NARROWEST = 0.25
"""Half the smallest axis range of differences, so that a small difference does not look large."""

LOOKS: tuple[Look, Look] = ("full", "open")
"""The styles of the first and of the second side."""

Found = dict[tuple[str, str], DifferenceRow]
"""Both labels of a pair to its difference."""


def distances(comparison: Comparison, readings: Mapping[str, Reading]) -> Figure | None:
    """Both sides of every pair in the primary metric; ``None`` where it was not measured.

    Args:
        comparison: The comparison.
        readings: Label of a side to its reading.
    """
    names = dict.fromkeys([comparison.primary, *comparison.attributes])
    found = {name: each for name in names if (each := comparison.differences_in(COMPARED_METRIC, name))}
    if not found:
        return None
    shown = comparison.pairs[:MAX_PANELS]
    panels = [_both_sides(place, pair, found, readings) for place, pair in enumerate(shown)]
    rows = [
        Row(
            [
                text(attribute(name), pair.title),
                *map(estimated, sides_of(row, readings, metric=PRIMARY_METRIC)),
            ]
        )
        for name, differences in found.items()
        for pair in comparison.pairs
        if (row := differences.get((pair.label, pair.against)))
    ]
    title = measure(PRIMARY_METRIC).title
    return Figure(
        "distances",
        _closer(comparison, readings),
        panels,
        [("full", "first side"), ("open", "second side; lines are 95% intervals")],
        "0: target shares; 1: one group only. The intervals are those of each side; the table of differences "
        f"gives that of the paired difference. n = {count(_images(comparison))} each."
        f"{_omitted(comparison)}",
        Table("distances-data", title, ["Attributes", "First side", "Second side"], rows, "95% intervals"),
    )


def _closer(comparison: Comparison, readings: Mapping[str, Reading]) -> str:
    """Which side of each pair is closer to the target over the primary attributes, with both distances."""
    parts = []
    for row in comparison.headline[:MAX_PANELS]:
        first, second = sides_of(row, readings, metric=PRIMARY_METRIC)
        if first is None or second is None:
            continue
        word = "closer to" if row.high < 0 else "farther from" if row.low > 0 else "not clearly closer to"
        values = f"{number(first.value, digits=2)} against {number(second.value, digits=2)}"
        parts.append(f"{row.label} is {word} the target than {row.against} ({values})")
    what = attribute(comparison.primary)
    return f"{sentence(what)}: {'; '.join(parts)}" if parts else measure(PRIMARY_METRIC).title


def _both_sides(place: int, pair: Pair, found: Mapping[str, Found], readings: Mapping[str, Reading]) -> Panel:
    dots, texts = [], []
    for name, rows in found.items():
        sides = sides_of(rows[pair.label, pair.against], readings, metric=PRIMARY_METRIC)
        for look, row, whose in zip(LOOKS, sides, (pair.label, pair.against), strict=True):
            if row is not None:
                dots.append(Dot(attribute(name), look, row.value, row.low, row.high, n=row.n, whose=whose))
        values = " vs. ".join(number(row.value) for row in sides if row is not None)
        texts.append(f"{attribute(name)} {values}")
    image = draw(
        dots,
        name=f"distances-{place}",
        label=f"Distance of {pair.label} vs. {pair.against}: {', '.join(texts)}",
        axis="distance",
        domain=(0, 1),
        percent=False,
    )
    return Panel(f"{pair.label} vs. {pair.against}", image)


def by_concept(comparison: Comparison, attributes: str) -> Figure | None:
    """The paired difference of every concept; ``None`` where it was not measured.

    With two groups it is the difference in the share of the first, otherwise in the squared distance.
    """
    groups = comparison.attributes.get(attributes, [])
    metric, group = (SHARE, groups[0]) if len(groups) == 2 else (BY_CONCEPT, "")
    columns = [_of_pair(comparison, pair, metric, attributes, group) for pair in comparison.pairs]
    if not any(columns):
        return None
    first = columns[0]
    concepts = sorted(first, key=lambda name: -first[name].value)
    name = f"by-concept-{slug(attributes)}"
    what = f"share perceived as {group}" if group else measure(metric).title.lower()
    ends = [abs(end) for rows in columns for row in rows.values() for end in (row.low, row.high)]
    half = min(1, max([NARROWEST, *(end for end in ends if end == end)]))
    panels = [
        _differences(f"{name}-{place}", pair, [rows[concept] for concept in concepts], what, half)
        for place, (pair, rows) in enumerate(zip(comparison.pairs[:MAX_PANELS], columns, strict=False))
    ]
    return Figure(
        name,
        f"{sentence(attribute(attributes))}: {_finding(columns, group)}",
        panels,
        [("full", "first side minus second, with its 95% interval"), ("target", "no difference")],
        f"Difference in {what}, {UNCORRECTED}. Clearly: the 95% interval does not contain 0 (not "
        f"adjusted for the number of concepts). {_n(columns)}{_omitted(comparison)}",
        _table(f"{name}-data", f"Difference in {what} by concept", comparison.pairs, concepts, columns),
    )


def _of_pair(
    comparison: Comparison, pair: Pair, metric: str, attributes: str, group: str
) -> dict[str, DifferenceRow]:
    key = (pair.label, pair.against, metric, attributes, group)
    return {
        row.concept: row
        for row in comparison.differences
        if row.concept and (row.label, row.against, row.metric, row.attributes, row.group) == key
    }


def _differences(name: str, pair: Pair, rows: Sequence[DifferenceRow], what: str, half: float) -> Panel:
    dots = [Dot(row.concept, "full", row.value, row.low, row.high, target=0, n=row.n) for row in rows]
    largest = sorted(rows, key=lambda row: -abs(row.value))[:3]
    values = ", ".join(f"{row.concept} {signed(row)}" for row in largest)
    image = draw(
        dots,
        name=name,
        label=f"Difference in {what}, {pair.title}; the largest: {values}; data in the table below",
        axis=f"difference in {what}",
        domain=(-half, half),
        percent=rows[0].metric == SHARE,
    )
    return Panel(pair.title, image)


def _finding(columns: Sequence[Mapping[str, DifferenceRow]], group: str) -> str:
    """The number of concepts that differ clearly, by direction."""
    more, fewer = ("more often", "less often") if group else ("farther from the target", "closer to it")
    ups = [sum(row.low > 0 for row in rows.values()) for rows in columns]
    downs = [sum(row.high < 0 for row in rows.values()) for rows in columns]
    subject = f" perceived as {group}" if group else ""
    of = f"of {plural(len(columns[0]), 'concept')}, {_range(ups)} clearly {more}"
    by = ", by pair" if len(columns) > 1 else ""
    return f"{of} and {_range(downs)} clearly {fewer}{subject}{by}"


def _range(values: Sequence[int]) -> str:
    return " to ".join(dict.fromkeys((str(min(values)), str(max(values)))))


def _table(
    name: str,
    caption: str,
    pairs: Sequence[Pair],
    concepts: Sequence[str],
    columns: Sequence[Mapping[str, DifferenceRow]],
) -> Table:
    rows = [Row([text(concept), *(_cell(rows.get(concept)) for rows in columns)]) for concept in concepts]
    return Table(name, caption, ["Concept", *(pair.title for pair in pairs)], rows, "95% intervals")


def _cell(row: DifferenceRow | None) -> Cell:
    if row is None or row.value != row.value:
        return missing()
    ends = interval_of_change(row.metric, row.low, row.high)
    raw = {"": row.value, "low": row.low, "high": row.high, "n": row.n}
    return Cell(signed(row), (ends or "no interval", f"n {count(row.n)}"), "number", raw)


def _n(columns: Sequence[Mapping[str, DifferenceRow]]) -> str:
    sizes = [row.n for rows in columns for row in rows.values()]
    return f"n = {_range(sizes)} each."


def _images(comparison: Comparison) -> int:
    """Shared images of neutral prompts of a side."""
    rows = comparison.sides[0].result.coverage.rows
    return max((row.images for row in rows if row.kind == "neutral"), default=0)


def _omitted(comparison: Comparison) -> str:
    more = len(comparison.pairs) - MAX_PANELS
    return f" {plural(more, 'more pair')} in the data only." if more > 0 else ""
