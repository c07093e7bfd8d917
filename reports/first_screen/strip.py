"""The images of the first screen: the baseline and methods from the same noise, with what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenhand.bench.policy.image_marks import changed, disobeyed
from evenhand.bench.results.lookup import Reading, attribute_names, base_of, spread
from evenhand.bench.results.result import ImageRow, Run
from evenhand.bench.results.text import UNDETERMINED, listing, parse_cell
from evenhand.reports.components.image_file import read_image
from evenhand.reports.run.image_strips import embedded
from evenhand.reports.run.report_text import report_text_of

COLUMNS = {"neutral": 4, "explicit": 2}
"""Columns by kind of prompts; a run without one kind shows more of the other."""

ROWS, ROWS_OF_MANY = 5, 2
"""The baseline and four methods, or five models; the baseline and one where the chart has many lines."""

SIDE = 160
"""Longest side of an image in pixels; smaller images keep their size."""

Place = tuple[str, int]
"""Prompt and index of the seed."""


@dataclass(frozen=True)
class Shot:
    """One image.

    Attributes:
        uri: The image.
        alt: Its text alternative.
        groups: The perceived groups, or only those that changed.
        changed: Whether a perceived group differs from the baseline's image.
        missed: The groups that an explicit prompt names and the image does not show.
    """

    uri: str
    alt: str
    groups: str
    changed: bool
    missed: str


@dataclass(frozen=True)
class Column:
    """The prompt of a column: its concept, the groups that it names, and its text."""

    concept: str
    asks: str
    prompt: str


@dataclass(frozen=True)
class Strip:
    """Images side by side: a row per method, a column per prompt and seed.

    Attributes:
        columns: The prompts.
        lines: Each method with its images; ``None`` where there is no image.
        left_out: The number of methods without a row.
    """

    columns: list[Column]
    lines: list[tuple[str, list[Shot | None]]]
    left_out: int

    @property
    def has_explicit(self) -> bool:
        """Whether any prompt names groups, which its images may not show."""
        return any(column.asks for column in self.columns)


def first_strip(run: Run, readings: Sequence[Reading], *, many: bool) -> Strip | None:
    """The strip of the run; ``None`` where it has no images of neutral or explicit prompts.

    Prompts are spread evenly over the run's list and never chosen by the content of the images.

    Args:
        run: The run.
        readings: The methods, the baseline first.
        many: Whether to show only two rows.

    Raises:
        EvenhandError: An image that the run names cannot be read.
    """
    shown = readings[: ROWS_OF_MANY if many else ROWS]
    places = _places([row for row in run.images if row.kind in COLUMNS])
    if not places:
        return None
    found: dict[tuple[str, Place], ImageRow] = {}
    for row in run.images:
        found.setdefault((row.method, (row.prompt, row.seed_index)), row)
    base = base_of(shown)
    lines = []
    for reading in shown:
        rows = [found.get((reading.label, place)) for place in places]
        others = [found.get((base.label, place)) if base else None for place in places]
        shots = [_shot(run, row, other) if row else None for row, other in zip(rows, others, strict=True)]
        lines.append((reading.label, shots))
    columns = [_column(next(row for (_, at), row in found.items() if at == place)) for place in places]
    return Strip(columns, lines, len(readings) - len(shown))


def _places(rows: Sequence[ImageRow]) -> list[Place]:
    """The prompts and seeds of the columns: neutral prompts first."""
    kinds = {kind: [row for row in rows if row.kind == kind] for kind in COLUMNS}
    alone = [kind for kind, found in kinds.items() if found]
    most = COLUMNS if len(alone) > 1 else dict.fromkeys(alone, sum(COLUMNS.values()))
    return [place for kind in alone for place in _spread_over(kinds[kind], most[kind])]


def _spread_over(rows: Sequence[ImageRow], most: int) -> list[Place]:
    """Places of concepts spread evenly: the first image of each, then the second, until there are enough."""
    concepts: dict[str, dict[Place, None]] = {}
    for row in sorted(rows, key=lambda row: row.seed_index):
        concepts.setdefault(row.concept or row.prompt, {})[row.prompt, row.seed_index] = None
    order = list(dict.fromkeys(row.concept or row.prompt for row in rows))
    chosen = [list(concepts[name]) for name in spread(order, most)]
    longest = max(map(len, chosen))
    turns = [
        (number, place)
        for number in range(longest)
        for place, each in enumerate(chosen)
        if number < len(each)
    ]
    return [chosen[place][number] for place, number in sorted((p, n) for n, p in turns[:most])]


def _column(row: ImageRow) -> Column:
    asks = " · ".join(parse_cell(row.cell).values()) if row.kind == "explicit" else ""
    return Column(row.concept or row.prompt, asks, row.prompt)


def _shot(run: Run, row: ImageRow, base: ImageRow | None) -> Shot:
    new = changed(row, base) if base else {}
    missed = listing(list(disobeyed(row).values()))
    order = attribute_names(run.results)
    names = [name for name in order if row.labels.get(name, UNDETERMINED) != UNDETERMINED]
    groups = " · ".join(row.labels[name] for name in names) or "not labelled"
    place = report_text_of(run.results[0].spec).slot(None, row.seed_index)
    alt = [f"{row.concept or row.prompt}, {row.method}, {place}", f"perceived: {groups.replace(' ·', ',')}"]
    alt += [f"changed: {listing([new[name] for name in order if name in new])}"] if new else []
    alt += [f"the prompt names {missed}"] if missed else []
    folder = Path(row.folder or run.folder)
    uri = embedded(read_image(folder / row.path, folder=folder), side=SIDE)
    only = " · ".join(new[name] for name in order if name in new)
    return Shot(uri, "; ".join(alt), groups if base in (None, row) else only, bool(new), missed)
