"""The files of a cache: their names, by what determines their content, and what is found of them.

``images/<code>/<processor>/ab/<key>.png``
    An image by its key. ``code`` is ``baseline`` or the digest of the code of the method. ``processor`` is
    the kind of processor that draws these very pixels, or ``elsewhere``.
``labels/<label key>/<sha256>.parquet``
    Labels of one judge on one attribute, named by the digest of the file.
``fits/<fit key>/``
    A fit by its identity: the files of a fit in a run folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.fits import COST_FILE
from evenhand.methods.saving import FILES

FORMAT_FILE, FORMAT = "evenhand-cache.json", {"format": 1}
"""The file that makes a folder a cache, and its content."""

ROOMS = ("images", "labels", "fits")
"""The folders of a cache."""

BESIDES = {"README.md", "LICENSE", ".gitattributes"}
"""Files that may lie beside those of a cache; they are never read."""

BASELINE, ELSEWHERE = "baseline", "elsewhere"

FIT_FILES = (*FILES, COST_FILE)
"""The files of a fit; the last one makes it complete."""

MAX_FILES = 5_000_000
"""Maximum number of files of a cache; a suite plans at most two million images of a method."""

_HEX = "[0-9a-f]"
_IMAGE = re.compile(
    rf"images/({BASELINE}|{_HEX}{{16}})/({ELSEWHERE}|{_HEX}{{16}})/{_HEX}{{2}}/({_HEX}{{64}})\.png"
)
_LABELS = re.compile(rf"labels/({_HEX}{{64}})/{_HEX}{{64}}\.parquet")
_FIT = re.compile(rf"fits/({_HEX}{{64}})/({'|'.join(map(re.escape, FIT_FILES))})")


def image_name(code: str, processor: str, key: str) -> str:
    """Name of the file of an image."""
    return f"images/{code}/{processor}/{key[:2]}/{key}.png"


def processor_in(name: str) -> str:
    """The kind of processor in the name of an image."""
    return name.split("/")[2]


def label_name(label_key: str, digest: str) -> str:
    """Name of a file of labels."""
    return f"labels/{label_key}/{digest}.parquet"


def fit_names(fit_key: str) -> list[str]:
    """Names of the files of a fit, in the order in which they are written."""
    return [f"fits/{fit_key}/{name}" for name in FIT_FILES]


@dataclass
class Contents:
    """What a cache has.

    Attributes:
        sizes: Size of every file by name.
        processors: Code and key of an image to the kinds of processors that have it.
        labels: Label key to the names of its files.
        fits: Keys of the complete fits.
    """

    sizes: Mapping[str, int]
    processors: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)
    fits: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, sizes: Mapping[str, int]) -> Contents:
        """The contents of these files; those with other names are left out."""
        found = cls(sizes)
        for name in sorted(sizes):
            if image := _IMAGE.fullmatch(name):
                found.processors.setdefault((image[1], image[3]), []).append(image[2])
            elif labels := _LABELS.fullmatch(name):
                found.labels.setdefault(labels[1], []).append(name)
            elif (fit := _FIT.fullmatch(name)) and {*fit_names(fit[1])} <= sizes.keys():
                found.fits.add(fit[1])
        return found

    def image(self, code: str, key: str, *, processor: str) -> str:
        """Name of the file of an image, if possible from this kind of processor; empty if there is none."""
        found = self.processors.get((code, key), [])
        if not found:
            return ""
        return image_name(code, processor if processor in found else found[0], key)


def is_new(names: Iterable[str]) -> bool:
    """Whether these files can become a cache because there is nothing else."""
    return {*names} <= BESIDES


def check_size(contents: Contents, name: str, *, max_bytes: int) -> None:
    """Check the size of a file before it is fetched or read.

    Raises:
        EvenhandError: It is larger.
    """
    if contents.sizes[name] > max_bytes:
        raise EvenhandError(
            f"{name} in the cache has {contents.sizes[name]:,} bytes, and at most {max_bytes:,} are allowed; "
            "use another cache"
        )
