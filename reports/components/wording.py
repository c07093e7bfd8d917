"""Titles, meanings and number formats of the metrics, and texts that all reports share.

A metric or attribute that is not listed keeps its raw name, so a third-party metric needs no entry here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evenhand.bench.results.result import EstimateRow
from evenhand.bench.results.text import SHARE, interval, number


@dataclass(frozen=True)
class Measure:
    """How a metric is shown.

    Attributes:
        title: Name in the reports.
        meaning: What the ends of the scale mean, in one clause.
        better: Which direction is better; empty where neither is.
        percent: Shown in per cent (shares and rates).
        kinds: Kinds of prompts shown side by side; empty for the first that was measured, in ``KINDS`` order.
    """

    title: str
    meaning: str = ""
    better: Literal["lower", "higher", ""] = ""
    percent: bool = False
    kinds: tuple[str, ...] = ()


TARGETS = {
    "labour": "the share of women in each occupation in the United States, 2022; other attributes even",
    "table": "a table of shares by concept",
}
"""Descriptions of targets that differ between concepts, by their name in the result."""


MEASURES = {
    "rms_delta": Measure(
        "Distance from the target shares (RMSDelta)",
        "0: every group has its target share; 1: one group only; freed of small-sample inflation",
        "lower",
    ),
    "deviation_ratio": Measure(
        "Deviation ratio",
        "as published for UCE, TIME and MIST; 0: even shares, 1: one group only",
        "lower",
    ),
    "delta_tv": Measure(
        "Normalised total variation", "0: target shares, 1: the rarest target group only", "lower"
    ),
    "squared_deviation": Measure(
        "Unbiased squared deviation", "0 in expectation for a fair model; may be negative", "lower"
    ),
    "worst_cell": Measure(
        "Worst cell",
        "share of the least represented group or cell, relative to its target",
        "higher",
        percent=True,
    ),
    "total_correlation": Measure(
        "Entanglement (total correlation)", "0: the attributes are independent of one another", "lower"
    ),
    "explicit_fidelity": Measure(
        "Explicit fidelity, worst group",
        "images that show the group the prompt names, in the group served worst",
        "higher",
        percent=True,
    ),
    "over_correction": Measure(
        "Over-correction",
        "images of a defined person shown otherwise than the prompt defines",
        "lower",
        percent=True,
    ),
    "preservation_distance": Measure(
        "Change of unrelated images",
        "same seed, before and after; 0: unchanged, 1: as different as two seeds of the baseline",
        "lower",
    ),
    "alignment": Measure(
        "Prompt alignment",
        "how well a scorer finds the image to fit the prompt",
        "higher",
        kinds=("neutral", "unrelated"),
    ),
    "undetermined": Measure(
        "Undetermined", "images the judges could not label; counted, never dropped", "lower", percent=True
    ),
    SHARE: Measure("Share", percent=True),
}


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


def measure(metric: str) -> Measure:
    """How ``metric`` is shown; an unlisted one keeps its raw name."""
    return MEASURES.get(metric) or Measure(metric.replace("_", " "))


def with_interval(row: EstimateRow) -> str:
    """An estimate in running text: ``"0.31 (95% interval 0.28 to 0.35)"``."""
    percent = measure(row.metric).percent
    ends = interval(row.low, row.high, percent=percent, digits=2)
    value = number(row.value, percent=percent, digits=2)
    return value + (f" (95% interval {ends})" if ends else " (no interval)")
