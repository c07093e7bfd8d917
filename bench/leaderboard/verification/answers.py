"""Compares repeated labels with stated ones, with one tolerance for entries and caches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from evenhand.bench.results.entry import Answers

PROBABILITY_TOLERANCE = 0.01
"""Tolerance for probabilities of judges, above the differences between machines on the same image."""


def label_answers(repeated: pd.DataFrame, stated: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[Answers]:
    """Compare labels, for every judge and attribute that both tables have.

    Args:
        repeated: Rows of the label table of the regenerated images.
        stated: Rows of the label table of the stated images.
        pairs: One row per image: ``key`` of the regenerated one, ``key_stated``, and whether their pixels are
            the ``same``.
    """
    renamed = stated.rename(columns={"key": "key_stated"})
    both = pairs.merge(repeated, on="key").merge(
        renamed, on=["key_stated", "judge", "attribute"], suffixes=("", "_stated")
    )
    for (judge, attribute), rows in both.groupby(["judge", "attribute"]):
        pairs_of = zip(rows["probabilities"], rows["probabilities_stated"], strict=True)
        moved = np.array([np.abs(np.subtract(one, other)).max() for one, other in pairs_of])
        differs = (rows["label"] != rows["label_stated"]) | (rows["status"] != rows["status_stated"])
        yield Answers(
            name=f"{judge}, {attribute}",
            asked=len(rows),
            other=int((differs & (moved > PROBABILITY_TOLERANCE)).sum()),
            contradicted=int((rows["same"] & (moved > PROBABILITY_TOLERANCE)).sum()),
            furthest=float(moved.max()),
        )
