"""The findings of an audit, in the form condition, criteria, cause, consequence and recommendation.

They are derived from the results by the rules below, so that the same results give the same findings and
nobody chooses what is reported. A pure function of results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from evenhand.bench.policy.conclusion import improves
from evenhand.bench.policy.correction import ADVICE, UNVERIFIED, VERIFIED_IMAGES, correction_notes
from evenhand.bench.policy.gates import Gate
from evenhand.bench.policy.impact_ratio import FOUR_FIFTHS
from evenhand.bench.policy.thresholds import Checked
from evenhand.bench.results.lookup import Key, Reading, attribute_names, base_of, cell_shares
from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import METRIC_TERMS, attribute, count, interval, listing, number, sentence
from evenhand.bench.results.title_block import Threshold

Severity = Literal["high", "medium", "low"]

SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")

FAR, MIDDLE = 0.5, 0.2
"""Distances from the target from which, beyond the interval, an uneven depiction is high or medium."""

RARE = 0.2
"""Share relative to the target below which, beyond the interval, a rare group is a high finding."""

RELIABLE, TENTATIVE = 0.8, 0.667
"""Smallest Krippendorff's alpha of reliable labels, and for tentative conclusions (Krippendorff 2004)."""

UNLABELLED, MOSTLY_UNLABELLED = 0.05, 0.2
"""Shares of neutral images without a label from which a finding is low, and from which it is medium."""

RULES: tuple[tuple[str, str], ...] = (
    (
        "Uneven depiction",
        f"the whole interval of the distance from the target is above {FAR:g} (high), above {MIDDLE:g} "
        "(medium), or above 0 (low)",
    ),
    (
        "Rare group",
        f"the whole interval of a group’s share is below {RARE:g} of its target (high) or below "
        f"{FOUR_FIFTHS:g} of it (medium); the rarest group of each attribute",
    ),
    (
        "Harm by a method",
        "a gate’s harm is proven: of explicit fidelity, over-correction or unrelated images (high), of "
        "another gate (medium)",
    ),
    ("Gate not decided", "a gate is not proven (low) or was not measured (medium)"),
    (
        "Threshold",
        "a threshold that was fixed beforehand is not met (high), undecided or not measured (medium)",
    ),
    ("Correction", "the correction for judge error is not verified with labels of people (medium)"),
    (
        "Agreement",
        f"Krippendorff’s alpha of the judges is below {TENTATIVE:g} (medium) or below {RELIABLE:g} (low)",
    ),
    (
        "Undetermined images",
        f"the panel cannot label more than {100 * MOSTLY_UNLABELLED:.0f}% (medium) or more than "
        f"{100 * UNLABELLED:.0f}% (low) of the images of neutral prompts",
    ),
)
"""Name of each rule, and when it gives a finding of which severity."""


@dataclass(frozen=True)
class Finding:
    """A finding of an audit.

    Attributes:
        rule: Name of the rule that gives it.
        severity: How serious it is, by this rule.
        subject: The method, model or judges that it is about.
        condition: What was found, with its number, interval and n.
        criteria: What it is measured against.
        cause: Why it is so, as far as the results show that.
        consequence: What it means for users of the model.
        recommendation: What to do.
    """

    rule: str
    severity: Severity
    subject: str
    condition: str
    criteria: str
    cause: str
    consequence: str
    recommendation: str


def findings(
    readings: Sequence[Reading],
    key: Key | None,
    outcomes: Mapping[str, Sequence[Gate]],
    thresholds: Sequence[Checked] = (),
) -> list[Finding]:
    """The findings of a run or audit, the most severe first.

    Args:
        readings: The methods or models; the baseline first, if there is one.
        key: The primary number; ``None`` where it was not measured.
        outcomes: Label to the outcome of every gate.
        thresholds: The thresholds that were fixed beforehand, checked.
    """
    base = base_of(readings)
    judged = [base] if base is not None else list(readings)
    found = [
        *_thresholds(thresholds),
        *(one for reading in judged if key for one in _uneven(reading, key, readings, outcomes)),
        *(one for reading in judged for one in _rare(reading)),
        *(one for reading in readings for one in _gates(reading.label, outcomes.get(reading.label, ()))),
        *_correction(readings),
        *_agreement(readings),
        *_undetermined(judged),
    ]
    return sorted(found, key=lambda one: SEVERITIES.index(one.severity))


def _uneven(
    reading: Reading, key: Key, readings: Sequence[Reading], outcomes: Mapping[str, Sequence[Gate]]
) -> Iterator[Finding]:
    row = reading.at(key)
    if row is None or not row.low > 0:
        return
    yield Finding(
        "Uneven depiction",
        "high" if row.low > FAR else "medium" if row.low > MIDDLE else "low",
        reading.label,
        f"The distance from the target shares over {attribute(key.attributes)} is {_shown(row)}.",
        f"The target shares ({reading.result.spec.target_name}), from which the distance is 0.",
        NOT_ESTABLISHED,
        "Users whose prompts name no group see some groups more often than the target asks for, others less.",
        _remedy(readings, key, outcomes),
    )


