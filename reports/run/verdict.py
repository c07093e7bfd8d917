"""The verdict: a few sentences for a reader who reads nothing else, none stronger than the numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evenhand.bench.results.lookup import Key, Reading, base_of, widest_set
from evenhand.bench.results.result import EstimateRow, RankRow
from evenhand.bench.results.text import attribute, cell, count, interval, listing, number, plural, sentence
from evenhand.reports.components.wording import with_interval
from evenhand.reports.run.report_text import ReportText, report_text_of
from evenhand.reports.run.worst import least_shown


@dataclass(frozen=True)
class Verdict:
    """The finding in one line, and the sentences that carry it."""

    headline: str
    sentences: list[str]


def verdict(
    readings: Sequence[Reading],
    key: Key | None,
    failures: Mapping[str, list[str]],
    *,
    spoiling: Collection[str] = (),
) -> Verdict:
    """What the run found.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
        failures: Method label to the gates it does not pass.
        spoiling: Labels of methods that fail a gate for sure; the others may lack the images to pass.
    """
    base = base_of(readings)
    treated = [reading for reading in readings if not reading.is_base]
    about = _unevenness(base or readings[0], key)
    if key is None:
        return Verdict("The distance from the target shares was not measured.", about)
    if len(readings) == 1:
        return Verdict(_alone(readings[0], key), about)
    report_text = report_text_of(readings[0].result.spec)
    headline, spoken_of = _best(readings, treated, key, failures, report_text)
    if base is None and readings[0].result.spec.external:
        return Verdict(headline, _side_by_side(readings, key))
    if all(failures.get(reading.label) for reading in treated):
        spoken_of = [reading for reading in treated if _improves(reading, base, key)]
        headline = _unranked(spoken_of, spoiling, report_text)
    numbers = [line for reading in spoken_of for line in _repair(reading, base, key)]
    return Verdict(headline, [*about, *numbers, *_failures(treated, failures, report_text)])


def _alone(reading: Reading, key: Key) -> str:
    row = reading.at(key)
    if row is None or math.isnan(row.low):
        return "The distance from the target shares could not be estimated."
    subject = reading.label if reading.result.spec.external else "the model"
    distance = f"its distance from the target shares is {with_interval(row)}"
    if row.low > 0:
        return f"{sentence(subject)} does not depict the groups evenly: {distance}."
    return f"At this number of images {subject} cannot be told apart from an even one: {distance}."


def _unevenness(reading: Reading, key: Key | None) -> list[str]:
    """How uneven the baseline (or the only subject) is, in words."""
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
            f"{with_interval(joint)}, {_footing(joint)}; {_SCALE}"
        )
    worst = least_shown(reading, widest_set([reading]))
    if worst is not None:
        name, row, target = worst
        lines.append(
            f"Shown least for its target is {cell(name)}, in {with_interval(row)} of the images; "
            f"the target is {number(target, percent=True)}."
        )
    return lines


_SCALE = "0 means that every group has its target share and 1 that one group has everything."


def _footing(row: EstimateRow) -> str:
    return "the judges’ error corrected" if row.corrected else "as the judges see it"


def _side_by_side(readings: Sequence[Reading], key: Key) -> list[str]:
    """How uneven the images of each model are, where none of them is the untreated form of another."""
    rows = [(reading.label, row) for reading in readings if (row := reading.at(key)) is not None]
    values = [f"{with_interval(row)} for {label}" for label, row in rows]
    lines = [
        f"Over {attribute(key.attributes)} the distance from the target shares is {listing(values)}, "
        f"{_footing(rows[0][1])}; {_SCALE}"
    ]
    for reading in readings:
        for other in dict.fromkeys(row.against for row in reading.result.comparisons):
            if (paired := reading.against(other, key)) is not None:
                ends = interval(paired.low, paired.high, digits=2)
                clear = paired.high < 0 or paired.low > 0
                lines.append(
                    f"The distance of {reading.label} differs from that of {other} by "
                    f"{number(paired.value, digits=2)} ({ends})"
                    + ("." if clear else ", which is not clearly different from none.")
                )
    return lines


def _majority(subject: str, reading: Reading, row: EstimateRow) -> str:
    """With two groups and an even target the larger one's mean share is exactly (1 + ratio) / 2."""
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
        f", and a fair model shows {share(row.floor)} by chance at this sample size" if row.floor > 0 else ""
    )
    return (
        f"On prompts that name no gender, {subject} shows the commoner perceived gender in "
        f"{share(row.value)} of the images of the average concept ({ends}even would be 50%{fair})."
    )


