"""The verdict: a few sentences that stand alone, none stronger than the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenhand.bench.policy.conclusion import conclude, contrary_judges, worst_attributes
from evenhand.bench.policy.correction import correction_status
from evenhand.bench.policy.marks import Marks, change_in_evenness
from evenhand.bench.results.entry import Band
from evenhand.bench.results.lookup import Key, Reading, base_of, difference, widest_set
from evenhand.bench.results.pairs import matching_pairs
from evenhand.bench.results.result import ComparisonRow, EstimateRow, Spec
from evenhand.bench.results.text import attribute, cell, count, interval, listing, number, plural, sentence
from evenhand.reports.components.wording import (
    estimand,
    same_group,
    share_of_pairs,
    with_interval,
)
from evenhand.reports.first_screen.headline import headline
from evenhand.reports.run.report_text import ReportText, report_text_of
from evenhand.reports.run.worst import most_underrepresented


@dataclass(frozen=True)
class Verdict:
    """The finding in one line, and the sentences that support it.

    Attributes:
        headline: The finding.
        sentences: What supports it, what the numbers mean first.
        gates: A line on each method that does not pass every gate, with the reasons.
    """

    headline: str
    sentences: list[str]
    gates: list[tuple[str, list[str]]] = field(default_factory=list)


def verdict(
    readings: Sequence[Reading],
    key: Key | None,
    failures: Mapping[str, list[str]],
    bands: Mapping[str, Band],
    marks: Mapping[str, Marks],
) -> Verdict:
    """The findings of the run.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
        failures: Method label to the gates that it does not pass.
        bands: Method label to its band.
        marks: Method label to its marks.
    """
    base = base_of(readings)
    methods = [reading for reading in readings if not reading.is_base]
    first = headline(readings, key, bands, marks)
    if key is None:
        return Verdict(first, [])
    about = _unevenness(base or readings[0], key)
    if len(readings) == 1:
        return Verdict(first, about)
    if base is None and readings[0].result.spec.external:
        return Verdict(first, _side_by_side(readings, key))
    report_text = report_text_of(readings[0].result.spec)
    named = conclude(readings, key, bands).methods
    numbers = [line for reading in named for line in _effect(reading, base, key)]
    return Verdict(first, [*about[:1], *numbers, *about[1:]], _gates(methods, failures, report_text))


def _unevenness(reading: Reading, key: Key) -> list[str]:
    """How uneven the baseline (or the only subject) is, and what the numbers speak of."""
    spec, row = reading.result.spec, reading.at(key)
    alone = reading.is_base or spec.external
    subject = spec.model if alone else f"{spec.model} with {reading.label}"
    lines = [_meaning(subject, row, spec)] if row else []
    worst = most_underrepresented(reading, widest_set([reading]))
    if worst is not None and worst[1].high < worst[2]:
        name, found, target = worst
        lines.append(
            f"Most under-represented relative to its target: {cell(name)}, in {with_interval(found)} of the "
            f"images of {subject}; the target is {number(target, percent=True)}."
        )
    status = correction_status(reading.result)
    lines += [f"{sentence(status.sentence)}."] if status.status == "not verified" else []
    return [*filter(None, lines), estimand(spec)]


def _meaning(subject: str, row: EstimateRow, spec: Spec) -> str:
    """The distance as a share of matching pairs, or as it is where no such share says it."""
    pairs = matching_pairs(row, spec)
    if not math.isfinite(row.value):
        return ""
    if pairs is None:
        return (
            f"Over {attribute(row.attributes)} the distance of {subject} from the target shares is "
            f"{with_interval(row)}; {SCALE}"
        )
    ends = share_of_pairs(pairs.low, pairs.high)
    example = f", such as “{spec.concepts[0]}”," if spec.concepts else ""
    return (
        f"In {share_of_pairs(pairs.value)} of pairs of images of one concept{example} {subject} shows the "
        f"{same_group(row.attributes)}{f' (95% interval {ends})' if ends else ''}; with even shares it would "
        f"be {share_of_pairs(pairs.even)}."
    )


SCALE = (
    "0 means that every group has its target share, 1 that all images of a concept show a single group, the "
    "one with the smallest target."
)


def _side_by_side(readings: Sequence[Reading], key: Key) -> list[str]:
    """How uneven the images of each model are, where none of them is the baseline."""
    found = [(reading, row) for reading in readings if (row := reading.at(key)) is not None]
    lines = [_meaning(reading.label, row, reading.result.spec) for reading, row in found]
    for reading in readings:
        for other in dict.fromkeys(row.against for row in reading.result.comparisons):
            if (paired := difference(reading, other, key)) is not None:
                lines.append(
                    f"The paired difference of {reading.label} from {other} is "
                    f"{_paired(paired, reading.result.spec)}."
                )
    return [*filter(None, lines), estimand(readings[0].result.spec)]


def _paired(row: ComparisonRow, spec: Spec) -> str:
    """A paired difference in points of matching pairs, or in the squared distance where there are none."""
    change = change_in_evenness(row, spec)
    points = change.unit == "points"
    digits, unit = (1, "points of matching pairs") if points else (2, "in squared distance")
    ends = interval(change.low, change.high, digits=digits)
    text = f"{number(change.value, digits=digits)} {unit} "
    text += f"(95% interval {ends})" if ends else "(no interval)"
    return text if change.sign != "open" else f"{text}, which is not clearly different from zero"


def _effect(reading: Reading, base: Reading | None, key: Key) -> list[str]:
    """The effect of one method, where it is worst, and whether the effect depends on the judge."""
    row = reading.at(key)
    if row is None or reading.is_base:
        return []
    pairs = matching_pairs(row, reading.result.spec)
    text = f"With {reading.label}, the distance is {with_interval(row)}"
    if pairs is not None:
        ends = share_of_pairs(pairs.low, pairs.high)
        text = f"With {reading.label}, {share_of_pairs(pairs.value)} of such pairs match"
        text += f" (95% interval {ends})" if ends else ""
    paired = difference(reading, base.label, key) if base else None
    if paired is not None:
        text += f"; the paired difference from the baseline is {_paired(paired, reading.result.spec)}"
    (worst,) = worst_attributes([reading], key)
    if worst is not None and worst.attributes != key.attributes:
        where = f"{attribute(worst.attributes)} ({number(worst.value, digits=2)})"
        text += f". Its largest distance from the target is that for {where}"
    return [f"{text}.", *_judge_dependence(reading, base, key)]


def _judge_dependence(reading: Reading, base: Reading | None, key: Key) -> list[str]:
    """A sentence where a single judge finds a change in the opposite direction."""
    contrary = contrary_judges(reading, base, key)
    if not contrary:
        return []
    verb = "sees" if len(contrary) == 1 else "see"
    return [
        f"This result depends on the judge: {listing(contrary)} {verb} a change in the opposite direction."
    ]


FEW = 3
"""Up to this many methods, the verdict gives the reasons of their gates; of more, only the names."""


def _gates(
    methods: Sequence[Reading], failures: Mapping[str, list[str]], report_text: ReportText
) -> list[tuple[str, list[str]]]:
    """The methods that do not pass every gate, and why."""
    failed = [reading.label for reading in methods if failures.get(reading.label)]
    if len(failed) > FEW:
        of = f"{count(len(failed))} of {report_text.number(len(methods))}"
        where = f"The reasons are under “{report_text.compared}”."
        return [(f"{of} do not pass every gate: {listing(failed)}. {where}", [])]
    return [
        (
            f"{label} does not pass {plural(len(failures[label]), 'gate')}:",
            list(map(sentence, failures[label])),
        )
        for label in failed
    ]
