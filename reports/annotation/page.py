"""The annotation page: one self-contained HTML file for labelling images offline.

The page embeds its images, runs only its own script (its content security policy contains the hashes of
script and style), keeps progress in the browser, and saves the annotations as a CSV. It shows neither prompts
nor methods nor the origin of an image.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.reports.components.image_file import read_image
from evenhand.reports.components.page import asset, source_hash, templates

LONGEST = 768
"""Longest side of an embedded image in pixels; smaller images keep their size."""

LOSSLESS = 256
"""Images up to this size are embedded losslessly."""


@dataclass(frozen=True)
class Option:
    """One possible answer.

    Attributes:
        value: The value in the CSV.
        text: The text on the page.
        colour: Colour of a swatch beside the text as ``#rrggbb``; none if empty.
        key: The key that selects it.
    """

    value: str
    text: str
    colour: str = ""
    key: str = ""


@dataclass(frozen=True)
class Question:
    """One question of the form.

    Attributes:
        name: Attribute, or column of the CSV.
        text: The text of the question.
        options: The possible answers.
        place: ``attribute`` for rows of the CSV, ``column`` for a column of every row of the image.
        several: Whether any number of answers may be selected, including none.
        help: A sentence under the question.
        ends: Answer that ends the form; the remaining attributes are then ``otherwise``.
        otherwise: Label of an attribute that was not asked.
        shaded: Whether the options are shown on neutral grey.
    """

    name: str
    text: str
    options: tuple[Option, ...]
    place: Literal["attribute", "column"] = "attribute"
    several: bool = False
    help: str = ""
    ends: str = ""
    otherwise: str = ""
    shaded: bool = False


@dataclass(frozen=True)
class Item:
    """An image of the page."""

    id: str
    path: Path


@dataclass(frozen=True)
class Form:
    """The content of a page.

    Attributes:
        batch: Name of the annotation batch; the key of the progress in the browser and part of the CSV.
        version: Version of the questions.
        columns: Header of the CSV.
        between: Separator of several answers to one question.
        folder: The run folder, which must contain the images.
        items: The images.
        repeats: Ids of images that are shown twice.
        questions: The form.
    """

    batch: str
    version: str
    columns: tuple[str, ...]
    between: str
    folder: Path
    items: tuple[Item, ...]
    repeats: tuple[str, ...]
    questions: tuple[Question, ...]


def write_page(form: Form, path: Path) -> None:
    """Write the annotation page.

    Raises:
        EvenhandError: An image cannot be read or is outside the run folder, there is none, or the file cannot
            be written.
    """
    page = render_page(form)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as fault:
        raise EvenhandError(f"page {path} cannot be written ({fault}); choose another path") from fault


def render_page(form: Form) -> str:
    """The annotation page as HTML; the same form gives the same bytes.

    Raises:
        EvenhandError: There is no image, or one cannot be read.
    """
    if not form.items:
        raise EvenhandError("an annotation page needs at least one image, got none")
    style, script = asset("annotation.css"), asset("annotation.js")
    return (
        templates()
        .get_template("annotation.html.j2")
        .render(
            questions=[_keyed(question) for question in form.questions],
            count=len(form.items) + len(form.repeats),
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; style-src {source_hash(style)}; "
            f"script-src {source_hash(script)}; base-uri 'none'; form-action 'none'",
            data=Markup(_data(form)),
        )
    )


def embed(path: Path, *, folder: Path) -> tuple[str, bytes]:
    """Media type and bytes of an image without metadata, scaled down if it is large.

    Raises:
        EvenhandError: The image cannot be read, or is outside the run folder, even if by a link.
    """
    image = read_image(path, folder=folder)
    image.info.clear()
    small = max(image.size) <= LOSSLESS
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if small:
        image.save(out, "PNG", optimize=True)
        return "image/png", out.getvalue()
    image.save(out, "JPEG", quality=92, subsampling=0, optimize=True)
    return "image/jpeg", out.getvalue()


def _keyed(question: Question) -> dict[str, Any]:
    """The question with a digit as key of each of its first ten options, unless an option has a key."""
    free = iter("1234567890")
    options = [{**asdict(option), "key": option.key or next(free, "")} for option in question.options]
    return {**asdict(question), "options": options}


def _data(form: Form) -> str:
    """The data of the script, as JSON that cannot close its element."""
    items = []
    for item in form.items:
        media, data = embed(item.path, folder=form.folder)
        items.append([item.id, f"data:{media};base64,{base64.b64encode(data).decode()}"])
    value = {
        "batch": form.batch,
        "version": form.version,
        "columns": form.columns,
        "between": form.between,
        "items": items,
        "repeats": form.repeats,
        "questions": [
            {name: getattr(q, name) for name in ("name", "text", "place", "several", "ends", "otherwise")}
            for q in form.questions
        ],
    }
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
