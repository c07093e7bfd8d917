"""The images that an entry contains, beside those of the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from evenhand.bench.results.entry import EntryImage
from evenhand.bench.results.text import KINDS
from evenhand.reports.run.image_strips import SIDE, Strip, Thumbnail, embedded


def entry_strip(lines: Sequence[tuple[str, str]], images: Mapping[str, Sequence[EntryImage]]) -> Strip | None:
    """The images of a method below those of the baseline; ``None`` if the method's entry has none.

    Args:
        lines: Label and entry of the rows: the baseline first.
        images: Name of an entry to its images, those of all entries of a suite for the same prompts.
    """
    there = [(label, images[entry]) for label, entry in lines if images.get(entry)]
    if not there or there[-1][0] != lines[-1][0]:
        return None
    columns = there[-1][1]
    prompts = [one.prompt for one in columns]
    kinds = list(dict.fromkeys(KINDS[one.kind].lower() for one in columns))
    heads = [f"prompt {place + 1}" for place in range(len(columns))]
    rows: list[tuple[str, list[Thumbnail | None]]] = [
        (label, [_thumbnail(label, one) for one in found]) for label, found in there
    ]
    return Strip("Images of the entry", " and ".join(kinds), prompts, heads, rows)


def _thumbnail(label: str, one: EntryImage) -> Thumbnail:
    return Thumbnail(embedded(Image.fromarray(one.pixels), side=SIDE), f"{label}: {one.prompt}", "")
