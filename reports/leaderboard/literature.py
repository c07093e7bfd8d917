"""Numbers that others have published: data with their source and protocol, never ranked with measured rows.

``data/literature_protocols.csv`` says who measured, when and how; ``data/literature.csv`` holds the numbers.
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

from evenhand.bench.results.text import attribute, sentence
from evenhand.reports.components.tables import Cell, Row, Table, text
from evenhand.reports.components.wording import MEASURES

NUMBERS = "reports/data/literature.csv"
"""Where the numbers lie in the repository."""

NOT_RANKED = (
    "These numbers are the sources’ own: other models, prompts, judges and sample sizes, nearly all without "
    "intervals. None of them was measured by Evenhand, none is ranked, and no row here can be compared with "
    "a row of the board, nor with a row of another protocol."
)

Confidence = Literal["read", "digest", "computed", "placed"]

CONFIDENCE: dict[Confidence, str] = {
    "read": "read in the named source",
    "digest": "read in a digest of the source, not in the source itself",
    "computed": "computed here from what the source released",
    "placed": "read in the source, whose table is typeset badly there; its place is our reading",
}
"""What a confidence mark means."""

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
"""Title and better direction of measures that Evenhand does not have."""


@dataclass(frozen=True)
class Protocol:
    """Who measured, when and how.

    Attributes:
        protocol: Its name in the numbers.
        source: The work that reports the numbers.
        year: When.
        link: Where.
        model: The text-to-image model, or that it is not stated.
        about: What is known of prompts, images and judge.
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
        method: The method, ``untreated`` for the model itself.
        attributes: Attribute or joint attribute; empty for a measure that has none.
        classes: How many groups the source tells apart; empty where it does not say, or none are.
        concept: Empty for a number over all concepts.
        metric: The measure.
        value: As printed, with its digits.
        note: What else must be known.
        confidence: Where it was read.
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
    """The numbers of a protocol over all concepts: a row for each method, a column for each measure."""
    rows = [row for row in reported() if row.protocol == protocol.protocol and not row.concept]
    return _table(protocol, rows, by_concept=False)


def concept_table(protocol: Protocol) -> Table | None:
    """The numbers of a protocol by concept; ``None`` where the source gives none."""
    rows = [row for row in reported() if row.protocol == protocol.protocol and row.concept]
    return _table(protocol, rows, by_concept=True) if rows else None


def every_table() -> Table:
    """All numbers, one a row, for download."""
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
    return Table("literature", "Every number that is reported in the literature", columns, rows)


def _table(protocol: Protocol, rows: Sequence[Reported], *, by_concept: bool) -> Table:
    """A line per method, or per concept; a column per measure, or per method and measure."""
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
    """The measure with its better direction, and the attribute with its number of classes."""
    known = MEASURES.get(row.metric)
    title, better = (known.title, known.better) if known else _TITLES[row.metric]
    arrow = {"lower": " ↓", "higher": " ↑"}.get(better, "")
    return ", ".join(filter(None, (f"{title}{arrow}", attribute(row.attributes))))


def _cell(row: Reported | None, usual: Confidence) -> Cell:
    """A number as printed; what sets it apart from its table stands below it."""
    if row is None:
        return Cell("not reported", kind="missing", raw={"": None})
    apart = CONFIDENCE[row.confidence] if row.confidence != usual else ""
    notes = (row.note, apart)
    return Cell(row.value, tuple(filter(None, notes)), "number", {"": float(row.value)})


def _rows(name: str) -> list[dict[str, Any]]:
    content = files("evenhand.reports").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(content)))
