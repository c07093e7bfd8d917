"""Scope, coverage, method cards, provenance and limitations of the audit report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.bench.results.lookup import (
    COMPARED_METRIC,
    Key,
    Reading,
    attribute_names,
    concept_names,
    difference,
)
from evenhand.bench.results.result import (
    CoverageRow,
    MethodCard,
    Result,
    Run,
    Spec,
)
from evenhand.bench.results.text import (
    KINDS,
    NOT_MEASURED,
    PANEL,
    attribute,
    cell,
    count,
    listing,
    number,
    plural,
    sentence,
)
from evenhand.reports.components.tables import Cell, Row, Table, adjusted, code, compared, counted, text
from evenhand.reports.components.wording import STATUSES, TARGETS, UNUSABLE, measure
from evenhand.reports.run.report_text import EXTERNAL_LIMIT, report_text_of

LIMITS = (
    "Every label is a perceived attribute of a depicted person who does not exist. Nobody was asked, and no "
    "identity is claimed: gender means gender presentation, and skin tone is a tone, not a race.",
    "Judges are classifiers and have biases. Where a correction was made, it assumes that they make the same "
    "errors on these images as on the images on which their errors were measured.",
    "The groups are those that the judges distinguish. People outside these groups are not counted, and no "
    "number shows their absence.",
    "The results hold for the prompts, concepts and settings listed under “What was tested”. They may differ "
    "for other prompts, languages, seeds or samplers.",
    "The target shares are the suite’s choice: even shares are neither the labour market’s nor a legal norm.",
    "Shares measure who is depicted, not how: dignity, pose, clothing and quality by group are not measured.",
    "An interval covers chance in generation and judging, but not an unsuitable question or judge.",
)


def limits(results: Sequence[Result]) -> list[str]:
    """The limitations of the report."""
    return [*([EXTERNAL_LIMIT] if results[0].spec.external else []), *LIMITS]


def facts(results: Sequence[Result], *, methods: int) -> list[tuple[str, str]]:
    """The key figures of the first screen: size, coverage, judges, agreement.

    Args:
        results: Every setting of every method.
        methods: The number of methods.
    """
    planned, made = (sum(getattr(r.coverage, name) for r in results) for name in ("planned", "made"))
    report_text = report_text_of(results[0].spec)
    families = {judge.family for result in results for judge in result.spec.judges if judge.role == "panel"}
    return [
        (count(len(concept_names(results))), "concepts"),
        (count(methods), report_text.subject if methods == 1 else report_text.subject_count),
        (count(made), f"images {report_text.made}, of {count(planned)} {report_text.planned}"),
        (_decided(results), "of labels on neutral prompts determined"),
        (
            str(len(families)),
            "judge family in the panel" if len(families) == 1 else "judge families in the panel",
        ),
        (_alpha(results), "agreement between judges (Krippendorff’s alpha)"),
    ]


def _decided(results: Sequence[Result]) -> str:
    rows = [row for result in results for row in result.coverage.rows if row.kind == "neutral"]
    rows = [row for row in rows if row.judge == PANEL] or rows
    images = sum(row.images for row in rows)
    return f"{100 * sum(row.ok for row in rows) / images:.1f}%" if images else NOT_MEASURED


def _alpha(results: Sequence[Result]) -> str:
    rows = [row for result in results for row in result.agreement if row.statistic == "krippendorff_alpha"]
    widest = max((row.judges.count("*") for row in rows), default=0)
    values = sorted(row.value for row in rows if row.judges.count("*") == widest and math.isfinite(row.value))
    if not values:
        return NOT_MEASURED
    low, high = f"{values[0]:.2f}", f"{values[-1]:.2f}"
    return low if low == high else f"{low} to {high}"


def tested(results: Sequence[Result]) -> list[tuple[str, str]]:
    """What was tested, as terms with their descriptions."""
    spec = results[0].spec
    groups = {name: values for result in reversed(results) for name, values in result.spec.attributes.items()}
    attributes = [f"{attribute(name)} ({', '.join(groups[name])})" for name in attribute_names(results)]
    concepts = concept_names(results)
    prompt_sets = [
        f"{card.name} {card.version} ({plural(card.prompts, 'prompt')})" for card in spec.prompt_sets
    ]
    labels = listing([result.spec.method.label for result in results])
    if spec.external:
        what = [("Images", f"external images of {labels}"), ("Audit", spec.suite)]
    else:
        what = [
            ("Model", f"{spec.model}, revision {spec.model_revision}"),
            ("Suite", f"{spec.suite}, version {spec.suite_version}"),
            ("Methods", labels),
        ]
    settings = ", ".join(f"{name} {value}" for name, value in spec.protocol.items())
    return [
        *what,
        ("Perceived attributes", "; ".join(attributes)),
        ("Target", _target(spec)),
        ("Concepts", f"{count(len(concepts))}: {', '.join(concepts)}"),
        ("Prompt sets", "; ".join(dict.fromkeys(prompt_sets))),
        ("Settings", settings or "unknown"),
    ]


def _target(spec: Spec) -> str:
    target = spec.target
    if spec.targets:
        means = ", ".join(f"{cell(name)} {number(share, percent=True)}" for name, share in target.items())
        return f"{TARGETS.get(spec.target_name, spec.target_name)}; mean over the concepts: {means}"
    shares = target.values()
    if shares and max(shares) - min(shares) < 1e-6:
        names = f" ({', '.join(map(cell, target))})" if len(target) <= 6 else ""
        return f"even shares over {plural(len(target), 'cell')}{names}"
    return "; ".join(f"{cell(name)} {number(share, percent=True)}" for name, share in target.items())


def coverage_table(results: Sequence[Result]) -> Table:
    """Images planned, generated and failed by method; the columns add up."""
    reasons = sorted({reason for result in results for reason in result.coverage.failed})
    rows = [
        Row(
            [
                text(result.spec.method.label),
                counted(result.coverage.planned),
                counted(result.coverage.made),
                *(counted(result.coverage.failed.get(reason, 0)) for reason in reasons),
            ]
        )
        for result in results
    ]
    report_text = report_text_of(results[0].spec)
    failed = [f"Failed: {UNUSABLE.get(reason, reason)}" for reason in reasons]
    columns = [sentence(word) for word in (report_text.subject, report_text.planned, report_text.made)]
    caption = f"Images: {report_text.planned} = {report_text.made} + failed"
    return Table("coverage", caption, [*columns, *failed], rows)


def labels_table(results: Sequence[Result], *, headline: bool = False) -> Table:
    """Labels by method, judge, attribute and kind of prompt; labelled and undetermined add up.

    Args:
        results: The methods.
        headline: Whether to show only the panel's labels on neutral prompts.
    """
    found = dict.fromkeys(s for result in results for row in result.coverage.rows for s in row.undetermined)
    statuses = [status for status in STATUSES if status in found] + sorted(set(found) - set(STATUSES))
    columns = [
        sentence(report_text_of(results[0].spec).subject),
        "Judge",
        "Attribute",
        "Prompts",
        "Images",
        "Labelled",
    ]
    columns += [f"Undetermined: {STATUSES.get(status, status)}" for status in statuses]
    rows = [
        _labels_row(result, row, statuses)
        for result in results
        for row in result.coverage.rows
        if not headline or (row.judge, row.kind) == (PANEL, "neutral")
    ]
    return Table("labels", "Labels: images = labelled + undetermined", columns, rows)


def _labels_row(result: Result, row: CoverageRow, statuses: Sequence[str]) -> Row:
    undetermined = [counted(row.undetermined.get(status, 0)) for status in statuses]
    names = [result.spec.method.label, row.judge, attribute(row.attribute), KINDS.get(row.kind, row.kind)]
    return Row([*map(text, names), counted(row.images), counted(row.ok), *undetermined])


def differences_table(readings: Sequence[Reading], key: Key) -> Table:
    """The paired differences in the primary number: the method of the row minus that of the column."""
    found = {
        (reading.label, other): row
        for reading in readings
        for other in dict.fromkeys(row.against for row in reading.result.comparisons)
        if (row := difference(reading, other, key)) is not None
    }
    others = dict.fromkeys(other for _, other in found)
    rows = [
        Row([text(reading.label), *(compared(found.get((reading.label, other))) for other in others)])
        for reading in readings
        if any(label == reading.label for label, _ in found)
    ]
    report_text = report_text_of(readings[0].result.spec)
    title = f"{report_text.paired}: {measure(COMPARED_METRIC).title}, {attribute(key.attributes)}"
    about = "row minus column; negative: the row is closer to the target"
    about += adjusted(found.values(), concepts=len(readings[0].result.spec.concepts))
    columns = [sentence(report_text.subject), *(f"minus {other}" for other in others)]
    return Table("differences", title, columns, rows, about)


@dataclass(frozen=True)
class Card:
    """A method's card, formatted."""

    title: str
    label: str
    summary: str
    facts: list[tuple[str, str]]
    parameters: list[tuple[str, str]]
    record: list[tuple[str, str]]


