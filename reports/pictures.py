"""Picture strips: the same prompt and seed under every method, as small embedded thumbnails."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.result import PictureRow, Run
from evenhand.reports.reading import attribute_names
from evenhand.reports.voice import voice_of
from evenhand.reports.words import KINDS, attribute

SIDE = 96
"""Longest side of a thumbnail in pixels; smaller pictures keep their size."""

CONCEPTS = {"neutral": 8, "explicit": 4}
"""Strips per kind of prompts; two of every other kind."""

COLUMNS = range(2, 7)
PICTURES = 330
"""Columns of a strip: as many as keep the whole page to about this many thumbnails, and below 3 MB."""


@dataclass(frozen=True)
class Thumbnail:
    """One picture of a strip."""

    uri: str
    alt: str
    perceived: str


@dataclass(frozen=True)
class Strip:
    """One concept: a line per method, a column per prompt and seed; ``None`` where there is no picture.

    Attributes:
        concept: What the prompts ask for.
        kind: Kind of the prompts, in words.
        prompts: The prompts of the columns, each once.
        columns: Headings of the columns.
        lines: Method and its pictures.
    """

    concept: str
    kind: str
    prompts: list[str]
    columns: list[str]
    lines: list[tuple[str, list[Thumbnail | None]]]


def strips(run: Run, methods: Sequence[str]) -> list[Strip]:
    """Strips of concepts spread evenly over each kind of prompts, in the order of the run.

    Concepts and seeds are taken by their place and never by what came out, so the strips are no selection
    of good or bad cases.

    Args:
        run: The run with its pictures.
        methods: Labels of the lines, in order.

    Raises:
        EvenhandError: A picture that the run names cannot be read.
    """
    concepts: dict[str, dict[str, list[PictureRow]]] = {}
    for row in run.pictures:
        concepts.setdefault(row.kind, {}).setdefault(row.concept or row.prompt, []).append(row)
    kinds = [kind for kind in KINDS if kind in concepts] + sorted(set(concepts) - set(KINDS))
    shown = [
        concepts[kind][concept]
        for kind in kinds
        for concept in _spread(list(concepts[kind]), CONCEPTS.get(kind, 2))
    ]
    columns = PICTURES // max(1, len(shown) * len(methods))
    width = min(max(columns, COLUMNS[0]), COLUMNS[-1])
    return [_strip(run, rows, methods, width=width) for rows in shown]


def _spread(items: Sequence[str], wanted: int) -> list[str]:
    """At most ``wanted`` items, evenly spaced from the first on."""
    kept = min(wanted, len(items))
    return [items[place * len(items) // kept] for place in range(kept)]


def _strip(run: Run, rows: Sequence[PictureRow], methods: Sequence[str], *, width: int) -> Strip:
    found = {(row.method, row.prompt, row.seed_index): row for row in rows}
    first = sorted({(row.seed_index, row.prompt) for row in rows})[:width]
    columns = sorted(first, key=lambda column: (column[1], column[0]))
    prompts = list(dict.fromkeys(prompt for _, prompt in columns))
    lines = []
    for method in methods:
        pictures = [found.get((method, prompt, seed)) for seed, prompt in columns]
        lines.append((method, [_thumbnail(run, row) if row is not None else None for row in pictures]))
    several = len(prompts) > 1
    voice = voice_of(run.results[0].spec)
    heads = [voice.slot(prompts.index(p) + 1 if several else None, seed) for seed, p in columns]
    return Strip(
        rows[0].concept or rows[0].prompt, KINDS.get(rows[0].kind, rows[0].kind), prompts, heads, lines
    )


def _thumbnail(run: Run, row: PictureRow) -> Thumbnail:
    order = attribute_names(run.results)
    names = sorted(
        row.labels, key=lambda name: (name not in order, order.index(name) if name in order else 0)
    )
    labels = [f"{attribute(name)} {row.labels[name]}" for name in names]
    perceived = "perceived: " + (", ".join(labels) or "not labelled")
    place = voice_of(run.results[0].spec).slot(None, row.seed_index)
    alt = f"{row.concept}, {row.method}, {place}; {perceived}"
    return Thumbnail(_embed(Path(run.folder) / row.path), alt, perceived)


def _embed(path: Path) -> str:
    """The picture as a ``data:`` address, scaled down to a thumbnail."""
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except (OSError, UnidentifiedImageError) as fault:
        raise EvenhandError(
            f"picture {path} cannot be read ({fault}); run the suite again to make it"
        ) from fault
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
