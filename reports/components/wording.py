"""Titles, meanings and number formats of the metrics, and texts that all reports share.

A metric or attribute that is not listed keeps its raw name, so a third-party metric needs no entry here.
"""

from __future__ import annotations

from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import METRIC_TERMS, MetricTerms, interval, number

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
    return value + (f" (95% interval {ends})" if ends else " (no interval)")
