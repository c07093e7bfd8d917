"""The verdict of a comparison: a few sentences, none stronger than the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from evenhand.bench.results.comparison import Comparison, DifferenceRow, FlipRow, Pair
from evenhand.bench.results.lookup import COMPARED_METRIC, PRIMARY_METRIC, Reading
from evenhand.bench.results.text import KINDS, attribute, interval, listing, number, plural, sentence
from evenhand.reports.comparison.flips import moves_of
from evenhand.reports.comparison.tables import (
    direction,
    ends_of,
    lines_of,
    setup_names,
    shown,
    sides_of,
    signed,
)
from evenhand.reports.components.tables import p_value
from evenhand.reports.components.wording import CORRECTED, UNCORRECTED, measure, with_interval
from evenhand.reports.run.method_table import SIDE_EFFECTS
from evenhand.reports.run.verdict import SCALE, Verdict

SIGNIFICANT = 0.05
LISTED = 3
"""Largest number of items that a sentence lists; the tables have all."""


def compare_verdict(comparison: Comparison, readings: Mapping[str, Reading]) -> Verdict:
    """The findings of the comparison.

    Args:
        comparison: The comparison.
        readings: Label of a side to its reading.
    """
    found = comparison.differences_in(COMPARED_METRIC, comparison.primary)
    rows = [(pair, found.get((pair.label, pair.against))) for pair in comparison.pairs]
    about = _setup(comparison)
    if len(rows) > 1:
        each = [
            " ".join(filter(None, (_outcome(pair, row, numbers=True), _effects(comparison, pair))))
            for pair, row in rows
        ]
        return Verdict(_together([row for _, row in rows]), [*each, _ADJUSTED, *about])
    pair, row = rows[0]
    sentences = [*_distances(row, readings), _effects(comparison, pair), *_changes(comparison)]
    return Verdict(_outcome(pair, row), [*filter(None, sentences), *about])


_ADJUSTED = "The intervals are not adjusted for the number of pairs; the p-values are."


def _together(rows: list[DifferenceRow | None]) -> str:
    """The headline of several pairs."""
    clear = sum(row is not None and bool(direction(row)) for row in rows)
    return (
        f"Of {plural(len(rows), 'pair')}, {clear or 'none'} {'differs' if clear == 1 else 'differ'} clearly "
        "in the distance from the target shares."
    )


def _outcome(pair: Pair, row: DifferenceRow | None, *, numbers: bool = False) -> str:
    """The sentence on which side of a pair is closer to the target shares, with or without the numbers."""
    if pair.same_images:
        return f"{pair.label} and {pair.against} are identical images, so nothing differs."
    if row is None or math.isnan(row.low):
        return f"The distances of {pair.label} and {pair.against} from the target shares cannot be compared."
    end = f": {_paired(row)}." if numbers else "."
    if row.high < 0:
        return f"{pair.label} is closer to the target shares than {pair.against}{end}"
    if row.low > 0:
        return f"{pair.label} is farther from the target shares than {pair.against}{end}"
    both = f"{pair.label} and {pair.against}"
    return f"{both} are not distinguishable in their distance from the target shares{end}"


def _paired(row: DifferenceRow) -> str:
    """The paired difference in the squared distance, on which the verdict rests."""
    return f"paired difference in squared distance {shown(row, digits=2)}"


def _distances(row: DifferenceRow | None, readings: Mapping[str, Reading]) -> list[str]:
    """The distances themselves, and the test over concepts."""
    if row is None or math.isnan(row.value):
        return []
    ends = zip((row.label, row.against), sides_of(row, readings, metric=PRIMARY_METRIC), strict=True)
    values = [f"{with_interval(side)} for {label}" for label, side in ends if side is not None]
    how = CORRECTED if row.corrected else UNCORRECTED
    lines = [f"Over {attribute(row.attributes)} the distance is {listing(values)}, {how}; {SCALE}"]
    lines.append(f"{sentence(_paired(row))}.")
    few = f"{plural(row.n, 'concept')} cannot give a small p-value, so none is shown."
    return [*lines, few if math.isnan(row.p) else _test(row)]


def _test(row: DifferenceRow) -> str:
    """The result of the sign-flip test."""
    word = "differ" if row.p <= SIGNIFICANT else "do not differ clearly"
    return f"Over {plural(row.n, 'concept')} the sides {word} (sign-flip test, p {p_value(row.p)})."


def _effects(comparison: Comparison, pair: Pair) -> str:
    """The side effects in which the first side is clearly better or worse."""
    rows = [
        row
        for line in lines_of(comparison)
        if line.metric in SIDE_EFFECTS and (row := line.found.get((pair.label, pair.against)))
    ]
    parts = []
    for word in ("worse", "better"):
        named = [_named(row) for row in rows if direction(row) == word]
        more = [f"{len(named) - LISTED} more"] if len(named) > LISTED else []
        if named:
            parts.append(f"clearly {word} in {listing([*named[:LISTED], *more])}")
    return f"{pair.label} is {'; '.join(parts)}." if parts else ""


def _named(row: DifferenceRow) -> str:
    about = f" for {attribute(row.attributes)}" if row.attributes else f" on {KINDS.get(row.kind, row.kind)}"
    return f"{measure(row.metric).title.lower()}{about} ({signed(row, digits=2)}, {ends_of(row, digits=2)})"


def _changes(comparison: Comparison) -> list[str]:
    """The labels that differ between the two sides."""
    whole = [
        row
        for row in comparison.flips
        if not row.concept and row.n and row.attribute in comparison.primary.split("*")
    ]
    if comparison.pairs[0].same_images or not comparison.same_noise:
        return []
    return [_change(row) for row in whole]


def _change(row: FlipRow) -> str:
    ends = interval(row.low, row.high, percent=True)
    moves = f": {listing(moves_of(row)[:LISTED])}" if row.changed else ""
    return (
        f"From {row.against} to {row.label}, the perceived {attribute(row.attribute)} changes in "
        f"{number(row.changed, percent=True)} of the images of the same prompt and seed (95% interval "
        f"{ends}; n = {row.n}){moves}."
    )


def _setup(comparison: Comparison) -> list[str]:
    """What else differs between the sides, and whether they share their noise."""
    names = [name[:1].lower() + name[1:] for name in setup_names(comparison.sides)]
    more = [f"{len(names) - LISTED} more settings"] if len(names) > LISTED else []
    lines = []
    if names:
        lines.append(
            f"Besides the method, the sides differ in {listing([*names[:LISTED], *more])}; a difference "
            "reflects everything that differs, not the method alone."
        )
    if not comparison.same_noise:
        lines.append(
            "The sides do not start from the same noise, so the intervals are as wide as for independent "
            "samples."
        )
    return lines