def method_cards(results: Sequence[Result]) -> list[Card]:
    """One card per method with every parameter."""
    return [_card(result.spec.method, result.cost.record) for result in results]


def _card(card: MethodCard, record: dict[str, Any]) -> Card:
    details = [
        ("Name and version", f"{card.name} {card.version}"),
        ("Family", card.family),
        *([("Track", card.track)] if card.track else []),
        ("Attributes", card.attributes),
        ("Steering judge", card.steering_judge or "none"),
        ("Training data", "required" if card.needs_training_data else "not required"),
        ("Paper", card.paper or "none"),
        ("Origin of the algorithm", card.origin),
        ("Licence of this implementation", card.licence),
        ("Intervention", card.intervention),
    ]
    return Card(card.title, card.label, card.summary, details, _values(card.parameters), _values(record))


LONG = 400
"""Characters of a parameter or of a record of a fit that a card shows."""

_REST = "(shortened; the whole is in the result file of the method)"


def _values(values: dict[str, Any]) -> list[tuple[str, str]]:
    texts = [
        (name, value if isinstance(value, str) and value else json.dumps(value))
        for name, value in values.items()
    ]
    return [(name, text if len(text) <= LONG else f"{text[:LONG]}… {_REST}") for name, text in texts]


def provenance_tables(results: Sequence[Result]) -> list[Table]:
    """Digests of all inputs, and the software that the numbers depend on."""
    return [_hashes(results), _environment(results)]


