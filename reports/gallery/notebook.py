"""The gallery inside a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.result import Result
from evenhand.bench.results.text import count
from evenhand.reports.gallery.page import PAGE, render_gallery

MOST = 2000
"""Most images in a notebook, which stores them in its file."""


@dataclass(frozen=True)
class NotebookPage:
    """A page that a notebook shows in a frame.

    Attributes:
        html: The page.
        height: Height of the frame in pixels.
    """

    html: str
    height: int = 720

    def _repr_html_(self) -> str:
        """The page in a frame that may run its own script and nothing else."""
        return (
            f'<iframe title="Gallery" sandbox="allow-scripts" srcdoc="{escape(self.html)}" '
            f'style="width:100%;height:{self.height}px;border:1px solid #d5dade"></iframe>'
        )


def notebook_gallery(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    results: Sequence[Result],
    *,
    folder: Path,
    where: str = "",
) -> NotebookPage:
    """The gallery of the images that ``where`` selects, with all methods' images of their prompts and seeds.

    Args:
        images: The images of the run.
        labels: Their labels.
        results: The results of the run.
        folder: The run folder.
        where: A query on the images; all if empty.

    Raises:
        EvenhandError: The query is not valid, or no image is selected, or too many.
    """
    if where:
        place = pd.MultiIndex.from_frame(images[["prompt_id", "seed_index"]])
        images = images[place.isin(place[images.index.isin(_selected(images, where).index)])]
    if len(images) > MOST:
        raise EvenhandError(
            f"{count(len(images))} images are too many for a notebook ({count(MOST)}); select some, as in "
            f"run.gallery(\"concept == 'nurse'\"), or open {PAGE} in the run folder"
        )
    gallery = (
        render_gallery(images.reset_index(drop=True), labels, results, folder=folder, alone=True)
        if len(images)
        else None
    )
    if gallery is None:
        raise EvenhandError(f"no image of the run is selected by {where!r}; see run.images_frame()")
    return NotebookPage(gallery.page)


def _selected(images: pd.DataFrame, where: str) -> pd.DataFrame:
    try:
        return images.query(where)
    except Exception as fault:  # pandas raises errors of many kinds for a wrong query
        raise EvenhandError(f"where={where!r} is not a query on run.images_frame() ({fault})") from fault
