"""Snapshots of first screens, so coarse that other fonts pass and another arrangement or colour does not."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from helpers.paths import DATA
from numpy.typing import NDArray
from PIL import Image, ImageFilter

LOOKS = DATA / "looks"

UPDATE = "EVENHAND_UPDATE_LOOKS"
"""With this variable set, a test stores what it sees; look at it before you commit it."""

CELL = 30
"""Side of the squares of the window in pixels, each of which is one colour of a snapshot."""

TOLERATED = 3.0
"""Mean difference of colours, from 0 to 255; ``tests/reports/test_looks.py`` has what is below and above."""


def assert_looks_as_before(page: Any, name: str) -> None:
    """Check the window of an opened page against its snapshot ``tests/data/looks/<name>.png``."""
    found, file = coarse(page), LOOKS / f"{name}.png"
    if os.environ.get(UPDATE):
        LOOKS.mkdir(exist_ok=True)
        found.save(file, optimize=True)
    assert file.exists(), f"{file} is missing; run this test with {UPDATE}=1 and look at the file"
    with Image.open(file) as stored:
        seen = distance(found, stored.convert("RGB"))
    assert seen <= TOLERATED, (
        f"{name} looks different: {seen:.1f} of {TOLERATED}; if that is right, run with {UPDATE}=1"
    )


def coarse(page: Any) -> Image.Image:
    """The window with one colour for each square."""
    with Image.open(io.BytesIO(page.screenshot())) as seen:
        size = seen.width // CELL, seen.height // CELL
        return seen.convert("RGB").resize(size, Image.Resampling.BOX)


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of the colours of two snapshots of one size, blurred, because fonts move lines."""
    assert one.size == other.size, "the windows have different sizes"
    return float(np.abs(_blurred(one) - _blurred(other)).mean())


def _blurred(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)), dtype=float)