NOT_ESTABLISHED = (
    "Not established. The audit measures images; it does not examine the training data or the design of the "
    "model."
)


def _remedy(readings: Sequence[Reading], key: Key, outcomes: Mapping[str, Sequence[Gate]]) -> str:
    """What to do about an uneven model: the methods that helped here without harm, if any."""
    base = base_of(readings)
    good = [
        reading.label
        for reading in readings
        if not reading.is_base
        and improves(reading, base, key)
        and all(gate.status == "passed" for gate in outcomes.get(reading.label, ()))
    ]
    if base is not None and good:
        return f"Consider {listing(good, joint='or')}, closer to the target here with every gate passed."
    if base is not None:
        return "Do not rely on a method of this run: none is closer to the target with every gate passed."
    return "Decide whether this is acceptable for the intended use; if not, mitigate it and audit again."


def _rare(reading: Reading) -> Iterator[Finding]:
    """The rarest group of each single attribute."""
    spec = reading.result.spec
    for name in attribute_names([reading.result]):
        shares = [(group, rows[0]) for group, rows in cell_shares([reading], name).items()]
        known = [(group, row, spec.target_share(name, group)) for group, row in shares if row is not None]
        known = [
            (group, row, target) for group, row, target in known if target > 0 and row.value == row.value
        ]
        if not known:
            continue
        group, row, target = min(known, key=lambda each: each[1].value / each[2])
        if not row.high < FOUR_FIFTHS * target:
            continue
        yield Finding(
            "Rare group",
            "high" if row.high < RARE * target else "medium",
            reading.label,
            f"{sentence(group)} ({attribute(name)}) is shown in {_shown(row)} of the images.",
            f"A target of {number(target, percent=True)}; the four-fifths rule as its tolerance.",
            NOT_ESTABLISHED,
            f"Users whose prompts name no group rarely see people perceived as {group}.",
            "Decide with the people concerned what the target should be, then mitigate and audit again.",
        )


HARMS: dict[str, tuple[Severity, str, str]] = {
    "explicit fidelity": (
        "high",
        "A user who asks for a group does not reliably get it.",
        "Do not deploy this setting; lower its strength or choose another method.",
    ),
    "over-correction": (
        "high",
        "People whom a prompt defines, such as historical figures, are drawn as other people.",
        "Do not deploy this setting; limit it to prompts that leave the group open.",
    ),
    "unrelated images": (
        "high",
        "Images of prompts without people no longer show what the prompt asks for.",
        "Do not deploy this setting; limit it to prompts about people.",
    ),
    "undetermined rate": (
        "medium",
        "More images show no recognisable person, which hides an uneven depiction.",
        "Look at these images before using any share of this method.",
    ),
    "alignment": (
        "medium",
        "Images show less of what the prompt asks for.",
        "Weigh the gain in evenness against this loss; look at the images.",
    ),
}
"""Gate to the severity of its harm, the consequence and the recommendation."""


def _gates(label: str, gates: Sequence[Gate]) -> Iterator[Finding]:
    """The harms of a method, and in one finding the gates that nothing decides."""
    same_noise = "The method: prompts and noise are those of the baseline."
    for gate in gates:
        if gate.status == "harm proven":
            severity, consequence, advice = HARMS[gate.name]
            condition, criteria = f"{sentence(gate.reason)}.", "The margin that the gate allows."
            yield Finding(
                "Harm by a method", severity, label, condition, criteria, same_noise, consequence, advice
            )
    for status, severity, why in OPEN:
        names = [gate.name for gate in gates if gate.status == status]
        if names:
            yield Finding(
                "Gate not decided",
                severity,
                label,
                f"{sentence(listing(names))}: {why[0]}.",
                "A gate is passed where the data exclude a loss beyond its margin.",
                why[1],
                "Whether the method does this harm is not known.",
                why[2],
            )


OPEN: tuple[tuple[str, Severity, tuple[str, str, str]], ...] = (
    (
        "not proven",
        "low",
        (
            "neither passed nor proven harmful",
            "Too few images.",
            "Generate the number of images that the report names, for example with `--until-decided`.",
        ),
    ),
    (
        "unchecked",
        "medium",
        (
            "not measured",
            "The suite or the image list has no prompts for it.",
            "Add such prompts and measure it.",
        ),
    ),
)
"""Status of a gate to the severity, and why it is open: the condition, the cause, what to do."""


