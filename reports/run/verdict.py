"""The verdict: a few sentences that stand alone, none stronger than the numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evenhand.bench.results.lookup import Key, Reading, base_of, widest_set
from evenhand.bench.results.result import EstimateRow, RankRow
from evenhand.bench.results.text import attribute, cell, count, interval, listing, number, plural, sentence
from evenhand.reports.components.wording import CORRECTED, UNCORRECTED, with_interval
from evenhand.reports.run.report_text import ReportText, report_text_of
from evenhand.reports.run.worst import most_underrepresented


@dataclass(frozen=True)
class Verdict:
    """The finding in one line, and the sentences that support it."""

    headline: str
    sentences: list[str]


def verdict(
    readings: Sequence[Reading],
    key: Key | None,
    failures: Mapping[str, list[str]],
    *,
    harmful: Collection[str] = (),
) -> Verdict:
    """The findings of the run.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
        failures: Method label to the gates that it does not pass.
        harmful: Labels of methods that fail a gate; the others may only have too few images to pass.
    """
    base = base_of(readings)
    methods = [reading for reading in readings if not reading.is_base]
    about = _unevenness(base or readings[0], key)
    if key is None:
        return Verdict("The distance from the target shares was not measured.", about)
    if len(readings) == 1:
        return Verdict(_alone(readings[0], key), about)
    report_text = report_text_of(readings[0].result.spec)
    headline, described = _best(readings, key, failures, report_text)
    if base is None and readings[0].result.spec.external:
        return Verdict(headline, _side_by_side(readings, key))
    if all(failures.get(reading.label) for reading in methods):
        described = [reading for reading in methods if _improves(reading, base, key)]
        headline = _unranked(described, harmful, report_text)
    numbers = [line for reading in described for line in _effect(reading, base, key)]
    return Verdict(headline, [*about, *numbers, *_failures(methods, failures, report_text)])


def _alone(reading: Reading, key: Key) -> str:
    row = reading.at(key)
    if row is None or math.isnan(row.low):
        return "The distance from the target shares could not be estimated."
    subject = reading.label if reading.result.spec.external else "the model"
    distance = f"its distance from the target shares is {with_interval(row)}"
    if row.low > 0:
        return f"{sentence(subject)} does not depict the groups evenly: {distance}."
    return f"With this many images, {subject} is not distinguishable from an even one: {distance}."


def _unevenness(reading: Reading, key: Key | None) -> list[str]:
    """How uneven the baseline (or the only subject) is."""
    lines = []
    model = reading.result.spec.model
    alone = reading.is_base or reading.result.spec.external
    subject = model if alone else f"{model} with {reading.label}"
    row = reading.naive("deviation_ratio", "gender")
    if row is not None and math.isfinite(row.value):
        lines.append(_majority(subject, reading, row))
    joint = reading.at(key) if key else None
    if joint is not None and math.isfinite(joint.value):
        lines.append(
            f"Over {attribute(joint.attributes)} its distance from the target shares is "
            f"{with_interval(joint)}, {_footing(joint)}; {SCALE}"
        )
    worst = most_underrepresented(reading, widest_set([reading]))
    if worst is not None:
        name, row, target = worst
        lines.append(
            f"Most under-represented relative to its target: {cell(name)}, in {with_interval(row)} of the "
            f"images; the target is {number(target, percent=True)}."
        )
    return lines


SCALE = "0 means that every group has its target share, 1 that all images show a single group."


def _footing(row: EstimateRow) -> str:
    return CORRECTED if row.corrected else UNCORRECTED


def _side_by_side(readings: Sequence[Reading], key: Key) -> list[str]:
    """How uneven the images of each model are, where none of them is the baseline."""
    rows = [(reading.label, row) for reading in readings if (row := reading.at(key)) is not None]
    values = [f"{with_interval(row)} for {label}" for label, row in rows]
    lines = [
        f"Over {attribute(key.attributes)} the distance from the target shares is {listing(values)}, "
        f"{_footing(rows[0][1])}; {SCALE}"
    ]
    for reading in readings:
        for other in dict.fromkeys(row.against for row in reading.result.comparisons):
            if (paired := reading.against(other, key)) is not None:
                ends = interval(paired.low, paired.high, digits=2)
                clear = paired.high < 0 or paired.low > 0
                lines.append(
                    f"The distance of {reading.label} differs from that of {other} by "
                    f"{number(paired.value, digits=2)} ({ends})"
                    + ("." if clear else ", which is not clearly different from zero.")
                )
    return lines


def _majority(subject: str, reading: Reading, row: EstimateRow) -> str:
    """The deviation ratio as a share: with two groups and an even target it is exactly (1 + ratio) / 2."""
    spec = reading.result.spec
    shares = spec.target.values()
    even = not spec.targets and max(shares, default=0) - min(shares, default=0) < 1e-6
    if len(spec.attributes.get("gender", [])) != 2 or not even:
        return f"On neutral prompts {subject} has a gender deviation ratio of {with_interval(row)}."

    def share(ratio: float) -> str:
        return f"{50 * (1 + ratio):.0f}%"

    ends = (
        f"95% interval {share(row.low)} to {share(row.high)}; " if math.isfinite(row.low + row.high) else ""
    )
    fair = (
        f", and the chance level of a fair model at this sample size is {share(row.floor)}"
        if row.floor > 0
        else ""
    )
    return (
        f"On prompts that name no gender, {subject} shows the more frequent perceived gender in "
        f"{share(row.value)} of the images of the average concept ({ends}even would be 50%{fair})."
    )


def _best(
    readings: Sequence[Reading], key: Key, failures: Mapping[str, list[str]], report_text: ReportText
) -> tuple[str, list[Reading]]:
    """The headline, and the methods that it names."""
    passing = [reading for reading in readings if not failures.get(reading.label)]
    ranks = {reading.label: rank for reading in passing if (rank := reading.rank(key)) is not None}
    if not ranks:
        return f"This run has no ranking, so no {report_text.subject} is named the best.", []
    leaders = [
        reading for reading in passing if reading.label in _leaders(ranks, whole=passing == list(readings))
    ]
    best = [reading for reading in leaders if not reading.is_base]
    names = [reading.label for reading in best]
    among = "" if len(passing) == len(readings) else f" among the {report_text.subjects} that pass every gate"
    if not names:
        return f"No {report_text.subject}{among} improves on the baseline.", []
    if len(names) < len(leaders):
        return f"No {report_text.subject}{among} is distinguishable from the baseline.", best[:1]
    if len(names) == 1:
        ours, theirs = _at(best[0], key), _at(base_of(readings), key)
        against = f", compared with {theirs} for the baseline" if theirs else ""
        return f"{names[0]} comes closest to the target shares{among}: {ours}{against}.", best
    tied = "are not distinguishable from one another"
    return f"{listing(names)} come closest to the target shares{among} and {tied}.", best


def _at(reading: Reading | None, key: Key) -> str:
    """A method's distance with its interval; empty where it has none."""
    row = reading.at(key) if reading else None
    return with_interval(row) if row is not None else ""


