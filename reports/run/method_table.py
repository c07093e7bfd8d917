"""The methods side by side: measures as rows, methods as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from evenhand.bench.policy.bands import band
from evenhand.bench.policy.gates import Gate
from evenhand.bench.results.lookup import (
    COMPARED_METRIC,
    Key,
    Reading,
    base_of,
    comparable,
    difference,
    measured_attributes,
)
from evenhand.bench.results.result import EstimateRow, Timing
from evenhand.bench.results.text import KINDS, attribute, seconds, sentence, size
from evenhand.reports.components.tables import (
    Cell,
    Row,
    Table,
    adjusted,
    alert,
    compared,
    counted,
    estimated,
    images_and_chance,
    missing,
    text,
)
from evenhand.reports.components.wording import CORRECTED, UNCORRECTED, measure
from evenhand.reports.run.report_text import report_text_of

BIAS = ("rms_delta", "excess_agreement", "deviation_ratio", "worst_cell", "total_correlation")
SIDE_EFFECTS = ("explicit_fidelity", "over_correction", "preservation_distance", "alignment", "undetermined")
PUBLISHED_FORM = ("deviation_ratio",)
"""Shown for gender and uncorrected, as in the papers; other metrics are corrected where possible."""

PRIMARY_SET_ONLY = ("excess_agreement", "worst_cell", "total_correlation")
"""Shown for the attributes of the primary measure only."""

SINGLE_ATTRIBUTES_ONLY = ("undetermined",)
"""Shown for single attributes only: a cell is undetermined where one of its attributes is."""


def method_table(
    readings: Sequence[Reading],
    key: Key | None,
    outcomes: Mapping[str, list[Gate]],
    timings: Mapping[str, Timing],
) -> Table:
    """Every headline measure of every method.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
        outcomes: Method label to its gates.
        timings: Method label to its seconds.
    """
    table = measures_table(readings, key)
    rows = [*_ranking_rows(readings, key, outcomes), *table.rows]
    if not readings[0].result.spec.external:
        rows += _fit_rows(readings, timings, "Cost of the method")
    return replace(table, rows=rows)


def measures_table(readings: Sequence[Reading], key: Key | None) -> Table:
    """Every headline measure of every method, without ranking and cost.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
    """
    metrics = [*BIAS, *SIDE_EFFECTS]
    external = readings[0].result.spec.external
    if external and not measured_attributes(readings, "preservation_distance"):
        metrics.remove("preservation_distance")  # needs the same noise with and without the method
    rows = [row for metric in metrics for row in _measure_rows(readings, metric, key)]
    rows += alignment_rows(readings)
    columns = ["Measure", *(reading.label for reading in readings)]
    return Table("methods", "Every measure with its 95% interval", columns, rows)


def cost_table(readings: Sequence[Reading], timings: Mapping[str, Timing]) -> Table:
    """The cost of each method and of its evaluation."""
    rows = [*_fit_rows(readings, timings), *_evaluation_rows(readings, timings)]
    columns = ["Cost", *(reading.label for reading in readings)]
    return Table("cost", "Counts are exact; times were measured on one machine", columns, rows)


def _ranking_rows(
    readings: Sequence[Reading], key: Key | None, outcomes: Mapping[str, list[Gate]]
) -> list[Row]:
    """Rank by distance, gates, and difference from the baseline."""
    base, group = base_of(readings), "Ranking"
    report_text = report_text_of(readings[0].result.spec)
    about = (
        f"ranks are 95% confidence sets over all {report_text.subjects}, whether or not they pass the gates; "
        f"{report_text.subjects} of one group are not distinguishable"
    )
    ranks = Row(
        [text("Rank by distance alone"), *(_rank_cell(reading, key) for reading in readings)], group, about
    )
    if readings[0].result.spec.external and base is None:
        return [ranks] if len(readings) > 1 else []
    gates = [_gate_cell(reading, base, outcomes.get(reading.label, [])) for reading in readings]
    rows = [ranks, Row([text("Gates"), *gates], group, about)]
    if key is None or base is None or len(readings) == 1:
        return rows
    found = [difference(reading, base.label, key) for reading in readings]
    cells = [
        text("reference") if reading.is_base else compared(row)
        for reading, row in zip(readings, found, strict=True)
    ]
    about = f"{measure(COMPARED_METRIC).title}; {report_text.shared}; negative is better{adjusted(found)}"
    head = text(sentence(attribute(key.attributes)))
    return [*rows, Row([head, *cells], "Difference from the baseline", about)]


def _rank_cell(reading: Reading, key: Key | None) -> Cell:
    rank = reading.rank(key) if key else None
    if rank is None:
        return missing()
    ranks = str(rank.low) if rank.low == rank.high else f"{rank.low} to {rank.high}"
    return text(f"{ranks} of {rank.of}", f"group {rank.tie_group}")


def _gate_cell(reading: Reading, base: Reading | None, outcomes: Sequence[Gate]) -> Cell:
    if reading.is_base:
        return text("reference")
    if base is None:
        return alert("not checked", "this run has no baseline")
    missed = [gate.reason for gate in outcomes if gate.status != "passed"]
    return alert(band(outcomes), *missed) if missed else text("passed")


@dataclass(frozen=True)
class Line:
    """A metric on one attribute set and kind of prompts, with its value for every method."""

    attributes: str
    kind: str
    values: list[EstimateRow | None]

    @property
    def title(self) -> str:
        """The attributes, or the kind of prompts of a metric that has none."""
        return sentence(attribute(self.attributes) or KINDS.get(self.kind, self.kind)) or "All images"

    @property
    def notes(self) -> list[str]:
        """Whether the values are corrected, and what all methods share."""
        present = [row for row in self.values if row is not None]
        notes = []
        if any(row.judge for row in present):
            notes.append(CORRECTED if present[0].corrected else UNCORRECTED)
        if present and present[0].unit not in ("", "1"):
            notes.append(f"unit {present[0].unit}")
        return [*notes, *images_and_chance(present)]


def _measure_rows(readings: Sequence[Reading], metric: str, key: Key | None) -> list[Row]:
    """One row per attribute set and kind of prompts that was measured, or one without values."""
    how = measure(metric)
    sets = _sets(readings, metric, key)
    lines = _lines(readings, metric, sets, how.kinds) or _lines(readings, metric, sets, ("",))
    lines = lines or [Line("", "", [None] * len(readings))]
    common = [note for note in lines[0].notes if all(note in line.notes for line in lines)]
    better = f"{how.better} is better" if how.better else ""
    about = "; ".join(filter(None, (how.meaning, better, *common)))
    rows = []
    for line in lines:
        primary = key is not None and (metric, line.attributes) == (key.metric, key.attributes)
        own = [*(["primary measure"] * primary), *(note for note in line.notes if note not in common)]
        head = Cell(line.title, ("; ".join(own),), raw={"": f"{how.title}: {line.title}"})
        cells = [estimated(row) for row in line.values]
        rows.append(Row([head, *cells], how.title, about))
    return rows


def alignment_rows(readings: Sequence[Reading]) -> list[Row]:
    """Prompt alignment of the images of each perceived group; none where it was not measured."""
    groups = [(name, group) for name, found in readings[0].result.spec.attributes.items() for group in found]
    rows = []
    for name, group in groups:
        found = [reading.naive("alignment", name, group=group) for reading in readings]
        if any(found):
            raw = {"": f"{ALIGNMENT_BY_GROUP}: {attribute(name)} {group}"}
            head = Cell(f"{sentence(attribute(name))}: {group}", tuple(images_and_chance(found)), raw=raw)
            rows.append(Row([head, *map(estimated, found)], ALIGNMENT_BY_GROUP, WHY_BY_GROUP))
    return rows


ALIGNMENT_BY_GROUP = "Prompt alignment by perceived group"

WHY_BY_GROUP = (
    "neutral prompts, over the concepts that show every group of the attribute. The scorer is itself biased: "
    "where it prefers one group for the same prompt, a method that changes who is depicted changes the mean "
    "alignment although every image fits as well as before"
)


def _sets(readings: Sequence[Reading], metric: str, key: Key | None) -> list[str]:
    """The attribute sets to show: all that were measured, or those that the metric is meant for."""
    measured = measured_attributes(readings, metric)
    if metric in PUBLISHED_FORM:
        shown = ["gender"]
    elif metric in PRIMARY_SET_ONLY:
        shown = [key.attributes] if key else []
    elif metric in SINGLE_ATTRIBUTES_ONLY:
        shown = [name for name in measured if "*" not in name]
    else:
        shown = measured
    return [name for name in shown if name in measured] or measured


def _lines(readings: Sequence[Reading], metric: str, sets: Sequence[str], kinds: Sequence[str]) -> list[Line]:
    places = product(sets, kinds)
    lines = [Line(name, kind, _values(readings, metric, name, kind)) for name, kind in places]
    return [line for line in lines if any(line.values)]


def _values(readings: Sequence[Reading], metric: str, attributes: str, kind: str) -> list[EstimateRow | None]:
    if metric in PUBLISHED_FORM:
        return [reading.naive(metric, attributes, kind=kind) for reading in readings]
    return comparable(readings, metric, attributes, kind=kind)[""]


def _fit_rows(readings: Sequence[Reading], timings: Mapping[str, Timing], group: str = "") -> list[Row]:
    costs = [reading.result.cost for reading in readings]
    return [
        Row(
            [text("Images generated for fitting", "exact count"), *(counted(c.fit_images) for c in costs)],
            group,
        ),
        Row(
            [text("Images judged for fitting", "exact count"), *(counted(c.fit_judgements) for c in costs)],
            group,
        ),
        Row([text("Time to fit", "on one machine"), *_durations(readings, timings, "fit_seconds")], group),
    ]


def _evaluation_rows(readings: Sequence[Reading], timings: Mapping[str, Timing]) -> list[Row]:
    costs = [reading.result.cost for reading in readings]
    return [
        Row([text("Size of the intervention", "exact"), *(_bytes(c.intervention_bytes) for c in costs)]),
        Row([text("Images evaluated", "exact count"), *(counted(c.images) for c in costs)]),
        Row(
            [
                text("Time to generate them", "on one machine"),
                *_durations(readings, timings, "generate_seconds"),
            ]
        ),
        Row([text("Time to judge them", "on one machine"), *_durations(readings, timings, "judge_seconds")]),
    ]


def _bytes(value: int) -> Cell:
    return Cell(size(value), kind="number", raw={"bytes": value})


def _durations(readings: Sequence[Reading], timings: Mapping[str, Timing], field: str) -> list[Cell]:
    return [_duration(timings.get(reading.label), field) for reading in readings]


def _duration(timing: Timing | None, field: str) -> Cell:
    if timing is None:
        return missing()
    value: float = getattr(timing, field)
    return Cell(seconds(value), kind="number", raw={"seconds": value})
