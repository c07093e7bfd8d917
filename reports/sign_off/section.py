"""The sign-off of a report: title block, findings, thresholds, impact ratios, clauses of regulation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evenhand.bench.policy.findings import RULES, Finding, findings
from evenhand.bench.policy.gates import Gate
from evenhand.bench.policy.impact_ratio import FOUR_FIFTHS, SMALL, Category, ImpactRatios, impact_ratios
from evenhand.bench.policy.thresholds import Checked, check
from evenhand.bench.results.lookup import Key, Reading, attribute_names, base_of, widest_set
from evenhand.bench.results.result import Timing
from evenhand.bench.results.text import (
    attribute,
    cell,
    count,
    interval,
    listing,
    number,
    plural,
    sentence,
    slug,
)
from evenhand.bench.results.title_block import Threshold, TitleBlock
from evenhand.reports.components.inline_code import with_code
from evenhand.reports.components.tables import Cell, Row, Table, alert, estimated, missing, of_group, text
from evenhand.reports.components.wording import measure
from evenhand.reports.sign_off.clauses import clauses_table

NOT_STATED = "not stated"

NOT_CONFORMITY = (
    "This report is not a conformity assessment, a certificate or legal advice. It states what was measured, "
    "with which instruments, on which images."
)

FIELDS = ("client", "purpose", "auditor", "independence", "scope", "intended_use")

TITLES = {"scope": "Scope statement", "intended_use": "Intended use"}


PARTS = ("condition", "criteria", "cause", "consequence", "recommendation")


@dataclass(frozen=True)
class ShownFinding:
    """A finding with its parts as headings and texts."""

    rule: str
    severity: str
    subject: str
    parts: list[tuple[str, Markup]]


@dataclass(frozen=True)
class SignOff:
    """The sign-off section.

    Attributes:
        stated: Whether there is a title block.
        terms: The title block with the date of the run, as terms with descriptions.
        line: Auditor, client and date in one line for the first screen; empty without a title block.
        statement: What the report is not.
        findings: The findings, the most severe first.
        rules: Name of each rule of the findings, and when it applies.
        thresholds: The thresholds fixed beforehand; ``None`` without any.
        impact: One table of impact ratios per method or model that is judged.
        reading: How to read them.
        clauses: The clauses of regulation and standards.
    """

    stated: bool
    terms: list[tuple[str, str]]
    line: str
    statement: str
    findings: list[ShownFinding]
    rules: tuple[tuple[str, str], ...]
    thresholds: Table | None
    impact: list[Table]
    reading: str
    clauses: Table


def sign_off(
    readings: Sequence[Reading],
    key: Key | None,
    outcomes: Mapping[str, Sequence[Gate]],
    *,
    timings: Sequence[Timing],
    title_block: TitleBlock | None,
) -> SignOff:
    """The sign-off of a run.

    Args:
        readings: The methods or models, the baseline first.
        key: The primary number; ``None`` where it was not measured.
        outcomes: Label to the outcome of every gate.
        timings: The timings, which have the date of the run.
        title_block: What the auditor stated; ``None`` for nothing.
    """
    checked = check(title_block.thresholds, readings) if title_block else []
    base = base_of(readings)
    judged = [base] if base is not None else list(readings)
    dates = sorted({timing.date for timing in timings if timing.date})
    return SignOff(
        stated=title_block is not None,
        terms=_terms(title_block or TitleBlock(), dates),
        line=_line(title_block, dates) if title_block else "",
        statement=NOT_CONFORMITY,
        findings=[_shown(found) for found in findings(readings, key, outcomes, checked)],
        rules=RULES,
        thresholds=_thresholds(checked, dates) if checked else None,
        impact=[table for reading in judged if (table := _impact(reading))],
        reading=_reading(judged[0]),
        clauses=clauses_table(),
    )


def _shown(found: Finding) -> ShownFinding:
    parts = [(sentence(name), with_code(getattr(found, name))) for name in PARTS]
    return ShownFinding(found.rule, found.severity, found.subject, parts)


def _terms(block: TitleBlock, dates: Sequence[str]) -> list[tuple[str, str]]:
    terms = [(TITLES.get(name, sentence(name)), getattr(block, name) or NOT_STATED) for name in FIELDS]
    day = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "not recorded"
    return [*terms, ("Date of the run (UTC)", day)]


def _line(block: TitleBlock, dates: Sequence[str]) -> str:
    who = f"Audited by {block.auditor}" if block.auditor else "Audited"
    parts = [who + (f" for {block.client}" if block.client else ""), *(f"run of {day}" for day in dates[:1])]
    return "; ".join([*parts, "not a conformity assessment"])


def _thresholds(checked: Sequence[Checked], dates: Sequence[str]) -> Table:
    rows = [
        Row([_limit(one.threshold, dates), text(one.label), _value(one), _verdict(one)]) for one in checked
    ]
    about = (
        "met: the whole 95% interval respects the limit; not met: the whole interval breaks it; undecided: "
        "it contains the limit"
    )
    columns = ["Threshold", "Of", "Measured", "Verdict"]
    return Table("thresholds", "Thresholds fixed beforehand", columns, rows, about)


def _limit(threshold: Threshold, dates: Sequence[str]) -> Cell:
    """A threshold with its reason, and whether it was fixed before the run."""
    percent = measure(threshold.metric).percent
    limit = threshold.at_most if threshold.at_most is not None else threshold.at_least or 0.0
    word = "at most" if threshold.at_most is not None else "at least"
    what = [measure(threshold.metric).title, attribute(threshold.attributes), cell(threshold.group)]
    if threshold.fixed is None:
        fixed = "day of fixing not stated"
    else:
        late = dates and threshold.fixed.isoformat() > dates[0]
        fixed = f"fixed on {threshold.fixed.isoformat()}{', after the run began' if late else ''}"
    name = f"{', '.join(filter(None, what))}: {word} {number(limit, percent=percent)}"
    return text(name, *filter(None, (threshold.why, fixed)))


def _value(checked: Checked) -> Cell:
    row = checked.row
    if row is None:
        return missing()
    named = row.group and not checked.threshold.group
    return of_group(row) if named else estimated(row, notes=[f"n {count(row.n)}"])


def _verdict(checked: Checked) -> Cell:
    return text(checked.verdict) if checked.verdict == "met" else alert(checked.verdict)


def _impact(reading: Reading) -> Table | None:
    """The impact ratios of one method or model: each attribute, then all of them jointly."""
    names = attribute_names([reading.result])
    sets = dict.fromkeys([*names, widest_set([reading])])
    found = [ratios for name in sets if (ratios := impact_ratios(reading, name))]
    if not found:
        return None
    rows = [
        Row(_category(category), sentence(attribute(ratios.attributes)), _counted(ratios))
        for ratios in found
        for category in ratios.categories
    ]
    label = reading.label
    return Table(
        f"impact-{slug(label)}" if not reading.is_base else "impact",
        f"Impact ratios of {label}",
        ["Category", "Share of the images", "Impact ratio", "Four-fifths rule"],
        rows,
        "share of a category divided by the largest share; 95% intervals; the range of a ratio is what both "
        "intervals allow",
    )


def _counted(ratios: ImpactRatios) -> str:
    """Images of known and of unknown category, and the categories that could be left out."""
    small = [cell(category.name) for category in ratios.categories if category.small]
    parts = [f"{plural(ratios.known, 'image')} of known category, {count(ratios.unknown)} unknown"]
    if small:
        parts.append(f"below {100 * SMALL:.0f}% of the images: {listing(small)}")
    return "; ".join(parts)


def _category(category: Category) -> list[Cell]:
    row = category.row
    ends = interval(row.low, row.high, percent=True) or "no interval"
    share = Cell(
        number(row.value, percent=True),
        (ends, f"n {count(row.n)}"),
        "number",
        {"": row.value, "low": row.low, "high": row.high, "n": row.n},
    )
    names = text(cell(category.name), *(["may be excluded by the rules"] if category.small else []))
    if not math.isfinite(category.ratio):
        return [names, share, missing(), missing()]
    span = interval(category.low, category.high, digits=2)
    raw = {"": category.ratio, "low": category.low, "high": category.high}
    ratio = Cell(
        number(category.ratio, digits=2), () if category.side == "highest" else (span,), "number", raw
    )
    return [names, share, ratio, _side(category)]


def _side(category: Category) -> Cell:
    limit = f"{FOUR_FIFTHS:.2f}"
    return {
        "highest": text("largest share"),
        "below": alert(f"below {limit}"),
        "above": text(f"not below {limit}"),
        "undecided": text("undecided"),
    }[category.side]


def _reading(reading: Reading) -> str:
    """How to read the impact ratios, and what they are not."""
    names = attribute_names([reading.result])
    judged = listing([attribute(name) for name in names])
    tone = " Skin tone is not race." if any(attribute(name) == "skin tone" for name in names) else ""
    return (
        "The form follows New York City’s Local Law 144 (6 RCNY 5-301), which asks for impact ratios by sex, "
        f"by race/ethnicity and by both together. This report has perceived {judged} instead.{tone} The law "
        "is about tools that help to decide on candidates; an image generator selects nobody, so the share "
        "of the images that show a category is in the place of its selection rate. The rules let an auditor "
        f"exclude a category with less than {100 * SMALL:.0f}% of the data. Nothing is excluded here: a "
        "group that is almost never shown is the finding."
    )