def _improves(reading: Reading, base: Reading | None, key: Key) -> bool:
    """Whether the paired interval shows a smaller distance than the baseline's."""
    paired = reading.against(base.label, key) if base else None
    return paired is not None and paired.high < 0


def _unranked(improving: Sequence[Reading], harmful: Collection[str], report_text: ReportText) -> str:
    """The headline where no method passes every gate."""
    kept = [reading.label for reading in improving if reading.label not in harmful]
    if kept:
        verb = "brings" if len(kept) == 1 else "bring"
        return (
            f"{listing(kept)} {verb} the model closer to the target shares, but there are too few images "
            f"to show that nothing else gets worse, so no {report_text.subject} is ranked."
        )
    if improving:
        return f"Every {report_text.subject} that brings the model closer to the target shares fails a gate."
    return f"No {report_text.subject} passes every gate, so none is ranked."


def _leaders(ranks: Mapping[str, RankRow], *, whole: bool) -> set[str]:
    """Labels that may be the best.

    Among all methods those are the ones whose rank set contains 1. Among a selection, a method is out
    only if another's whole rank set lies before its own.
    """
    if whole:
        return {label for label, rank in ranks.items() if rank.low == 1}
    bound = min(rank.high for rank in ranks.values())
    return {label for label, rank in ranks.items() if rank.low <= bound}


def _effect(reading: Reading, base: Reading | None, key: Key) -> list[str]:
    """The effect of one method, and whether it depends on the judge."""
    row = reading.at(key)
    if row is None or reading.is_base:
        return []
    text = f"With {reading.label}, that distance is {with_interval(row)}"
    paired = reading.against(base.label, key) if base else None
    if paired is not None:
        ends = interval(paired.low, paired.high, digits=2)
        text += f"; the paired difference from the baseline is {number(paired.value, digits=2)} ({ends})"
        text += "." if paired.high < 0 or paired.low > 0 else ", which is not clearly different from zero."
    else:
        text += "."
    return [text, *_judge_dependence(reading, base, key)]


def _judge_dependence(reading: Reading, base: Reading | None, key: Key) -> list[str]:
    """A sentence where a single judge finds a change in the opposite direction."""
    change = (
        {judge: _change(reading, base, key._replace(judge=judge)) for judge in judges_of(reading)}
        if base
        else {}
    )
    overall = _change(reading, base, key) if base else math.nan
    contrary = [judge for judge, value in change.items() if value * overall < 0]
    if not contrary:
        return []
    verb = "sees" if len(contrary) == 1 else "see"
    return [
        f"This result depends on the judge: {listing(contrary)} {verb} a change in the opposite direction."
    ]


def _change(reading: Reading, base: Reading, key: Key) -> float:
    ours, theirs = reading.at(key), base.at(key)
    return ours.value - theirs.value if ours is not None and theirs is not None else math.nan


def judges_of(reading: Reading) -> list[str]:
    """The judges of the run except the method's steering judge."""
    steering = reading.result.spec.method.steering_judge
    return [judge.name for judge in reading.result.spec.judges if judge.name != steering]


FEW = 3
"""Up to this many methods, the verdict gives the reasons of their failures; of more, only the names."""


def _failures(
    methods: Sequence[Reading], failures: Mapping[str, list[str]], report_text: ReportText
) -> list[str]:
    """The methods that do not pass every gate, and why."""
    failed = [reading.label for reading in methods if failures.get(reading.label)]
    if len(failed) > FEW:
        of = f"{count(len(failed))} of {report_text.number(len(methods))}"
        return [
            f"{of} do not pass every gate: {listing(failed)}. The reasons are under “{report_text.compared}”."
        ]
    return [
        f"{label} does not pass {plural(len(failures[label]), 'gate')}: {'; '.join(failures[label])}."
        for label in failed
    ]
