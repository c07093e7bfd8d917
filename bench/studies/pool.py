"""Labelled pools: images with known labels, each labelled once by every judge.

Simulations sample images and anchors from a pool without running any network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import judges
from evenhand.bench.mini.autoencoder import through_autoencoder
from evenhand.bench.mini.calibrate import anchor_specs, label_table
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS, occupations
from evenhand.bench.mini.world import render
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.prompts.prompt_set import load_prompt_set
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.estimation.panel import PANEL, vote
from evenhand.metrics.judges.base import Images

VOTING = (judges.clip_s, judges.vit, judges.tone_ita)
NON_VOTING = (judges.clip_xs, judges.clip_weak)

SEED = 1
"""Seed of the renders; differs from the seeds of the anchors of ``confusion.csv`` and of training images."""

TRUTH = ("occupation", *TAXONOMIES)
"""Columns of a pool with the true groups; the columns ``judge/attribute`` have the labels."""

EXPLICIT = "intersectional-mini"
EVERY = 3
"""Every third occupation of the explicit prompts is used."""


@dataclass(frozen=True)
class Pool:
    """Images with known labels and the labels of all judges.

    Attributes:
        table: One row per image, columns :data:`TRUTH` and ``judge/attribute``. Values are indices of
            occupations and groups from 0; for judges, the number of groups means undetermined.
    """

    table: pd.DataFrame

    @cached_property
    def occupations(self) -> NDArray[np.int64]:
        """The occupations of the pool, sorted."""
        return np.unique(self.table["occupation"].to_numpy())

    @cached_property
    def itself(self) -> dict[str, NDArray[np.int64]]:
        """For all attributes, the images of the pool in order."""
        return dict.fromkeys(TAXONOMIES, np.arange(len(self.table)))

    def truth(self, attributes: Sequence[str], images: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Index of the true cell of images; see :meth:`labels`."""
        parts = [self.table[name].to_numpy()[images[name]] for name in attributes]
        return np.ravel_multi_index(parts, _shape(attributes))

    def labels(
        self, judge: str, attributes: Sequence[str], images: Mapping[str, NDArray[np.int64]]
    ) -> NDArray[np.int64]:
        """Index of the cell according to a judge; the number of cells if it is undetermined.

        Args:
            judge: The judge.
            attributes: The attributes of the cell.
            images: Attributes to the images whose labels are used, of any shape; see :meth:`sources`.
        """
        shape = _shape(attributes)
        parts = [self.table[f"{judge}/{name}"].to_numpy()[images[name]] for name in attributes]
        decided = np.all([part < size for part, size in zip(parts, shape, strict=True)], axis=0)
        cells = np.ravel_multi_index(parts, shape, mode="clip")
        return np.where(decided, cells, np.prod(shape))

    def sources(
        self, images: NDArray[np.int64], *, exchanged: bool = False, rng: np.random.Generator
    ) -> dict[str, NDArray[np.int64]]:
        """Attributes to the images whose labels are used for ``images``.

        By default these are the images themselves. If ``exchanged``, they are random other images of the same
        true group, separately for every image and attribute. Then judges have the same confusion matrices,
        but their errors do not depend on the occupation or on other attributes.
        """
        if not exchanged:
            return dict.fromkeys(TAXONOMIES, images)
        found = {}
        for name in TAXONOMIES:
            truth = self.table[name].to_numpy()
            order, size = np.argsort(truth, kind="stable"), np.bincount(truth)
            group = truth[images]
            place = (np.cumsum(size) - size)[group] + (rng.random(images.shape) * size[group]).astype(int)
            found[name] = order[place]
        return found

    def pick(
        self, occupation: NDArray[np.int64], cell: NDArray[np.int64], *, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Sample an image for each occupation and joint cell, with replacement; any shape."""
        order, start, size = self._members
        place = np.searchsorted(self.occupations, occupation), cell
        return np.asarray(order[start[place] + (rng.random(cell.shape) * size[place]).astype(int)])

    @cached_property
    def _members(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Images sorted by occupation and joint cell; start and number of each pair."""
        cells = int(np.prod(_shape(tuple(TAXONOMIES))))
        row = np.searchsorted(self.occupations, self.table["occupation"].to_numpy())
        pair = row * cells + self.truth(tuple(TAXONOMIES), self.itself)
        size = np.bincount(pair, minlength=len(self.occupations) * cells)
        if not size.all():
            raise EvenhandError(
                f"pool has no images of {(size == 0).sum()} pairs of occupation and cell; recreate it"
            )
        start = np.cumsum(size) - size
        return np.argsort(pair, kind="stable"), start.reshape(-1, cells), size.reshape(-1, cells)


def rendered(*, copies: int) -> Pool:
    """Renders through the autoencoder, balanced like the anchors of :mod:`evenhand.bench.mini.calibrate`.

    Args:
        copies: Number of images of each occupation, gender, age and style per fine tone, in groups with two
            fine tones.
    """
    specs = anchor_specs(copies)
    tones = [TAXONOMIES["tone"].index(TONE_GROUPS[FINE_TONES[tone]]) for tone in specs[:, 3]]
    truth = pd.DataFrame(
        {"occupation": specs[:, 1], "gender": specs[:, 2], "tone": tones, "age": specs[:, 4]}
    )
    return labelled(truth, through_autoencoder(render(specs, seed=SEED)))


def drawn(*, every: int = EVERY) -> Pool:
    """Images of ``mini`` for prompts that name gender, tone and age: one for each cell.

    The true groups are those of the prompts, which at least 99.9 % of the images show (``CARD.md``).
    """
    prompts = [prompt for prompt in load_prompt_set(EXPLICIT).prompts if len(prompt.cell) == len(TAXONOMIES)]
    kept = sorted({prompt.concept for prompt in prompts})[::every]
    first = {(each.concept, tuple(sorted(each.cell.items()))): each for each in reversed(prompts)}
    chosen = [each for key, each in sorted(first.items()) if each.concept in kept]
    sampler = Sampler(load_model("mini", device="cpu"), load_suite("mini").protocol)
    images = sampler([prompt.text for prompt in chosen], range(len(chosen)))
    rows = [
        [occupations().index(each.concept), *(TAXONOMIES[name].index(each.cell[name]) for name in TAXONOMIES)]
        for each in chosen
    ]
    return labelled(pd.DataFrame(rows, columns=list(TRUTH)), images)


def labelled(truth: pd.DataFrame, images: Images) -> Pool:
    """Label images with known groups with all judges and the panel."""
    members = pd.concat([label_table(make(), images) for make in VOTING], ignore_index=True)
    votes = vote(members, members=[make().info.name for make in VOTING], taxonomy=TAXONOMIES)
    non_voting = [label_table(make(), images) for make in NON_VOTING]
    rows = pd.concat([members, *non_voting, votes], ignore_index=True)
    columns = truth.reset_index(drop=True).copy()
    for judge, attribute in product(
        (*(make().info.name for make in (*VOTING, *NON_VOTING)), PANEL), TAXONOMIES
    ):
        said = rows[(rows["judge"] == judge) & (rows["attribute"] == attribute)].sort_values("key")
        if len(said):
            groups = TAXONOMIES[attribute]
            codes = pd.Categorical(said["label"].where(said["status"] == "ok"), categories=groups).codes
            columns[f"{judge}/{attribute}"] = np.where(codes < 0, len(groups), codes)
    return Pool(columns.astype(np.int64))


def cached(path: Path, make: Callable[[], Pool], *, made: str) -> Pool:
    """Load a pool from a CSV if its first line has ``made`` and the judge versions, else create it."""
    versions = ", ".join(f"{each().info.name} {each().info.version}" for each in (*VOTING, *NON_VOTING))
    comment = f"# {made}; labelled by {versions}"
    if path.is_file() and path.read_text(encoding="utf-8").partition("\n")[0] == comment:
        return Pool(pd.read_csv(path, comment="#"))
    pool = make()
    path.write_text(f"{comment}\n{pool.table.to_csv(index=False)}", encoding="utf-8")
    return pool


def _shape(attributes: Sequence[str]) -> tuple[int, ...]:
    return tuple(len(TAXONOMIES[name]) for name in attributes)
