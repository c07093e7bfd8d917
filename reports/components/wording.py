"""The words of the reports: titles, meanings and number formats, each said once.

A metric or attribute that is not listed keeps its raw name, so a third party's metric needs no edit here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.storage.result import EstimateRow


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
"""What a target that differs between concepts is, by its name in the result."""

SHARE = "share"
"""The metric that gives one group's or cell's share; its rows name the group."""

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
        "pictures that show the group the prompt names, in the group served worst",
        "higher",
        percent=True,
    ),
    "over_correction": Measure(
        "Over-correction",
        "pictures of a defined person shown otherwise than the prompt defines",
        "lower",
        percent=True,
    ),
    "preservation_distance": Measure(
        "Change of unrelated pictures",
        "same seed, before and after; 0: unchanged, 1: as different as two seeds of the untreated model",
        "lower",
    ),
    "alignment": Measure(
        "Prompt alignment",
        "how well a scorer finds the picture to fit the prompt",
        "higher",
        kinds=("neutral", "unrelated"),
    ),
    "undetermined": Measure(
        "Undetermined", "pictures the judges could not label; counted, never dropped", "lower", percent=True
    ),
    SHARE: Measure("Share", percent=True),
}

KINDS = {
    "neutral": "neutral prompts",
    "explicit": "explicit prompts",
    "over_correction": "over-correction prompts",
    "unrelated": "unrelated prompts",
    "person": "prompts without an occupation",
}
"""Kinds of prompts, the one that carries the headline first."""

ATTRIBUTES = {"tone": "skin tone", "skin": "skin tone"}

UNUSABLE = {
    "no_picture": "file is no picture",
    "damaged": "file is damaged",
    "animated": "file is animated",
    "bad_size": "size cannot be used",
    "unknown_colours": "colours not known",
}
"""Why a file that was made elsewhere gave no picture."""

STATUSES = {
    "no_person": "no person",
    "no_face": "no face",
    "multi_person": "several persons",
    "small_face": "face too small",
    "low_confidence": "judge not sure",
    "inconsistent": "judge contradicts itself",
    "refused": "judge refused",
    "error": "judge failed",
    **UNUSABLE,
}

NOT_MEASURED = "not measured"
NOT_ESTIMABLE = "not estimable"


def measure(metric: str) -> Measure:
    """How ``metric`` is shown; an unlisted one keeps its raw name."""
    return MEASURES.get(metric) or Measure(metric.replace("_", " "))


def attribute(name: str) -> str:
    """Title of an attribute or a joint one: ``"gender*tone"`` becomes ``"gender × skin tone"``."""
    return " × ".join(ATTRIBUTES.get(part, part) for part in name.split("*"))


def cell(name: str) -> str:
    """Title of a group or cell: ``"woman*dark"`` becomes ``"woman × dark"``."""
    return name.replace("*", " × ")


def sentence(text: str) -> str:
    """``text`` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def number(value: float, *, percent: bool = False, digits: int = 3) -> str:
    """A value for reading, with ``digits`` after the point (one from 10 on), or in per cent with one.

    >>> number(0.3117), number(0.9642, percent=True), number(-0.02), number(-1e-9), number(float("nan"))
    ('0.312', '96.4%', '−0.020', '0.000', 'not estimable')
    """
    if math.isnan(value):
        return NOT_ESTIMABLE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    places = digits if abs(value) < 10 else 1
    text = f"{100 * value:z.1f}%" if percent else f"{value:z.{places}f}"
    return text.replace("-", "−")


def interval(low: float, high: float, *, percent: bool = False, digits: int = 3) -> str:
    """An interval for reading: ``"0.280 to 0.345"``; empty where an end is missing."""
    if math.isnan(low) or math.isnan(high):
        return ""
    ends = [number(end, percent=percent, digits=digits) for end in (low, high)]
    return " to ".join(ends)


def with_interval(row: EstimateRow) -> str:
    """An estimate in running text: ``"0.31 (95% interval 0.28 to 0.35)"``."""
    percent = measure(row.metric).percent
    ends = interval(row.low, row.high, percent=percent, digits=2)
    value = number(row.value, percent=percent, digits=2)
    return value + (f" (95% interval {ends})" if ends else " (no interval)")


def count(value: int) -> str:
    """A count with thousands set apart by commas."""
    return f"{value:,}"


def plural(value: int, one: str, many: str = "") -> str:
    """A count with its noun: ``plural(1, "method")`` is ``"1 method"``."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def ordinal(value: int) -> str:
    """A place in an order: ``"1st"``, ``"2nd"``, ``"11th"``."""
    teen = value % 100 in (11, 12, 13)
    return f"{value}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(value % 10, 'th')}"


def listing(words: list[str], *, joint: str = "and") -> str:
    """Words as a list in running text: ``"a, b and c"``."""
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def slug(text: str) -> str:
    """``text`` as a part of a file name or anchor: small letters, digits, points and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def size(number_of_bytes: int) -> str:
    """Bytes in the largest fitting unit: ``"1.5 MB"``."""
    value = float(number_of_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def seconds(value: float) -> str:
    """A duration: ``"8 s"``, ``"2 min 5 s"`` or ``"1 h 3 min"``."""
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
