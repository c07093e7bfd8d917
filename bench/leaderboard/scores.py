"""The scores of the images of an entry that do not come from judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.leaderboard.tables import PRESERVATION
from evenhand.bench.results.result import BASE
from evenhand.metrics.estimation.encode import encode
from evenhand.metrics.estimation.preservation import preservation_distance
from evenhand.metrics.table import LABEL_COLUMNS

Vectors = Mapping[str, NDArray[np.float32]]


def with_preservation(
    images: pd.DataFrame, vectors: Vectors, *, taxonomy: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The image table with the distance of every unrelated image to that of the baseline.

    Args:
        images: Rows of the image table, of the baseline and other methods.
        vectors: Keys to embeddings of the generated unrelated images; empty without a scorer.
        taxonomy: Attributes to groups.
    """
    unrelated = images[images["kind"] == "unrelated"]
    if unrelated.empty or not vectors:
        return images.assign(**{PRESERVATION: np.nan})
    groups = {name: tuple(values) for name, values in taxonomy.items()}
    # Images without people have no labels.
    study = encode(unrelated, pd.DataFrame(columns=list(LABEL_COLUMNS)), taxonomy=groups)
    place = ["prompt_id", "seed_index"]
    found = [
        study.slots[place].assign(method=method, **{PRESERVATION: row})
        for method, row in zip(study.methods, preservation_distance(study, vectors, base=BASE), strict=True)
    ]
    return images.merge(pd.concat(found), on=["method", *place], how="left", validate="one_to_one")
