"""The methods side by side: measures as rows, methods as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from evenhand.bench.policy.bands import band
from evenhand.bench.policy.gates import Gate
from evenhand.bench.policy.measurable import OverCorrection, over_correction
from evenhand.bench.results.lookup import (
    COMPARED_METRIC,
    Key,
    Reading,
    base_of,
    comparable,
    concept_names,
    difference,
    measured_attributes,
    served_worst,
)
from evenhand.bench.results.result import ComparisonRow, EstimateRow, Timing
from evenhand.bench.results.text import (
    KINDS,
    attribute,
    count,
    interval,
    number,
    points,
    seconds,
    sentence,
    size,
)
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
    of_group,
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
    if len(readings[0].result.spec.attributes) == 1:
        metrics.remove("total_correlation")  # one attribute cannot depend on another
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
    about = f"{measure(COMPARED_METRIC).title}; {report_text.shared}; negative is better"
    about += adjusted(found, concepts=len(concept_names([reading.result for reading in readings])))
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
    return alert(band(outcomes), *missed) if missed else text("all passed")


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
        """Whether the values are corrected, and their unit."""
        present = [row for row in self.values if row is not None]
        notes = []
        if any(row.judge for row in present):
            notes.append(CORRECTED if present[0].corrected else UNCORRECTED)
        if present and present[0].unit not in ("", "1"):
            notes.append(f"unit {present[0].unit}")
        return notes

    def head(self, readings: Sequence[Reading]) -> list[str]:
        """What the values of all methods share: the number of images and the chance level."""
        if any(self.worst(readings)):
            return []
        facts = images_and_chance(self.values)
        return facts if len(self.sizes) == 1 else [fact for fact in facts if not fact.startswith("n ")]

    @property
    def sizes(self) -> set[int]:
        """The numbers of images of the values."""
        return {row.n for row in self.values if row is not None}

    def worst(self, readings: Sequence[Reading]) -> list[EstimateRow | None]:
        """The group that each value is of, where the metric is that of the worst group."""
        pairs = zip(readings, self.values, strict=True)
        return [served_worst(reading, row) if row else None for reading, row in pairs]

    def cells(self, readings: Sequence[Reading]) -> list[Cell]:
        """The values, each with the images that it is of where these differ."""
        cells = []
        for row, worst in zip(self.values, self.worst(readings), strict=True):
            notes = [f"n {count(row.n)}"] if row is not None and len(self.sizes) > 1 else []
            cells.append(of_group(worst) if worst is not None else estimated(row, notes=notes))
        return cells


def _measure_rows(readings: Sequence[Reading], metric: str, key: Key | None) -> list[Row]:
    """One row per attribute set and kind of prompts that was measured, or one without values."""
    how = measure(metric)
    sets = _sets(readings, metric, key)
    lines = _lines(readings, metric, sets, how.kinds) or _lines(readings, metric, sets, ("",))
    lines = lines or [Line("", "", [None] * len(readings))]
    base = base_of(readings)
    if metric == "over_correction" and base is not None:
        return [_over_correction_row(readings, base, line) for line in lines]
    common = [note for note in lines[0].notes if all(note in line.notes for line in lines)]
    better = f"{how.better} is better" if how.better else ""
    about = "; ".join(filter(None, (how.meaning, better, *common)))
    rows = []
    for line in lines:
        primary = key is not None and (metric, line.attributes) == (key.metric, key.attributes)
        own = [*(["primary measure"] * primary), *(note for note in line.notes if note not in common)]
        notes = "; ".join([*own, *line.head(readings)])
        head = Cell(line.title, (notes,), raw={"": f"{how.title}: {line.title}"})
        rows.append(Row([head, *line.cells(readings)], how.title, about))
    return rows


def _over_correction_row(readings: Sequence[Reading], base: Reading, line: Line) -> Row:
    """The change of over-correction of every method, where it can be measured."""
    head = text(line.title)
    cells = [
        _baseline_cell(row)
        if reading.is_base
        else change_cell(over_correction(reading, base, line.attributes))
        for reading, row in zip(readings, line.values, strict=True)
    ]
    return Row([head, *cells], f"{measure('over_correction').title}, change", OVER_CORRECTION)


def _baseline_cell(row: EstimateRow | None) -> Cell:
    """The baseline's own rate, as the reference of the changes."""
    if row is None:
        return missing()
    share = number(row.value, percent=True)
    return Cell(
        "reference", (f"{share} drawn otherwise", f"n {count(row.n)}"), "text", {"": row.value, "n": row.n}
    )


def change_cell(found: OverCorrection | None) -> Cell:
    """A change of over-correction, or why it is not measurable."""
    if found is None:
        return missing()
    if found.row is None:
        return missing(found.reason, value=NOT_MEASURABLE)
    return _points_cell(found.row, found.n)


def _points_cell(row: ComparisonRow, n: int) -> Cell:
    raw = {"": row.value, "low": row.low, "high": row.high, "n": n}
    notes = (interval(100 * row.low, 100 * row.high, digits=1), f"n {count(n)}")
    return Cell(points(row.value), notes, "number", raw)


NOT_MEASURABLE = "not measurable here"

OVER_CORRECTION = (
    "images of a defined person shown otherwise than the prompt defines: the method’s rate minus the "
    "baseline’s on the same prompts and noise; negative is better; given where the 95% interval is narrower "
    "than 30 points"
)


def alignment_rows(readings: Sequence[Reading]) -> list[Row]:
    """Prompt alignment of the images of each perceived group; none where it was not measured."""
    groups = [(name, group) for name, found in readings[0].result.spec.attributes.items() for group in found]
    rows = []
    for name, group in groups:
        line = Line(name, "", [reading.naive("alignment", name, group=group) for reading in readings])
        if any(line.values):
            raw = {"": f"{ALIGNMENT_BY_GROUP}: {attribute(name)} {group}"}
            head = Cell(f"{sentence(attribute(name))}: {group}", tuple(line.head(readings)), raw=raw)
            rows.append(Row([head, *line.cells(readings)], ALIGNMENT_BY_GROUP, WHY_BY_GROUP))
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
