"""The gallery of a run: a page beside the report that shows every image.

The gallery of a small run is one file with thumbnails. That of a large run shows the files in the run folder
and loads the details of its images in chunks, as scripts: a page opened from disk may not fetch JSON. Either
way the page runs only its own script, and only what that script loads.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from PIL import Image

from evenhand.bench.results.result import Result
from evenhand.reports.components.image_file import read_image
from evenhand.reports.components.page import asset, source_hash, templates
from evenhand.reports.gallery.data import Units, chunks_of, index_of, script_json
from evenhand.reports.gallery.sample import Sample, sample_of
from evenhand.reports.run.report_text import report_text_of

PAGE, CHUNKS = "gallery.html", "gallery-data"
"""Name of the page, and of the folder with its chunks."""

SIDE = 192
"""Longest side of a thumbnail in pixels; smaller images keep their size."""

SMALL = 96
"""Images up to this size are shown at twice their size, with sharp pixels."""

EMBEDDED = 8_000_000
"""Largest number of pixels of all thumbnails that are embedded: 2 to 3 MB."""


@dataclass(frozen=True)
class Gallery:
    """A gallery.

    Attributes:
        page: The page.
        files: The chunks of a large run: name in the folder :data:`CHUNKS` to content.
        units: The images in order.
    """

    page: str
    files: Mapping[str, str]
    units: Units


def render_gallery(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    results: Sequence[Result],
    *,
    folder: Path,
    alone: bool = False,
) -> Gallery | None:
    """The gallery of a run; the same run gives the same bytes. ``None`` where there is no image.

    Args:
        images: The images, as ``run.images_frame()`` returns them.
        labels: The labels, as ``run.labels_frame()`` returns them.
        results: The results of the run.
        folder: The run folder; an image outside it is refused, even if a link leads there.
        alone: Whether to embed thumbnails however many there are, so that the page needs no other file.

    Raises:
        EvenhandError: An image cannot be read or is outside the folder, or its key is not valid.
    """
    if not len(images) or not (images["path"] != "").any():
        return None
    units = Units.of(images, results)
    index = index_of(units, labels, results)
    chunks = chunks_of(units, labels, index)
    paths = units.images[units.images["path"] != ""].drop_duplicates("key")
    width, height = _thumbnail(paths["path"].iloc[0], folder).size
    index["side"] = 2 * max(width, height) if max(width, height) <= SMALL else max(width, height)
    index["sharp"] = max(width, height) <= SMALL
    if alone or len(paths) * width * height <= EMBEDDED:
        files = zip(paths["key"], paths["path"], strict=True)
        thumbnails = {key: _encoded(path, folder) for key, path in files}
        index |= {"chunks": chunks, "thumbnails": thumbnails, "files": not alone}
        return Gallery(_page(index, results, sample_of(units, thumbnails), alone=alone), {}, units)
    index |= {"chunks": len(chunks), "folder": CHUNKS, "files": True}
    named = {
        f"{number:03}.js": f"galleryChunk({number},{script_json(chunk)});\n"
        for number, chunk in enumerate(chunks)
    }
    return Gallery(_page(index, results, sample_of(units, {}), alone=False), named, units)


def _page(index: dict[str, Any], results: Sequence[Result], sample: Sample, *, alone: bool) -> str:
    style, scripts = asset("gallery.css"), [asset("gallery.js"), asset("gallery_box.js")]
    # What a trusted script adds is trusted too ('strict-dynamic'); no other source works for pages on disk.
    more = " 'strict-dynamic'" if "folder" in index else ""
    own = "" if alone else " 'self' file:"
    policy = (
        f"default-src 'none'; img-src data:{own}; style-src {source_hash(style)}; "
        f"script-src {' '.join(map(source_hash, scripts))}{more}; base-uri 'none'; form-action 'none'"
    )
    return (
        templates()
        .get_template("gallery.html.j2")
        .render(
            spec=results[0].spec,
            report_text=report_text_of(results[0].spec),
            index=index,
            sample=sample,
            alone=alone,
            style=Markup(style),
            scripts=[Markup(script) for script in scripts],
            policy=policy,
            data=Markup(script_json(index)),
        )
    )


def _thumbnail(path: str, folder: Path) -> Image.Image:
    image = read_image(Path(path), folder=folder)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


def _encoded(path: str, folder: Path) -> str:
    """The thumbnail as the content of a ``data:`` URL."""
    out = io.BytesIO()
    _thumbnail(path, folder).save(out, "WEBP", quality=82, method=4)
    return base64.b64encode(out.getvalue()).decode()
