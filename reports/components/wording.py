"""Titles, meanings and number formats of the metrics, and texts that all reports share.

A metric or attribute that is not listed keeps its raw name, so a third-party metric needs no entry here.
"""

from __future__ import annotations

import math

from evenhand.bench.policy.correction import UNVERIFIED, correction_status
from evenhand.bench.results.entry import Band
from evenhand.bench.results.result import EstimateRow, Result, Spec
from evenhand.bench.results.text import (
    METRIC_TERMS,
    MetricTerms,
    attribute,
    interval,
    listing,
    number,
    points,
)

TARGETS = {
    "labour": "the share of women in each occupation in the United States, 2022; other attributes even",
    "table": "a table of shares by concept",
}
"""Descriptions of targets that differ between concepts, by their name in the result."""


CORRECTED, UNCORRECTED = "corrected for judge error", "not corrected for judge error"
"""The footing of a number that judges' labels give."""

UNUSABLE = {
    "no_image": "not an image file",
    "damaged": "damaged file",
    "animated": "animated image",
    "bad_size": "unsupported size",
    "unknown_colours": "no usable colour profile",
}
"""Why an external file could not be used."""

STATUSES = {
    "no_person": "no person",
    "no_face": "no face",
    "multi_person": "several people",
    "small_face": "face too small",
    "low_confidence": "low confidence",
    "inconsistent": "inconsistent answers",
    "refused": "judge refused",
    "error": "judge failed",
    **UNUSABLE,
}


def measure(metric: str) -> MetricTerms:
    """How ``metric`` is shown; an unlisted one keeps its raw name."""
    return METRIC_TERMS.get(metric) or MetricTerms(title=metric.replace("_", " "))


def with_interval(row: EstimateRow) -> str:
    """An estimate in running text: ``"0.31 (95% interval 0.28 to 0.35)"``."""
    percent = measure(row.metric).percent
    ends = interval(row.low, row.high, percent=percent, digits=2)
    value = number(row.value, percent=percent, digits=2)
    return f"{value} ({f'95% interval {ends}' if ends else without_interval(row, digits=2)})"


def without_interval(row: EstimateRow, *, digits: int = 3) -> str:
    """What stands in the place of an interval: the value of a fair model, where there is one.

    Such a number is inflated by small samples, so that its interval would not cover the true value.
    """
    if not math.isfinite(row.floor):
        return "no interval"
    return f"fair model: {number(row.floor, percent=measure(row.metric).percent, digits=digits)}"


BOUNDED = frozenset({"rms_delta", "excess_agreement", "delta_tv", "normalised_entropy", "min_max_ratio"})
"""Metrics from 0 to 1 besides those in per cent, so that their differences lie between -1 and 1."""


def possible(metric: str, low: float, high: float) -> tuple[float, float]:
    """The interval of a difference, cut where the difference cannot lie: no model is that far away.

    Resampling may reach past such an end by a few hundredths.
    """
    if not measure(metric).percent and metric not in BOUNDED:
        return low, high
    return min(max(low, -1.0), 1.0), min(max(high, -1.0), 1.0)


def change(metric: str, value: float, *, digits: int = 3) -> str:
    """A difference between two values with its sign: shares and rates differ by points, not by per cent."""
    if measure(metric).percent:
        return points(value)
    return ("+" if value > 0 else "") + number(value, digits=digits)


def interval_of_change(metric: str, low: float, high: float, *, digits: int = 3) -> str:
    """The interval of such a difference, in the same unit; empty where an end is missing."""
    if measure(metric).percent:
        return interval(100 * low, 100 * high, digits=1)
    return interval(low, high, digits=digits)


def share_of_pairs(*shares: float) -> str:
    """Shares of pairs in whole per cent: ``"41%"``, ``"38% to 44%"``; empty if one is not known."""
    if not all(map(math.isfinite, shares)):
        return ""
    return " to ".join(dict.fromkeys(f"{100 * share:.0f}%" for share in shares))


def same_group(attributes: str) -> str:
    """What matching pairs have in common: ``"same perceived gender, skin tone and age"``."""
    return f"same perceived {listing([attribute(name) for name in attributes.split('*')])}"


def estimand(spec: Spec) -> str:
    """What the numbers and their intervals speak of, in one sentence."""
    concepts = "concepts like these" if "concepts" in spec.resampled else "this list of concepts"
    sentences = "sentences like these" if "templates" in spec.resampled else "these sentences"
    return f"The numbers and their intervals are about {concepts}, in {sentences}, drawn by this model."


def footing(row: EstimateRow, *results: Result) -> str:
    """Whether a number is corrected for judge error, and whether that is verified for all ``results``."""
    if not row.corrected:
        return UNCORRECTED
    verified = all(correction_status(result).status == "verified" for result in results)
    return CORRECTED if verified else f"{CORRECTED} ({UNVERIFIED})"


BAND_TITLES: dict[Band, str] = {
    "ranked": "Ranked",
    "not proven": "Not proven",
    "unchecked": "Unchecked",
    "harm proven": "Harm proven",
    "disputed": "Disputed",
    "reported": "Only reported",
}

BAND_TEXTS: dict[Band, str] = {
    "ranked": "every gate is passed: the data exclude more than the allowed loss",
    "not proven": "nothing shows that the method does more harm than allowed, but the images are too few to "
    "exclude it",
    "unchecked": "a number that a gate needs was not measured",
    "harm proven": "the data show that the method loses more than is allowed",
    "disputed": "on fresh noise, one voting judge family sees an improvement that no other family sees",
    "reported": "the numbers are those of the submitter, without labels to recompute them from",
}
"""The bands in one clause each."""