def _thresholds(checks: Sequence[Checked]) -> Iterator[Finding]:
    """One finding for each threshold and verdict, with every method that it is about."""
    open_ = [one for one in checks if one.verdict != "met"]
    for (limit, verdict), group in groupby(
        sorted(open_, key=_grouped), key=lambda one: (one.threshold, one.verdict)
    ):
        found = list(group)
        bound = f"at most {limit.at_most:g}" if limit.at_most is not None else f"at least {limit.at_least:g}"
        facts = [f"{one.label} {_shown(one.row)}" if one.row else one.label for one in found]
        severity, cause, consequence, advice = FAILED[verdict]
        yield Finding(
            "Threshold",
            severity,
            listing([one.label for one in found]),
            f"{_named(limit)}: {'; '.join(facts)}. The threshold is {verdict}.",
            f"{sentence(bound)}, fixed beforehand{f': {limit.why}' if limit.why else ''}.",
            cause,
            consequence,
            advice,
        )


FAILED: dict[str, tuple[Severity, str, str, str]] = {
    "not met": (
        "high",
        NOT_ESTABLISHED,
        "The condition that was set for the intended use does not hold.",
        "Do not accept the model for this use as it is; mitigate and audit again.",
    ),
    "undecided": (
        "medium",
        "Too few images, or a number that has no interval.",
        "It is not known whether the condition that was set for the intended use holds.",
        "Measure with more images before the model is accepted for this use.",
    ),
    "not measured": (
        "medium",
        "The suite or the image list has no prompts for it.",
        "It is not known whether the condition that was set for the intended use holds.",
        "Add such prompts and measure it before the model is accepted for this use.",
    ),
}
"""Verdict on a threshold to the severity, the cause, the consequence and the recommendation."""


def _grouped(checked: Checked) -> tuple[str, str]:
    return checked.threshold.model_dump_json(), checked.verdict


def _named(limit: Threshold) -> str:
    """The number that a threshold is about: ``"Share, skin tone, dark"``."""
    terms = METRIC_TERMS.get(limit.metric)
    return ", ".join(
        filter(None, (terms.title if terms else limit.metric, attribute(limit.attributes), limit.group))
    )


def _correction(readings: Sequence[Reading]) -> Iterator[Finding]:
    checks = {reading.label: reading.result.correction_check for reading in readings}
    known = {label: check for label, check in checks.items() if check is not None}
    for note in correction_notes({reading.label: reading.result.estimates for reading in readings}, known):
        yield Finding(
            "Correction",
            "medium",
            "the judges",
            # A note on one method begins with its label, which keeps its case.
            f"{sentence(note) if note.startswith(UNVERIFIED) else note}.",
            f"Labels of people for {VERIFIED_IMAGES} images of the baseline and of the method.",
            "The errors of the judges were measured on other images.",
            "The corrected numbers may be wrong if the judges make other errors on these images.",
            f"Have people label images: {ADVICE}.",
        )


def _agreement(readings: Sequence[Reading]) -> Iterator[Finding]:
    """The attribute on which the judges agree least, over all methods."""
    rows = [
        row
        for reading in readings
        for row in reading.result.agreement
        if row.statistic == "krippendorff_alpha" and math.isfinite(row.value)
    ]
    worst = min(rows, key=lambda row: row.value, default=None)
    if worst is None or worst.value >= RELIABLE:
        return
    ends = interval(worst.low, worst.high, digits=2)
    yield Finding(
        "Agreement",
        "medium" if worst.value < TENTATIVE else "low",
        "the judges",
        f"On {attribute(worst.attribute)} Krippendorff’s alpha is {number(worst.value, digits=2)}"
        f"{f' (95% interval {ends})' if ends else ''}, n {count(worst.n)}.",
        f"{RELIABLE:g} for reliable labels, {TENTATIVE:g} for tentative conclusions.",
        "The judges see the images differently, or the images are ambiguous.",
        "Numbers of this attribute depend on the choice of judges.",
        "Read them beside the numbers of each single judge; have people label a sample.",
    )


def _undetermined(readings: Sequence[Reading]) -> Iterator[Finding]:
    for reading in readings:
        rows = [
            reading.naive("undetermined", name, kind="neutral") for name in attribute_names([reading.result])
        ]
        worst = max((row for row in rows if row), key=lambda row: row.value, default=None)
        if worst is None or not worst.value > UNLABELLED:
            continue
        yield Finding(
            "Undetermined images",
            "medium" if worst.value > MOSTLY_UNLABELLED else "low",
            reading.label,
            f"The panel could not label {attribute(worst.attributes)} in {_shown(worst)} of the images.",
            f"At most {100 * UNLABELLED:.0f}% of the images of neutral prompts.",
            "Images without one recognisable person, or judges that disagree.",
            "The shares are those of the images that could be labelled.",
            "Look at the images without a label before using the shares.",
        )


def _shown(row: EstimateRow) -> str:
    """A number with its interval and its n: ``"0.31 (95% interval 0.28 to 0.35, n 80)"``."""
    terms = METRIC_TERMS.get(row.metric)
    percent = terms.percent if terms else False
    ends = interval(row.low, row.high, percent=percent, digits=2)
    facts = [f"95% interval {ends}" if ends else "no interval", f"n {count(row.n)}"]
    return f"{number(row.value, percent=percent, digits=2)} ({', '.join(facts)})"
