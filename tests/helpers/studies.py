"""Labels of the studies with known errors."""

import numpy as np
import pandas as pd

from evenhand.bench.mini.law import TAXONOMIES, occupations
from evenhand.bench.studies.pool import TRUTH, Pool
from evenhand.bench.studies.truth import sides
from evenhand.metrics.estimation.panel import PANEL


def synthetic_pool() -> Pool:
    """Synthetic labels: uniform panel errors; those of ``clip-weak`` depend on the occupation's side."""
    rng = np.random.default_rng(0)
    sizes = [len(groups) for groups in TAXONOMIES.values()]
    cells = np.array(np.unravel_index(np.arange(np.prod(sizes)), sizes)).T
    rows = [(number, *cell) for number in range(len(occupations())) for cell in cells for _ in range(8)]
    table = pd.DataFrame(rows, columns=list(TRUTH))
    side = sides()[table["occupation"]]
    wrong = {
        "clip-xs": np.full(len(table), 0.1),
        PANEL: np.full(len(table), 0.06),
        "clip-weak": np.where(table["gender"] == side, 0.30, 0.05),
    }
    for judge, rate in wrong.items():
        for attribute, size in zip(TAXONOMIES, sizes, strict=True):
            errs = rng.random(len(table)) < (rate if attribute == "gender" else 0.02)
            table[f"{judge}/{attribute}"] = (table[attribute] + errs) % size
    return Pool(table)
