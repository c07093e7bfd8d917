"""Names, numbers and lists as readers see them: formatting that results, decisions and reports share."""

from __future__ import annotations

import math
import re

from evenhand.metrics.terms import KINDS as KINDS
from evenhand.metrics.terms import METRIC_TERMS as METRIC_TERMS
from evenhand.metrics.terms import PANEL as PANEL
from evenhand.metrics.terms import UNDETERMINED as UNDETERMINED
from evenhand.metrics.terms import MetricTerms as MetricTerms
from evenhand.metrics.terms import parse_cell as parse_cell

ATTRIBUTES = {"tone": "skin tone", "skin": "skin tone"}

NOT_MEASURED = "not measured"

NOT_ESTIMABLE = "not estimable"

SHARE = "share"
"""The metric that gives one group's or cell's share; its rows name the group."""


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


def points(value: float) -> str:
    """A difference between two shares, in percentage points with its sign: ``"+4.0 points"``."""
    return f"{'+' if value > 0 else ''}{number(100 * value, digits=1)} points"


def interval(low: float, high: float, *, percent: bool = False, digits: int = 3) -> str:
    """An interval for reading: ``"0.280 to 0.345"``; empty where an end is missing."""
    if math.isnan(low) or math.isnan(high):
        return ""
    ends = [number(end, percent=percent, digits=digits) for end in (low, high)]
    return " to ".join(ends)


def count(value: int) -> str:
    """A count with commas between the thousands."""
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


def aligned(columns: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table as text, every column as wide as its widest cell."""
    table = [columns, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(columns))]
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
