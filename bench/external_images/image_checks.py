"""What may be wrong with external images and their judges although every file is readable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from evenhand.bench.errors import EvenhandError, some_of
from evenhand.bench.external_images.image_files import FORMATS
from evenhand.bench.external_images.near_duplicates import difference_hash, near_duplicates
from evenhand.bench.results.text import plural
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.judges.base import Judge, Reference

SAMPLE = 1_000
"""Maximum number of images whose distances are computed: the first in the order of their keys, which are
digests. Faces are detected in 10 to 20 images a second and core."""

TOGETHER = 128
"""Number of images whose distances are computed together."""


def named(files: Sequence[str]) -> str:
    """The first files of a list, quoted, and how many more there are."""
    return some_of([repr(file) for file in files])


def check_domains(judges: Iterable[Judge], folder: Path, files: Sequence[str]) -> None:
    """Check that no image is larger than those that a judge was trained for.

    Raises:
        EvenhandError: An image is larger; a judge would label it nevertheless, and wrongly.
    """
    limited = [judge for judge in judges if judge.domain.largest_side]
    if not limited:
        return
    sides = {file: max(_size(folder / file)) for file in files}
    for judge in limited:
        large = [file for file, side in sides.items() if side > judge.domain.largest_side]
        if large:
            width, height = _size(folder / large[0])
            raise EvenhandError(
                f"judge {judge.info.name!r} is made for {judge.domain.images}, and {len(large)} of "
                f"{plural(len(files), 'image')} are larger (the first is {large[0]!r}, {width} x {height}); "
                "its labels of them would be wrong: use --suite photos for photographs"
            )


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an image file; 0 if it is not one, of which the import says more."""
    try:
        with Image.open(path, formats=FORMATS) as file:
            return file.size
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return 0, 0


def distance_notes(
    judges: Iterable[Judge], images: pd.DataFrame, *, store: ImageStore, measured: Table
) -> list[str]:
    """Notes about images that are unlike those that a judge was trained for.

    Args:
        judges: The judges.
        images: The image table, with the columns ``file``, ``key`` and ``status``.
        store: The store with the images.
        measured: The table of known distances, which grows by those that are missing.

    Raises:
        EvenhandError: More than half of the images are; the labels would say nothing.
    """
    rows = images[images["status"] == "ok"].drop_duplicates("key")
    looked_at = rows[rows["key"].isin(sorted(rows["key"])[:SAMPLE])]
    made_for: dict[tuple[str, Reference], list[str]] = {}
    for judge in judges:
        if judge.domain.reference is not None:
            made_for.setdefault((judge.domain.images, judge.domain.reference), []).append(judge.info.name)
    notes = []
    for (known, reference), names in made_for.items():
        distances = looked_at["key"].map(_distances(reference, looked_at["key"], store, measured))
        far = list(looked_at["file"][distances > reference.limit].astype(str))
        compared = int(distances.notna().sum())
        those = f" that {'was' if compared == 1 else 'were'} compared" if compared < len(rows) else ""
        said = (
            f"{len(far)} of {plural(compared, 'image')}{those} (such as {named(far)}) "
            f"{'is' if len(far) == 1 else 'are'} unlike {known}, "
            f"for which {', '.join(map(repr, names))} {'is' if len(names) == 1 else 'are'} made"
        )
        if len(far) > compared / 2:
            raise EvenhandError(
                f"{said}; choose judges that are made for such images (evenhand list judges; --suite "
                "photos for photographs)"
            )
        if far:
            notes.append(f"{said}; their labels of these are not reliable")
    return notes


def _distances(
    reference: Reference, keys: Iterable[str], store: ImageStore, measured: Table
) -> dict[str, float]:
    """The distance of every image by its key; none is measured twice, and few are in memory at a time."""
    known = measured.read()
    found: dict[str, float] = {}
    if len(known):
        same = known[known["reference"] == reference.version]
        found = dict(zip(same["key"], same["distance"], strict=True))
    missing = [key for key in keys if key not in found]
    for start in range(0, len(missing), TOGETHER):
        new = _measured(reference, missing[start : start + TOGETHER], store)
        measured.append(
            pd.DataFrame({"key": new.keys(), "reference": reference.version, "distance": new.values()})
        )
        found |= new
    if missing:
        measured.finish(measured.read())
    return found


def _measured(reference: Reference, keys: Sequence[str], store: ImageStore) -> dict[str, float]:
    by_shape: dict[tuple[int, ...], dict[str, NDArray[np.uint8]]] = {}
    for key in keys:
        image = store.get(key)
        if image is not None:
            by_shape.setdefault(image[0].shape, {})[key] = image[0]
    distances: dict[str, float] = {}
    for same in by_shape.values():
        distances |= zip(same, reference.distance(np.stack(list(same.values()))).tolist(), strict=True)
    return distances


def duplicate_notes(images: pd.DataFrame, store: ImageStore) -> list[str]:
    """Notes about images that are nearly the same, within the images of each model.

    Args:
        images: The image table, with the columns ``file``, ``key``, ``method`` and ``status``.
        store: The store with the images.
    """
    notes = []
    for model, rows in images[images["status"] == "ok"].groupby("method", sort=False):
        hashes = {}
        for file, key in zip(rows["file"], rows["key"], strict=True):
            found = store.get(key)
            if found is not None:
                hashes[str(file)] = difference_hash(found[0])
        groups = near_duplicates(hashes)
        if groups:
            copies = sum(map(len, groups)) - len(groups)
            notes.append(
                f"{model}: {plural(copies, 'image')} nearly equal to another one, such as "
                f"{named(groups[0])}; they count as separate images, so intervals are too narrow: list "
                "each image once"
            )
    return notes


def panel_notes(judges: Mapping[str, Judge], panel: Sequence[str], attributes: Sequence[str]) -> list[str]:
    """Notes about attributes that rest on one judge, whose errors nobody contradicts.

    Args:
        judges: The judges by name.
        panel: The judges that vote.
        attributes: The audited attributes.
    """
    single: dict[str, list[str]] = {}
    for attribute in attributes:
        known = [name for name in panel if attribute in judges[name].info.taxonomies]
        if len(known) == 1:
            single.setdefault(known[0], []).append(attribute)
    return [
        f"1 judge: {' and '.join(found)} {'rests' if len(found) == 1 else 'rest'} on {judge!r} alone, so its "
        "errors are in the result; measure it with labels by people (--anchors)"
        for judge, found in single.items()
    ]


def undetermined_notes(labels: pd.DataFrame) -> list[str]:
    """Notes about images that the panel could not judge, if they are more than half of an attribute's.

    Args:
        labels: Label-table rows with the panel's vote.
    """
    notes = []
    for attribute, rows in labels[labels["judge"] == PANEL].groupby("attribute", observed=True):
        lost = rows[rows["status"] != "ok"]
        if len(lost) > len(rows) / 2:
            why = lost["status"].astype(str).value_counts()
            notes.append(
                f"{attribute}: {len(lost)} of {plural(len(rows), 'image')} have no label (most often "
                f"{why.index[0]!r}); the judges may not be made for these images"
            )
    return notes
