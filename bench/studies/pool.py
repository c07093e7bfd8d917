"""Labelled pools: images of known truth, each labelled once by every judge.

A simulation then draws images and anchors from a pool as often as it likes and pays for no network.
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
from evenhand.bench.mini.calibrate import PANEL, anchor_specs, label_table, through_autoencoder
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS, occupations
from evenhand.bench.mini.world import render
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.prompts.prompt_set import load_prompt_set
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.estimation.panel import PANEL as VOTE
from evenhand.metrics.estimation.panel import vote
from evenhand.metrics.judges.base import Images

WITNESSES = (judges.clip_xs, judges.clip_weak)

SEED = 1
"""Seed of the renders: not that of the anchors of ``confusion.csv``, nor of any training image."""

TRUTH = ("occupation", *TAXONOMIES)
"""Columns of a pool that say what an image shows; the others are ``judge/attribute`` and hold its label."""

EXPLICIT = "intersectional-mini"
EVERY = 3
"""Of the occupations of the explicit prompts every third one is drawn."""


@dataclass(frozen=True)
class Pool:
    """Images of known truth with the labels of every judge.

    Attributes:
        table: One row per image, columns :data:`TRUTH` and ``judge/attribute``; every column counts
            occupations or groups from 0, and a judge's number of groups means undetermined.
    """

    table: pd.DataFrame

    @cached_property
    def occupations(self) -> NDArray[np.int64]:
        """The occupations of the pool, sorted."""
        return np.unique(self.table["occupation"].to_numpy())

    @cached_property
    def itself(self) -> dict[str, NDArray[np.int64]]:
        """Every image of the pool, standing for itself."""
        return dict.fromkeys(TAXONOMIES, np.arange(len(self.table)))

    def truth(self, attributes: Sequence[str], images: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Cell that images show; see :meth:`labels`."""
        parts = [self.table[name].to_numpy()[images[name]] for name in attributes]
        return np.ravel_multi_index(parts, _shape(attributes))

    def labels(
        self, judge: str, attributes: Sequence[str], images: Mapping[str, NDArray[np.int64]]
    ) -> NDArray[np.int64]:
        """Cell that a judge sees; the number of cells where it decides nothing.

        Args:
            judge: The judge.
            attributes: The attributes of the cell.
            images: Attribute to the images whose labels are taken, of any shape; see :meth:`sources`.
        """
        shape = _shape(attributes)
        parts = [self.table[f"{judge}/{name}"].to_numpy()[images[name]] for name in attributes]
        decided = np.all([part < size for part, size in zip(parts, shape, strict=True)], axis=0)
        cells = np.ravel_multi_index(parts, shape, mode="clip")
        return np.where(decided, cells, np.prod(shape))

    def sources(
        self, images: NDArray[np.int64], *, exchanged: bool = False, rng: np.random.Generator
    ) -> dict[str, NDArray[np.int64]]:
        """Attribute to the images that stand for ``images`` when judges are asked about it.

        They stand for themselves, or if ``exchanged`` another image of the same true group does, drawn anew
        for every image and attribute. A judge then keeps its matrix of every attribute, and its errors
        depend on nothing else: not on the occupation, nor on the other attributes.
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
        """A random image of each occupation and joint cell, with replacement; any shape."""
        order, start, size = self._members
        place = np.searchsorted(self.occupations, occupation), cell
        return np.asarray(order[start[place] + (rng.random(cell.shape) * size[place]).astype(int)])

    @cached_property
    def _members(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Images sorted by occupation and joint cell; first place and number of each pair."""
        cells = int(np.prod(_shape(tuple(TAXONOMIES))))
        row = np.searchsorted(self.occupations, self.table["occupation"].to_numpy())
        pair = row * cells + self.truth(tuple(TAXONOMIES), self.itself)
        size = np.bincount(pair, minlength=len(self.occupations) * cells)
        if not size.all():
            raise EvenhandError(f"pool lacks {(size == 0).sum()} pairs of occupation and cell; make it anew")
        start = np.cumsum(size) - size
        return np.argsort(pair, kind="stable"), start.reshape(-1, cells), size.reshape(-1, cells)


def rendered(*, copies: int) -> Pool:
    """Renders through the autoencoder, balanced as the anchors of :mod:`evenhand.bench.mini.calibrate` are.

    Args:
        copies: Images of each occupation, gender, age and style for a fine tone of a group of two.
    """
    specs = anchor_specs(copies)
    tones = [TAXONOMIES["tone"].index(TONE_GROUPS[FINE_TONES[tone]]) for tone in specs[:, 3]]
    truth = pd.DataFrame(
        {"occupation": specs[:, 1], "gender": specs[:, 2], "tone": tones, "age": specs[:, 4]}
    )
    return labelled(truth, through_autoencoder(render(specs, seed=SEED)))


def drawn(*, every: int = EVERY) -> Pool:
    """Images that ``mini`` draws of prompts that name gender, tone and age: one of each cell.

    Their truth is what the prompt asks for, which ``mini`` obeys in 99.9 % and more (``CARD.md``).
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
    """The pool of images with this truth, labelled by every judge and by the panel."""
    members = pd.concat([label_table(make(), images) for make in PANEL], ignore_index=True)
    votes = vote(members, members=[make().info.name for make in PANEL], taxonomy=TAXONOMIES)
    non_voting_judges = [label_table(make(), images) for make in WITNESSES]
    rows = pd.concat([members, *non_voting_judges, votes], ignore_index=True)
    columns = truth.reset_index(drop=True).copy()
    for judge, attribute in product((*(make().info.name for make in (*PANEL, *WITNESSES)), VOTE), TAXONOMIES):
        said = rows[(rows["judge"] == judge) & (rows["attribute"] == attribute)].sort_values("key")
        if len(said):
            groups = TAXONOMIES[attribute]
            codes = pd.Categorical(said["label"].where(said["status"] == "ok"), categories=groups).codes
            columns[f"{judge}/{attribute}"] = np.where(codes < 0, len(groups), codes)
    return Pool(columns.astype(np.int64))


def cached(path: Path, make: Callable[[], Pool], *, made: str) -> Pool:
    """The pool of a CSV whose first line says that it was ``made`` so by the present judges, or a new one."""
    versions = ", ".join(f"{each().info.name} {each().info.version}" for each in (*PANEL, *WITNESSES))
    comment = f"# {made}; labelled by {versions}"
    if path.is_file() and path.read_text(encoding="utf-8").partition("\n")[0] == comment:
        return Pool(pd.read_csv(path, comment="#"))
    pool = make()
    path.write_text(f"{comment}\n{pool.table.to_csv(index=False)}", encoding="utf-8")
    return pool


def _shape(attributes: Sequence[str]) -> tuple[int, ...]:
    return tuple(len(TAXONOMIES[name]) for name in attributes)
