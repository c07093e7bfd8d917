"""The primary metric side by side: every attribute, all together, and where a method is worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evenhand.bench.policy.conclusion import worst_attributes
from evenhand.bench.results.entry import Band
from evenhand.bench.results.lookup import Key, Reading, distances
from evenhand.bench.results.pairs import matching_pairs
from evenhand.bench.results.result import EstimateRow, Spec
from evenhand.bench.results.text import NOT_MEASURED, attribute, count, number, sentence
from evenhand.reports.components.tables import Cell, Row, Table, alert, estimated, missing, text
from evenhand.reports.components.wording import footing, share_of_pairs
from evenhand.reports.run.report_text import report_text_of

ABOUT = "0: every group has its target share, 1: one group only; 95% intervals"

SEVERAL = (
    ". A joint distance can be small although one attribute is far from its target, so read it together with "
    "the worst attribute"
)
"""What to add where there are several attributes."""


def distances_table(readings: Sequence[Reading], key: Key, bands: Mapping[str, Band]) -> Table:
    """One row per method: its distance for every attribute set, and the worst single attribute.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
        bands: Label of a method to its band; empty where nothing is gated.
    """
    report_text = report_text_of(readings[0].result.spec)
    sets, worst = distances(readings, key), worst_attributes(readings, key)
    columns = [sentence(report_text.subject), *(["Gates"] if bands else []), "Same group in pairs"]
    columns += [*(_heading(name, key) for name in sets), *(["Worst attribute"] if len(sets) > 1 else [])]
    rows = []
    for place, reading in enumerate(readings):
        gates = [band_cell(reading, bands)] if bands else []
        cells = [text(reading.label), *gates, pairs_cell(reading.at(key), reading.result.spec)]
        cells += [_with_n(found[place]) for found in sets.values()]
        rows.append(Row([*cells, worst_cell(worst[place])] if len(sets) > 1 else cells))
    primary, about = readings[0].at(key), ABOUT + (SEVERAL if len(sets) > 1 else "")
    if primary:
        about += f"; {footing(primary, *(reading.result for reading in readings))}"
    return Table("distances", "Distances side by side (RMSDelta)", columns, rows, about)


def fits_table(every: Sequence[Reading], key: Key, bands: Mapping[str, Band]) -> Table | None:
    """The fits of each method with other seeds, in order; ``None`` where no method has several.

    Args:
        every: All settings and fits of all methods.
        key: The primary number.
        bands: Label of a fit to its band; empty where nothing is gated.
    """
    fits: dict[str, list[Reading]] = {}
    for reading in every:
        fits.setdefault(reading.result.spec.method.row, []).append(reading)
    rows = []
    for label, found in fits.items():
        for reading in sorted(found, key=lambda one: one.result.spec.method.fit) if found[1:] else []:
            gates = [band_cell(reading, bands)] if bands else []
            number_of_fit = text(str(reading.result.spec.method.fit))
            rows.append(Row([text(label), number_of_fit, *gates, _with_n(reading.at(key))]))
    columns = ["Method", "Fit", *(["Gates"] if bands else []), _heading(key.attributes, key)]
    about = "The ranking and the other tables show the first fit; the leaderboard publishes the median fit"
    return Table("fits", "Fits with other seeds (RMSDelta)", columns, rows, about) if rows else None


def _with_n(row: EstimateRow | None) -> Cell:
    return estimated(row, notes=[f"n {count(row.n)}"] if row is not None else [])


def band_cell(reading: Reading, bands: Mapping[str, Band], reasons: Sequence[str] = ()) -> Cell:
    """Whether the method is ranked, and if not, why in two words, with the reasons of its gates below."""
    if reading.is_base:
        return text("baseline")
    band = bands.get(reading.label, "ranked")
    return text("all passed") if band == "ranked" else alert(band, *reasons)


def worst_text(row: EstimateRow | None) -> str:
    """The worst attribute with its distance: ``"gender 0.81"``; empty where none was measured."""
    return f"{attribute(row.attributes)} {number(row.value, digits=2)}" if row is not None else ""


def pairs_text(reading: Reading, key: Key | None) -> str:
    """The matching pairs of the primary number: ``"41% (35% to 47%)"``."""
    row = reading.at(key) if key else None
    pairs = matching_pairs(row, reading.result.spec) if row is not None else None
    if pairs is None:
        return NOT_MEASURED
    ends = share_of_pairs(pairs.low, pairs.high)
    return share_of_pairs(pairs.value) + (f" ({ends})" if ends else "")


def _heading(name: str, key: Key) -> str:
    return sentence(attribute(name)) + (" (primary)" if name == key.attributes else "")


def worst_cell(row: EstimateRow | None) -> Cell:
    """The worst attribute with its distance."""
    if row is None:
        return missing()
    raw: dict[str, str | int | float | None] = {"": row.attributes, "distance": row.value}
    return Cell(sentence(attribute(row.attributes)), (number(row.value, digits=2),), raw=raw)


def pairs_cell(row: EstimateRow | None, spec: Spec) -> Cell:
    """The matching pairs that the primary number stands for."""
    pairs = matching_pairs(row, spec) if row is not None else None
    if pairs is None:
        return missing()
    raw = {"": pairs.value, "low": pairs.low, "high": pairs.high, "even": pairs.even}
    ends = share_of_pairs(pairs.low, pairs.high)
    notes = (*([ends] if ends else []), f"{share_of_pairs(pairs.even)} if even")
    return Cell(share_of_pairs(pairs.value), notes, "number", raw)
