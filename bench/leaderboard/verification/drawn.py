"""Draws and judges a method and the baseline on a fresh plan; returns tables as those of entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenhand.bench.leaderboard.scores import Vectors, with_preservation
from evenhand.bench.leaderboard.suite import KnownSuite
from evenhand.bench.leaderboard.tables import ALIGNMENT, Tables
from evenhand.bench.leaderboard.verification.reproduction import Reproduction
from evenhand.bench.results.result import BASE
from evenhand.bench.stages.generate import image_rows
from evenhand.bench.stages.label import alignment
from evenhand.methods.base import Intervention
from evenhand.metrics.judges.base import Judge


@dataclass(frozen=True, eq=False)
class Drawn:
    """The images of one method on the fresh plan.

    Attributes:
        tables: Its tables, with the labels of the judges of the suite.
        held_back: Labels of the held-back judges; empty without any.
    """

    tables: Tables
    held_back: pd.DataFrame

    @property
    def every_label(self) -> pd.DataFrame:
        """The labels of all judges."""
        return pd.concat([self.tables.labels, self.held_back], ignore_index=True)


def draw_both(
    reproduction: Reproduction, fitted: Intervention, *, plan: KnownSuite, holdout: Sequence[Judge]
) -> tuple[Drawn, Drawn]:
    """The method of an entry and the baseline on a fresh plan; twice the same for the baseline itself.

    Args:
        reproduction: The method, model and judges of the entry.
        fitted: The fitted method.
        plan: The suite with the fresh plan.
        holdout: The held-back judges.
    """
    label = reproduction.entry.result.spec.method.label
    base, vectors = _drawn(reproduction, BASE, Intervention(), plan, holdout)
    if label == BASE:
        found = _with_distances([base], vectors, plan)[0]
        return found, found
    own, further = _drawn(reproduction, label, fitted, plan, holdout)
    first, second = _with_distances([base, own], {**vectors, **further}, plan)
    return second, first


def _drawn(
    reproduction: Reproduction,
    label: str,
    intervention: Intervention,
    plan: KnownSuite,
    holdout: Sequence[Judge],
) -> tuple[Drawn, Vectors]:
    """One method, without distances to the baseline; and the embeddings of its images."""
    jobs, statuses = reproduction.draw(intervention, range(len(plan.items)), items=plan.items)
    images = image_rows(label, list(jobs.values()), statuses, reproduction.store)
    made = {row: job for row, job in jobs.items() if statuses[job.key] == "ok"}
    pixels = [reproduction.pixels(made[row]) if row in made else "" for row in jobs]
    images["pixels"], images[ALIGNMENT] = pixels, np.nan
    vectors: Vectors = {}
    if reproduction.scorer is not None:
        rows = images.loc[list(made)]
        vectors = reproduction.vectors(rows["key"])
        images.loc[list(made), ALIGNMENT] = alignment(rows, vectors, reproduction.scorer.embed_texts)
    labels = reproduction.label(made)
    held_back = reproduction.label(made, judges=holdout) if holdout else labels.iloc[:0]
    return Drawn(Tables(images, labels), held_back), vectors


def _with_distances(drawn: Sequence[Drawn], vectors: Vectors, plan: KnownSuite) -> list[Drawn]:
    """The same with the distances of unrelated images to those of the baseline, which comes first."""
    images = pd.concat([one.tables.images for one in drawn], ignore_index=True)
    measured = with_preservation(images, vectors, taxonomy=plan.evaluation_config.taxonomy)
    found = []
    for one in drawn:
        label = one.tables.images["method"].iloc[0]
        own = measured[measured["method"] == label].reset_index(drop=True)
        found.append(Drawn(Tables(own, one.tables.labels), one.held_back))
    return found
