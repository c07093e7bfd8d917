"""Stratified samples of images for annotation, with known inclusion probabilities.

The strata use the judges' votes, so that rare rows of a confusion matrix get enough images. Estimates weight
each image by its inverse inclusion probability (Horvitz and Thompson 1952) to stay unbiased.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evenhand.bench.errors import EvenhandError

Counts = NDArray[np.int64]


def allocate(sizes: ArrayLike, classes: ArrayLike, *, n: int, min_per_group: int) -> Counts:
    """Number of images to draw from each stratum.

    First one image per stratum, so that every image can be drawn; then enough for ``min_per_group`` images
    per class, or all of them; then the rest in proportion to the remaining images.

    Args:
        sizes: ``(S,)`` images in each stratum, at least 1.
        classes: ``(S,)`` class of each stratum.
        n: Number of images to draw; all images if there are fewer.
        min_per_group: Minimum number of images of each class; 20 is recommended.

    Raises:
        EvenhandError: ``n`` is too small; the message states the number needed.
    """
    room = np.asarray(sizes, np.int64)
    kinds = np.asarray(classes)
    drawn = np.minimum(room, 1)
    for kind in np.unique(kinds):
        inside = kinds == kind
        lacking = min(min_per_group, int(room[inside].sum())) - int(drawn[inside].sum())
        drawn[inside] += proportional(room[inside] - drawn[inside], max(lacking, 0))
    total = min(n, int(room.sum()))
    if drawn.sum() > total:
        raise EvenhandError(
            f"{n} images are too few for {len(room)} strata and {min_per_group} images per class of the "
            f"judges' vote; request at least {int(drawn.sum())}"
        )
    return np.asarray(drawn + proportional(room - drawn, total - int(drawn.sum())))


def proportional(room: Counts, total: int) -> Counts:
    """``total`` units, allocated in proportion to ``room`` by largest remainders; at most ``room`` each."""
    if total == 0:
        return np.zeros_like(room)
    exact = room * min(1.0, total / max(int(room.sum()), 1))
    given: Counts = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - given), kind="stable")
    given[order[: min(total, int(room.sum())) - int(given.sum())]] += 1
    return given


def draw_sample(
    images: pd.DataFrame, *, n: int, rng: np.random.Generator, min_per_group: int
) -> pd.DataFrame:
    """A sample of images, drawn without replacement within strata.

    Args:
        images: Columns ``key`` (unique), ``stratum`` and ``vote`` (class of the judges' vote, constant within
            a stratum).
        n: Number of images to draw.
        rng: Random stream.
        min_per_group: See :func:`allocate`.

    Returns:
        The drawn rows in random order, with a column ``probability``: drawn images over all images of the
        stratum.

    Raises:
        EvenhandError: There is no image, or ``n`` is too small.
    """
    if images.empty:
        raise EvenhandError("there are no images to draw from; choose other kinds of prompts")
    ordered = images.sort_values("key")
    strata = ordered.groupby("stratum", sort=True)
    sizes, votes = strata.size(), strata["vote"].first()
    counts = allocate(sizes.to_numpy(), votes.to_numpy(), n=n, min_per_group=min_per_group)
    parts = []
    for (_, rows), count in zip(strata, counts, strict=True):
        chosen = rows.iloc[rng.permutation(len(rows))[:count]]
        parts.append(chosen.assign(probability=count / len(rows)))
    return shuffled(pd.concat(parts), rng=rng)


def shuffled(rows: pd.DataFrame, *, rng: np.random.Generator) -> pd.DataFrame:
    """The rows in random order."""
    mixed: pd.DataFrame = rows.iloc[rng.permutation(len(rows))]
    return mixed.reset_index(drop=True)
