"""Which images people are asked about: a stratified sample whose inclusion probabilities are known.

The strata use the judges' own votes, so that rare rows of a confusion matrix are filled; the probabilities
undo what that does to the estimates (measurement.md 3.1, 4.4).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evenhand.bench.errors import EvenhandError

Counts = NDArray[np.int64]


def allocate(sizes: ArrayLike, classes: ArrayLike, *, n: int, min_per_group: int) -> Counts:
    """How many images to draw from each stratum.

    One from each, so that every image has a chance; then so many that each class has ``min_per_group`` of them, or
    all it has; the rest in proportion to what is left.

    Args:
        sizes: ``(S,)`` images in each stratum, at least 1.
        classes: ``(S,)`` class of each stratum.
        n: Images wanted; all are taken where there are no more.
        min_per_group: Least images of each class; 20 is advised (measurement.md 4.4).

    Raises:
        EvenhandError: ``n`` is too small for that; the message says how many are needed.
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
            f"{n} images are too few for {len(room)} strata and {min_per_group} of each class of the judges' "
            f"vote; ask for {int(drawn.sum())} or more"
        )
    return np.asarray(drawn + proportional(room - drawn, total - int(drawn.sum())))


def proportional(room: Counts, total: int) -> Counts:
    """``total`` units over places in proportion to their room, by largest remainders; none above its room."""
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
    """Draws images without replacement within strata.

    Args:
        images: Columns ``key`` (each once), ``stratum`` and ``vote`` (class of the judges' vote, the same
            within a stratum).
        n: Images wanted.
        rng: Random stream.
        min_per_group: See :func:`allocate`.

    Returns:
        The drawn rows in random order, with ``probability``: drawn over all images of the stratum.

    Raises:
        EvenhandError: There is no image, or ``n`` is too small.
    """
    if images.empty:
        raise EvenhandError("there is no image to draw from; choose other kinds of prompts")
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
