"""Image strips: the same prompt and seed for every method, as embedded thumbnails."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from evenhand.bench.results.lookup import Reading, attribute_names, base_of, spread
from evenhand.bench.results.result import ImageRow, Run
from evenhand.bench.results.text import KINDS, attribute
from evenhand.reports.components.image_file import read_image
from evenhand.reports.components.wording import with_interval
from evenhand.reports.run.report_text import report_text_of

SIDE = 96
"""Longest side of a thumbnail in pixels; smaller images keep their size."""

CONCEPTS = {"neutral": 8, "explicit": 4}
"""Number of strips for each kind of prompts; two for every other kind."""

COLUMNS = range(2, 7)
IMAGES = 150
"""Columns of a strip: as many as keep the whole page at about this many thumbnails, and below 3 MB.

With many methods there are also fewer strips.
"""

UNRELATED = "unrelated"
BEFORE_AND_AFTER = 3
"""Columns of the strip of prompts without people."""


@dataclass(frozen=True)
class Thumbnail:
    """One image of a strip."""

    uri: str
    alt: str
    perceived: str


@dataclass(frozen=True)
class Strip:
    """One concept: a row per method, a column per prompt and seed; ``None`` where there is no image.

    Attributes:
        concept: The concept of the prompts.
        kind: Title of the kind of prompts.
        prompts: The prompts of the columns, each once.
        columns: Headings of the columns.
        lines: Each method with its images.
        notes: Method to a smaller line below its name.
    """

    concept: str
    kind: str
    prompts: list[str]
    columns: list[str]
    lines: list[tuple[str, list[Thumbnail | None]]]
    notes: Mapping[str, str] = field(default_factory=dict)


def strips(run: Run, methods: Sequence[str], *, leave_out: Collection[str] = ()) -> list[Strip]:
    """Strips of concepts spread evenly over each kind of prompts, in the order of the run.

    Concepts and seeds are chosen by their position and never by the content of the images, so the strips are
    not a selection of good or bad cases.

    Args:
        run: The run with its images.
        methods: Labels of the rows, in order.
        leave_out: Kinds of prompts that are not shown.

    Raises:
        EvenhandError: An image that the run names cannot be read.
    """
    concepts: dict[str, dict[str, list[ImageRow]]] = {}
    for row in run.images:
        if row.kind not in leave_out:
            concepts.setdefault(row.kind, {}).setdefault(row.concept or row.prompt, []).append(row)
    kinds = [kind for kind in KINDS if kind in concepts] + sorted(set(concepts) - set(KINDS))
    counts = {kind: min(CONCEPTS.get(kind, 2), len(concepts[kind])) for kind in kinds}
    columns = IMAGES // max(1, sum(counts.values()) * len(methods))
    if columns < COLUMNS[0]:
        fewer = IMAGES / (COLUMNS[0] * sum(counts.values()) * len(methods))
        counts = {kind: max(1, int(count * fewer)) for kind, count in counts.items()}
    width = min(max(columns, COLUMNS[0]), COLUMNS[-1])
    shown = [
        concepts[kind][concept] for kind in kinds for concept in spread(list(concepts[kind]), counts[kind])
    ]
    return [_strip(run, rows, methods, width=width) for rows in shown]


def before_and_after(run: Run, readings: Sequence[Reading]) -> Strip | None:
    """Prompts without people, the same seed for every method; ``None`` without such images.

    Args:
        run: The run with its images.
        readings: The rows: the baseline first, then the methods.

    Raises:
        EvenhandError: An image that the run names cannot be read.
    """
    rows = [row for row in run.images if row.kind == UNRELATED]
    if not rows or base_of(readings) is None or len(readings) < 2:
        return None
    first = {(row.prompt, row.method): row for row in reversed(rows) if row.seed_index == rows[0].seed_index}
    width = BEFORE_AND_AFTER if len(readings) * BEFORE_AND_AFTER <= IMAGES / 4 else COLUMNS[0]
    prompts = spread(list(dict.fromkeys(row.prompt for row in rows)), width)
    lines = []
    for reading in readings:
        images = [first.get((prompt, reading.label)) for prompt in prompts]
        lines.append((reading.label, [_thumbnail(run, row) if row else None for row in images]))
    heads = [f"prompt {place + 1}" for place in range(len(prompts))]
    notes = {reading.label: "reference" if reading.is_base else _changed(reading) for reading in readings}
    return Strip("Change of unrelated images", KINDS[UNRELATED], prompts, heads, lines, notes)


def _changed(reading: Reading) -> str:
    row = reading.naive("preservation_distance")
    if row is None:
        return "change not measured"
    return f"change {with_interval(row)}" if math.isfinite(row.value) else "change not estimable"


def _strip(run: Run, rows: Sequence[ImageRow], methods: Sequence[str], *, width: int) -> Strip:
    found = {(row.method, row.prompt, row.seed_index): row for row in rows}
    first = sorted({(row.seed_index, row.prompt) for row in rows})[:width]
    columns = sorted(first, key=lambda column: (column[1], column[0]))
    prompts = list(dict.fromkeys(prompt for _, prompt in columns))
    lines = []
    for method in methods:
        images = [found.get((method, prompt, seed)) for seed, prompt in columns]
        lines.append((method, [_thumbnail(run, row) if row is not None else None for row in images]))
    several = len(prompts) > 1
    report_text = report_text_of(run.results[0].spec)
    heads = [report_text.slot(prompts.index(p) + 1 if several else None, seed) for seed, p in columns]
    return Strip(
        rows[0].concept or rows[0].prompt, KINDS.get(rows[0].kind, rows[0].kind), prompts, heads, lines
    )


def _thumbnail(run: Run, row: ImageRow) -> Thumbnail:
    order = attribute_names(run.results)
    names = sorted(
        row.labels, key=lambda name: (name not in order, order.index(name) if name in order else 0)
    )
    labels = [f"{attribute(name)} {row.labels[name]}" for name in names]
    # Images of prompts without people have no labels.
    perceived = "" if row.kind == UNRELATED else "perceived: " + (", ".join(labels) or "not labelled")
    place = report_text_of(run.results[0].spec).slot(None, row.seed_index)
    alt = "; ".join(filter(None, (f"{row.concept or row.prompt}, {row.method}, {place}", perceived)))
    folder = Path(row.folder or run.folder)
    return Thumbnail(embedded(read_image(folder / row.path, folder=folder), side=SIDE), alt, perceived)


def embedded(image: Image.Image, *, side: int) -> str:
    """The image as a ``data:`` URL, scaled down to a thumbnail.

    Args:
        image: The image, which is changed.
        side: Longest side of the thumbnail in pixels; smaller images keep their size.
    """
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=82, method=6)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
