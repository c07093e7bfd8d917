"""What the report says of the gallery: how many images there are, and links to those a reader looks for."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import pandas as pd

from evenhand.bench.results.image_facts import PERCEIVED
from evenhand.bench.results.text import count
from evenhand.reports.gallery.data import Units
from evenhand.reports.gallery.page import PAGE

HEADINGS = {
    "changed": "Perceived group changed",
    "disobeyed": "Disobeys its prompt",
    "disagreed": "Judges disagree",
}


@dataclass(frozen=True)
class Links:
    """Links into the gallery.

    Attributes:
        page: The gallery.
        images: Number of images.
        headings: What the columns count.
        lines: Each method with a number of images, a link and the number of images that could count, for
            each column; an empty link where there are none.
    """

    page: str
    images: str
    headings: list[str]
    lines: list[tuple[str, list[tuple[str, str, str]]]]


def links_of(units: Units, *, changes: bool) -> Links:
    """The links of a gallery.

    Args:
        units: Its images.
        changes: Whether there is a baseline that images can differ from.
    """
    images = units.images[units.images["path"] != ""]
    facts = [fact for fact in HEADINGS if changes or fact != "changed"]
    labelled = (images.filter(like=PERCEIVED) != "").any(axis=1)
    lines = []
    for method in units.methods:
        own = images[(images["method"] == method) & labelled]
        lines.append((method, [_link(own, method, fact) for fact in facts]))
    return Links(PAGE, count(len(images)), [HEADINGS[fact] for fact in facts], lines)


def _link(images: pd.DataFrame, method: str, fact: str) -> tuple[str, str, str]:
    """The images for which a fact holds, out of a method's labelled ones."""
    found = int((images[fact] != "").sum())
    able = images[images["kind"] == "explicit"] if fact == "disobeyed" else images
    link = f"{PAGE}#{urlencode({'method': method, fact: 1})}" if found else ""
    return count(found), link, count(len(able))
