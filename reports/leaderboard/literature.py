"""Published numbers with their source and protocol; they are never ranked with measured rows.

``data/literature_protocols.csv`` describes the protocols; ``data/literature.csv`` has the numbers.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from evenhand.bench.results.text import METRIC_TERMS, attribute, sentence
from evenhand.reports.components.tables import Cell, Row, Table, text

NUMBERS = "reports/data/literature.csv"
"""Path of the numbers in the repository."""

NOT_RANKED = (
    "These numbers are as published: with other models, prompts, judges and sample sizes, and nearly all "
    "without intervals. None was measured by Evenhand and none is ranked. No row can be compared with a row "
    "of the leaderboard or of another protocol."
)

Confidence = Literal["read", "digest", "computed", "placed"]

CONFIDENCE: dict[Confidence, str] = {
    "read": "read in the named source",
    "digest": "read in a summary of the source, not in the source itself",
    "computed": "computed by us from data that the source released",
    "placed": "read in the source, whose table is badly typeset; the assignment to a cell is our reading",
}
"""Meaning of the confidence marks."""

_TITLES = {
    "share_of_men": ("Share of men", ""),
    "share_of_women": ("Share of women", ""),
    "fairimagen_fairness": ("Fairness (FairImagen)", "higher"),
    "fairness_discrepancy": ("Fairness discrepancy", "lower"),
    "mgbi": ("MGBI", "higher"),
    "winoalign": ("WinoAlign", "higher"),
    "fid_30k": ("FID-30k", "lower"),
    "clip_30k": ("CLIP-30k", "higher"),
    "clip_accuracy": ("Accuracy (CLIP)", "higher"),
    "musiq": ("MUSIQ", "higher"),
    "psnr": ("PSNR", "higher"),
    "lpips": ("LPIPS", "lower"),
    "dino": ("DINO", "higher"),
    "fid_no_person": ("FID, COCO without people", "lower"),
    "vqa": ("VQA score", "higher"),
}
"""Title and better direction of metrics that Evenhand does not compute."""


@dataclass(frozen=True)
class Protocol:
    """The protocol of published numbers.

    Attributes:
        protocol: Its name in the file of numbers.
        source: The work that reports the numbers.
        year: Year of publication.
        link: URL of the source.
        model: The text-to-image model, or that it is not stated.
        about: What is known about prompts, images and judge.
    """

    protocol: str
    source: str
    year: int
    link: str
    model: str
    about: str


class Reported(NamedTuple):
    """A published number.

    Attributes:
        protocol: Name of its protocol.
        method: The method, ``baseline`` for the model without a method.
        attributes: Attribute or joint attribute; empty for a metric that has none.
        classes: Number of groups in the source; empty where it is not stated or does not apply.
        concept: Empty for a number over all concepts.
        metric: The metric.
        value: As printed, with its digits.
        note: A remark on the number.
        confidence: How it was obtained.
    """

    protocol: str
    method: str
    attributes: str
    classes: str
    concept: str
    metric: str
    value: str
    note: str
    confidence: Confidence


@cache
def protocols() -> list[Protocol]:
    """The protocols, in the order of the file."""
    return [Protocol(**row | {"year": int(row["year"])}) for row in _rows("literature_protocols.csv")]


@cache
def reported() -> list[Reported]:
    """Every published number, in the order of the file."""
    return [Reported(**row) for row in _rows("literature.csv")]


def summary_table(protocol: Protocol) -> Table:
    """The numbers of a protocol over all concepts: one row per method, one column per metric."""
    rows = [row for row in reported() if row.protocol == protocol.protocol and not row.concept]
    return _table(protocol, rows, by_concept=False)


def concept_table(protocol: Protocol) -> Table | None:
    """The numbers of a protocol by concept; ``None`` where the source gives none."""
    rows = [row for row in reported() if row.protocol == protocol.protocol and row.concept]
    return _table(protocol, rows, by_concept=True) if rows else None


def every_table() -> Table:
    """All numbers, one per row, for download."""
    about = {protocol.protocol: protocol for protocol in protocols()}
    columns = ["Source", "Year", "Model", "Protocol", "Link"]
    columns += ["Method", "Attribute", "Classes", "Concept", "Measure", "Value", "Note", "Confidence"]
    rows = []
    for row in reported():
        from_ = about[row.protocol]
        where = [from_.source, str(from_.year), from_.model, from_.about, from_.link]
        what = [row.method, row.attributes, row.classes, row.concept, row.metric]
        value = Cell(row.value, raw={"": float(row.value)})
        rows.append(Row([*map(text, (*where, *what)), value, text(row.note), text(row.confidence)]))
    return Table("literature", "All numbers reported in the literature", columns, rows)


def _table(protocol: Protocol, rows: Sequence[Reported], *, by_concept: bool) -> Table:
    """One row per method or concept; one column per metric, or per method and metric."""
    usual = Counter(row.confidence for row in rows).most_common(1)[0][0]
    found: dict[str, dict[str, Reported]] = {}
    for row in rows:
        title = _title(row)
        line, column = (row.concept, f"{row.method}: {title}") if by_concept else (row.method, title)
        found.setdefault(line, {})[column] = row
    columns = list(dict.fromkeys(column for line in found.values() for column in line))
    body = [
        Row([text(line), *(_cell(cells.get(column), usual) for column in columns)])
        for line, cells in found.items()
    ]
    name = f"{protocol.protocol}{'-by-concept' if by_concept else ''}"
    first, scope = ("Concept", ", by concept") if by_concept else ("Method", "")
    return Table(
        name,
        f"{protocol.source}; model: {protocol.model}{scope}",
        [first, *columns],
        body,
        sentence(CONFIDENCE[usual]),
    )


def _title(row: Reported) -> str:
    """The metric with its better direction, and the attribute."""
    known = METRIC_TERMS.get(row.metric)
    title, better = (known.title, known.better) if known else _TITLES[row.metric]
    arrow = {"lower": " ↓", "higher": " ↑"}.get(better, "")
    return ", ".join(filter(None, (f"{title}{arrow}", attribute(row.attributes))))


def _cell(row: Reported | None, usual: Confidence) -> Cell:
    """A number as printed, with its note and its confidence where that differs from the rest of the table."""
    if row is None:
        return Cell("not reported", kind="missing", raw={"": None})
    confidence = CONFIDENCE[row.confidence] if row.confidence != usual else ""
    notes = (row.note, confidence)
    return Cell(row.value, tuple(filter(None, notes)), "number", {"": float(row.value)})


def _rows(name: str) -> list[dict[str, Any]]:
    content = files("evenhand.reports").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(content)))