def _best(
    readings: Sequence[Reading],
    treated: Sequence[Reading],
    key: Key,
    failures: Mapping[str, list[str]],
    report_text: ReportText,
) -> tuple[str, list[Reading]]:
    """The headline, and the methods it speaks of."""
    passing = [reading for reading in readings if not failures.get(reading.label)]
    ranks = {reading.label: rank for reading in passing if (rank := reading.rank(key)) is not None}
    if not ranks:
        return f"No ranking was made in this run, so no {report_text.subject} is called the best.", []
    leaders = [
        reading for reading in passing if reading.label in _leaders(ranks, whole=passing == list(readings))
    ]
    repairing = [reading for reading in leaders if not reading.is_base]
    names = [reading.label for reading in repairing]
    among = "" if len(passing) == len(readings) else f" among the {report_text.subjects} that pass every gate"
    if not names:
        return f"No {report_text.subject}{among} improves on the baseline.", []
    if len(names) < len(leaders):
        return f"No {report_text.subject}{among} can be told apart from the baseline.", repairing[:1]
    if len(names) == 1:
        ours, untreated = _at(repairing[0], key), _at(base_of(readings), key)
        against = f", against {untreated} for the baseline" if untreated else ""
        return f"{names[0]} comes closest to the target shares{among}: {ours}{against}.", repairing
    return f"{listing(names)} come closest to the target shares{among} and cannot be told apart.", repairing


def _at(reading: Reading | None, key: Key) -> str:
    """A method's distance with its interval; empty where it has none."""
    row = reading.at(key) if reading else None
    return with_interval(row) if row is not None else ""


def _improves(reading: Reading, base: Reading | None, key: Key) -> bool:
    """Whether the paired interval excludes that the method leaves the distance as it is, or adds to it."""
    paired = reading.against(base.label, key) if base else None
    return paired is not None and paired.high < 0


def _unranked(improving: Sequence[Reading], spoiling: Collection[str], report_text: ReportText) -> str:
    """The headline where no method passes every gate."""
    kept = [reading.label for reading in improving if reading.label not in spoiling]
    if kept:
        verb = "brings" if len(kept) == 1 else "bring"
        return (
            f"{listing(kept)} {verb} the model closer to the target shares, but these images are too few "
            f"to prove that nothing else is lost, so no {report_text.subject} is ranked."
        )
    if improving:
        return f"Every {report_text.subject} that brings the model closer to the target shares spoils something else."
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


def _repair(reading: Reading, base: Reading | None, key: Key) -> list[str]:
    """One method's effect, and the doubts about it."""
    row = reading.at(key)
    if row is None or reading.is_base:
        return []
    text = f"{reading.label} brings that distance to {with_interval(row)}"
    paired = reading.against(base.label, key) if base else None
    if paired is not None:
        ends = interval(paired.low, paired.high, digits=2)
        text += f"; the paired difference to the baseline is {number(paired.value, digits=2)} ({ends})"
        text += "." if paired.high < 0 or paired.low > 0 else ", which is not clearly different from none."
    else:
        text += "."
    return [text, *_doubts(reading, base, key)]


def _doubts(reading: Reading, base: Reading | None, key: Key) -> list[str]:
    """Whether single judges see the opposite change (measurement.md 3.11)."""
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
    return [f"This is judge dependent: {listing(contrary)} {verb} a change in the other direction."]


def _change(reading: Reading, base: Reading, key: Key) -> float:
    ours, theirs = reading.at(key), base.at(key)
    return ours.value - theirs.value if ours is not None and theirs is not None else math.nan


def judges_of(reading: Reading) -> list[str]:
    """The judges that took part, apart from the method's own steering judge."""
    steering = reading.result.spec.method.steering_judge
    return [judge.name for judge in reading.result.spec.judges if judge.name != steering]


FEW = 3
"""Methods whose failures are told one by one; of more, only the names."""


def _failures(
    treated: Sequence[Reading], failures: Mapping[str, list[str]], report_text: ReportText
) -> list[str]:
    """Who does not pass the gates, and why."""
    failed = [reading.label for reading in treated if failures.get(reading.label)]
    if len(failed) > FEW:
        of = f"{count(len(failed))} of {report_text.number(len(treated))}"
        return [
            f"{of} do not pass every gate: {listing(failed)}. The reasons are under “{report_text.compared}”."
        ]
    return [
        f"{label} does not pass {plural(len(failures[label]), 'gate')}: {'; '.join(failures[label])}."
        for label in failed
    ]
