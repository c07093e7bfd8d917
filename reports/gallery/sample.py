"""The part of a gallery that is shown without scripts: some prompts and seeds, spread evenly over the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.bench.results.image_facts import PERCEIVED
from evenhand.bench.results.lookup import spread
from evenhand.reports.gallery.data import Units

SHOWN = 12
"""Prompts and seeds of the sample."""


@dataclass(frozen=True)
class Shot:
    """One image of the sample.

    Attributes:
        method: Label of the method.
        uri: The image: embedded, or its file relative to the page; empty where there is none.
        caption: The perceived groups.
        changed: Attributes whose perceived group differs from the baseline's.
        disobeyed: Attributes for which the image shows another group than its prompt asks for.
    """

    method: str
    uri: str
    caption: str
    changed: str
    disobeyed: str


@dataclass(frozen=True)
class Group:
    """The images of one prompt and seed."""

    prompt: str
    seed_index: int
    shots: list[Shot]


@dataclass(frozen=True)
class Sample:
    """The sample, and the number of prompts and seeds it was taken from."""

    groups: list[Group]
    of: int


def sample_of(units: Units, thumbnails: Mapping[str, str]) -> Sample:
    """At most :data:`SHOWN` prompts and seeds, chosen by their place and not by what the images show.

    Args:
        units: All images.
        thumbnails: The embedded thumbnails by key; images that are not there are shown from their files.
    """
    places = spread(range(len(units)), SHOWN)
    images = units.images[units.images["unit"].isin(places)]
    groups = []
    for place in places:
        rows = images[images["unit"] == place].to_dict("records")
        shots = [_shot({str(name): value for name, value in row.items()}, thumbnails) for row in rows]
        groups.append(Group(str(rows[0]["prompt"]), int(rows[0]["seed_index"]), shots))
    return Sample(groups, len(units))


def _shot(row: Mapping[str, object], thumbnails: Mapping[str, str]) -> Shot:
    key = str(row["key"])
    uri = f"data:image/webp;base64,{thumbnails[key]}" if key in thumbnails else file_of(key)
    labels = [str(value) for name, value in row.items() if name.startswith(PERCEIVED) and value]
    return Shot(
        str(row["method"]),
        uri if row["path"] else "",
        " · ".join(labels),
        str(row["changed"]).replace(";", ", "),
        str(row["disobeyed"]).replace(";", ", "),
    )


def file_of(key: str) -> str:
    """The file of an image relative to the run folder."""
    return f"images/{key[:2]}/{key}.png"