def _hashes(results: Sequence[Result]) -> Table:
    pairs: dict[tuple[str, str], None] = {}
    for result in results:
        spec = result.spec
        kind, subject = ("audit", "images of") if spec.external else ("suite", "model")
        pairs[f"{kind} {spec.suite} {spec.suite_version}", spec.suite_digest] = None
        pairs[f"{subject} {spec.model}", spec.model_revision] = None
        pairs |= {(f"prompt set {card.name} {card.version}", card.digest): None for card in spec.prompt_sets}
        pairs |= {(f"judge {judge.name}", judge.version): None for judge in spec.judges}
        if not spec.external:
            pairs[f"intervention of {spec.method.label}", spec.method.intervention] = None
    rows = [Row([text(name), code(value)]) for name, value in pairs]
    return Table("hashes", "Versions and SHA-256 digests", ["What", "Version or digest"], rows)


def _environment(results: Sequence[Result]) -> Table:
    lines: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for name, value in _software(result):
            lines.setdefault((name, value), []).append(result.spec.method.label)
    rows = [
        Row([text(name), text(value), _whom(labels, len(results))]) for (name, value), labels in lines.items()
    ]
    whose = sentence(report_text_of(results[0].spec).subjects)
    return Table("environment", "Software that the numbers depend on", ["What", "Version", whose], rows)


def _software(result: Result) -> Iterable[tuple[str, str]]:
    environment = result.environment
    yield "evenhand", environment.evenhand
    yield "Python", environment.python
    yield "device", environment.device
    yield "determinism", environment.guarantee
    yield from sorted(environment.packages.items())


def _whom(labels: Sequence[str], methods: int) -> Cell:
    return text("all" if len(labels) == methods else ", ".join(labels))


def notes(run: Run) -> list[str]:
    """The notes of the run, each once; a note of several methods names them all."""
    labels = sorted((result.spec.method.label for result in run.results), key=len, reverse=True)
    found: dict[str, list[str]] = {}
    for note in dict.fromkeys(note for result in run.results for note in result.notes):
        label = next((label for label in labels if note.startswith(f"{label}: ")), "")
        found.setdefault(note.removeprefix(f"{label}: ") if label else note, []).append(label)
    return [f"{listing(names)}: {note}" if names != [""] else note for note, names in found.items()]
