"""The strip of an entry: a few of its images in one small file, chosen by their place in the plan.

Nobody chooses which images are shown. Images of at most :data:`EXACT` pixels are stored exactly, so that each
is checked against the hash of its pixels in the table of images; larger ones are compressed or scaled down.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.tables import pixel_hash, read_file
from evenhand.bench.prompts.plan import Item
from evenhand.bench.results.entry import Entry, EntryFile, EntryImage
from evenhand.bench.results.lookup import spread

STRIP_FILE: EntryFile = "strip.webp"

MAX_BYTES = 150_000
"""Maximum size of a strip."""

SIDE = 192
"""Longest side of an image of a strip in pixels; smaller images keep their size."""

EXACT = 80
"""Longest side of images that always fit without loss: six of them have 115,200 bytes uncompressed."""

SHOWN = {"neutral": 4, "explicit": 2}
"""Number of images by kind of prompts."""

QUALITIES = (90, 75, 60, 45, 30, 15)
"""Qualities of the file, tried in order until it is small enough."""

Pixels = NDArray[np.uint8]


def places(items: Sequence[Item]) -> list[int]:
    """The planned images that a strip shows: of each kind, the first of evenly spread concepts."""
    found: list[int] = []
    for kind, most in SHOWN.items():
        first: dict[str, int] = {}
        for place, item in enumerate(items):
            if item.prompt.kind == kind:
                first.setdefault(item.prompt.concept or item.prompt.text, place)
        found += spread(list(first.values()), most)
    return found


def strip_of(images: pd.DataFrame, items: Sequence[Item], read: Callable[[str], Pixels]) -> bytes | None:
    """The file with the images of a method side by side; ``None`` if the suite has no such images.

    Args:
        images: The image table of the method, in the order of the plan.
        items: The plan.
        read: The pixels of an image by its key.
    """
    shown = places(items)
    made = [read(images["key"][place]) if images["status"][place] == "ok" else None for place in shown]
    there = [image for image in made if image is not None]
    if not there:
        return None
    width, height = _scaled(there[0]).size
    sheet = Image.new("RGB", (width * len(made), height), "white")
    for number, image in enumerate(made):
        if image is not None:
            sheet.paste(_scaled(image), (number * width, 0))
    exact = _encoded(sheet, lossless=True, quality=100)
    lossy = (_encoded(sheet, lossless=False, quality=quality) for quality in QUALITIES)
    return next((data for data in (exact, *lossy) if len(data) <= MAX_BYTES), None)


def read_strip(path: Path, entry: Entry, items: Sequence[Item]) -> list[EntryImage]:
    """The images of an entry's strip; checks the file against its hash.

    Args:
        path: Folder of the entry.
        entry: The entry.
        items: The plan of its suite.

    Raises:
        EvenhandError: The file is missing, or not a strip.
    """
    shown = [items[place].prompt for place in places(items)]
    try:
        data = read_file(path / STRIP_FILE, digest=entry.files[STRIP_FILE])
        tiles = _decoded(data, count=len(shown))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise _unusable(str(fault)) from fault
    return [
        EntryImage(prompt=prompt.text, kind=prompt.kind, pixels=tile)
        for prompt, tile in zip(shown, tiles, strict=True)
    ]


def check_strip(path: Path, entry: Entry, *, items: Sequence[Item], images: pd.DataFrame) -> None:
    """Check that an entry's strip, if it has one, shows the images of its table where they are exact.

    Args:
        path: Folder of the entry.
        entry: The entry.
        items: The plan of its suite.
        images: Its image table.

    Raises:
        EvenhandError: The file is missing, not a strip, or shows other images.
    """
    if STRIP_FILE not in entry.files:
        return
    # The size that the suite states, because that of the strip is the submitter's choice.
    protocol = entry.result.spec.protocol
    exact = max(protocol["width"], protocol["height"]) <= EXACT
    for place, one in zip(places(items), read_strip(path, entry, items), strict=True):
        if exact and images["status"][place] == "ok" and pixel_hash(one.pixels) != images["pixels"][place]:
            raise _unusable(f"it shows another image than row {place} of the table of images")


def _unusable(why: str) -> EvenhandError:
    return EvenhandError(f"{STRIP_FILE} cannot be used: {why}; submit the run again")


def _decoded(data: bytes, *, count: int) -> list[Pixels]:
    """The images side by side in a file that may come from anybody."""
    if not count or len(data) > MAX_BYTES:
        raise ValueError(f"it must have 1 to {MAX_BYTES:,} bytes and show planned images")
    with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=["WEBP"]) as file:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        width, height = file.size
        if width % count or max(width // count, height) > SIDE or getattr(file, "n_frames", 1) > 1:
            raise ValueError(f"it must be {count} images of at most {SIDE} pixels side by side")
        sheet = np.asarray(file.convert("RGB"))
    return np.split(sheet, count, axis=1)


def _scaled(image: Pixels) -> Image.Image:
    found = Image.fromarray(image)
    found.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return found


def _encoded(sheet: Image.Image, *, lossless: bool, quality: int) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", lossless=lossless, quality=quality, method=6)
    return buffer.getvalue()
