"""Helpers for tests of metrics: published data, and image and label tables with known true groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
from helpers.paths import DATA

from evenhand.metrics.table import label_rows

TAXONOMY = {"gender": ("woman", "man"), "tone": ("light", "medium", "dark")}
SHAPE = (2, 3)
CELLS = 6


def read(name):
    """A published table; its first line names source and licence."""
    return pd.read_csv(DATA / f"{name}.csv", skiprows=1)


def woman(table, column):
    """1 where a column of the test bed of judges says a woman."""
    return (table[column] == "Female").to_numpy(float)


class World:
    """Images with known true labels, and judges with known errors."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.rows, self.truth, self.alignment = [], {}, {}

    def draw(
        self, method, kind, *, prompt_id, cells, concept="", template="", cell="", key=None, status="ok"
    ):
        """One image per entry of ``cells``: its true cell, or ``None`` without a person."""
        for seed, shown in enumerate(cells):
            name = f"{key or method}/{prompt_id}/{seed}"
            row = (
                name,
                method,
                prompt_id,
                f"text of {prompt_id}",
                concept,
                template,
                kind,
                cell,
                seed,
                status,
            )
            self.rows.append((*row, self.alignment.setdefault(name, float(self.rng.normal(25, 1)))))
            self.truth[name] = shown

    def neutral(self, method, shares, *, templates=2, seeds=10, key=None):
        """``shares (O, CELLS)``: neutral images of ``O`` concepts drawn from them."""
        for number, p in enumerate(shares):
            for template in range(templates):
                self.draw(
                    method,
                    "neutral",
                    prompt_id=f"n{number:02d}-{template}",
                    concept=f"job{number:02d}",
                    template=f"t{template}",
                    cells=self.rng.choice(CELLS, size=seeds, p=p),
                    key=key,
                )

    def images(self):
        columns = "key method prompt_id prompt concept template kind cell seed_index status alignment"
        return pd.DataFrame(self.rows, columns=columns.split())

    def labels(
        self, judge, *, family=None, recall=1.0, abstain=0.0, attributes=("gender", "tone"), only=None
    ):
        """The judge's rows for every image with a person; errors are even over the other groups."""
        keys = [key for key, cell in self.truth.items() if cell is not None and (only is None or key in only)]
        truth = np.unravel_index([self.truth[key] for key in keys], SHAPE)
        parts = []
        for attribute in attributes:
            groups = TAXONOMY[attribute]
            right = truth[list(TAXONOMY).index(attribute)]
            wrong = self.rng.random(len(keys)) > recall
            said = np.where(
                wrong, (right + self.rng.integers(1, len(groups), len(keys))) % len(groups), right
            )
            said = np.where(self.rng.random(len(keys)) < abstain, len(groups), said)
            parts.append(rows_of(judge, keys, attribute, said, family=family))
        return pd.concat(parts, ignore_index=True)

    def anchors(self):
        """The true labels as the table that calibration expects."""
        keys = [key for key, cell in self.truth.items() if cell is not None]
        codes = np.unravel_index([self.truth[key] for key in keys], SHAPE)
        parts = [
            pd.DataFrame({"key": keys, "attribute": name, "group": np.array(groups)[code]})
            for (name, groups), code in zip(TAXONOMY.items(), codes, strict=True)
        ]
        return pd.concat(parts, ignore_index=True)


def rows_of(judge, keys, attribute, codes, *, family=None, taxonomy=TAXONOMY, sure=0.9):
    """Label rows that assign group ``codes`` (the number of groups: cannot tell) to ``keys``."""
    groups = taxonomy[attribute]
    probabilities = np.full((len(keys), len(groups) + 1), (1 - sure) / len(groups))
    probabilities[np.arange(len(keys)), np.asarray(codes)] = sure
    return label_rows(
        keys=list(keys),
        judge=judge,
        version="1",
        family=family or judge,
        attribute=attribute,
        groups=groups,
        probabilities=probabilities,
        status=["ok"] * len(keys),
    )


def pick(rows, **keys):
    """The rows whose fields have these values."""
    return [row for row in rows if all(getattr(row, name) == value for name, value in keys.items())]


def one(rows, **keys):
    """The single row whose fields have these values."""
    (found,) = pick(rows, **keys)
    return found
