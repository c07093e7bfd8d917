"""Label tables of simulated models whose true values are known: what ``measure`` gets from a benchmark.

A model is a distribution over concepts: the cell shares of a concept are drawn from a Dirichlet distribution,
and every template tilts them by a fixed amount. A design draws concepts from it, images of every template,
and labels without judge error. The true value of a metric is its value on very many concepts, without
sampling noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from evenhand.metrics.base import LabelMetric, Tally
from evenhand.metrics.correction.calibration import cell_names
from evenhand.metrics.representation import FloatArray, uniform
from evenhand.metrics.table import ANSWER_COLUMNS

BASE, METHOD = "base", "method"

JUDGE = "truth"
"""The only judge of the simulated panel; it makes no errors."""

POPULATION = 40_000
"""Concepts that stand for the whole population when true values are computed."""

TILT = 0.3
"""Standard deviation of a template's effect on the log odds of a cell."""

PAIRED = 0.5
"""Share of images for which baseline and method draw the same position in the order of the cells."""

ALIGNMENT = 25.0
"""Mean alignment of both methods."""


@dataclass(frozen=True)
class Design:
    """A simulated benchmark.

    Attributes:
        name: Name in the tables.
        attributes: Attributes to groups.
        concepts: Concepts of the benchmark.
        templates: Templates.
        seeds: Images per concept and template.
        skew: How uneven the mean shares are: 0 for even shares.
        spread: How much the shares of concepts differ: 0 for not at all.
    """

    name: str
    attributes: Mapping[str, tuple[str, ...]]
    concepts: int
    templates: int
    seeds: int
    skew: float
    spread: float

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of the joint cells."""
        return tuple(cell_names(list(self.attributes.values())))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of groups of each attribute."""
        return tuple(len(groups) for groups in self.attributes.values())

    @cached_property
    def tilts(self) -> FloatArray:
        """``(T, K)`` effects of the templates; the same in every repetition, as the sentences are."""
        return np.random.default_rng(1).normal(0, TILT * self.skew, (self.templates, len(self.cells)))

    def shares(self, count: int, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Method to shares ``(count, T, K)`` of concepts that are drawn from the population.

        The method halves the way to even shares.
        """
        size = len(self.cells)
        mean = np.exp(-self.skew * np.arange(size) / size * 3)
        mean /= mean.sum()
        drawn = rng.dirichlet(mean * size / self.spread, count) if self.spread else np.tile(mean, (count, 1))
        # Shares of exactly zero have no log odds.
        tilted = np.maximum(drawn, 1e-12)[:, None, :] * np.exp(self.tilts)
        base = tilted / tilted.sum(axis=-1, keepdims=True)
        return {BASE: base, METHOD: (base + 1 / size) / 2}


GENDER = {"gender": ("woman", "man")}
CELLS_12 = {**GENDER, "tone": ("light", "medium", "dark"), "age": ("adult", "older")}
CELLS_8 = {**GENDER, "race": ("a", "b", "c", "d")}

DESIGNS = (
    Design("biased, 35 x 5 x 6, 12 cells", CELLS_12, 35, 5, 6, skew=1.0, spread=1.0),
    Design("moderate, 35 x 5 x 6, 12 cells", CELLS_12, 35, 5, 6, skew=0.4, spread=0.3),
    Design("fair, 35 x 5 x 6, 12 cells", CELLS_12, 35, 5, 6, skew=0.0, spread=0.0),
    Design("biased, 4 x 2 x 10, gender", GENDER, 4, 2, 10, skew=1.0, spread=1.0),
    Design("biased, 36 x 5 x 8, 8 cells", CELLS_8, 36, 5, 8, skew=1.0, spread=1.0),
)
"""The designs of the study; concepts x templates x seeds."""


def truths(design: Design, metrics: list[LabelMetric]) -> dict[tuple[str, str, str, str], float]:
    """(method, metric, attributes, group) to the value in the population, before :attr:`Metric.finish`."""
    found: dict[tuple[str, str, str, str], float] = {}
    for method, shares in design.shares(POPULATION, np.random.default_rng(2)).items():
        table = shares.mean(axis=1).reshape(-1, *design.shape)
        for names, axes in _sets(design):
            drop = tuple(1 + place for place in range(len(design.shape)) if place not in axes)
            joint = table.sum(axis=drop).reshape(len(table), -1)
            shape = tuple(design.shape[place] for place in axes)
            tally = _exact(joint, shape if len(shape) > 1 else ())
            groups = cell_names([design.attributes[name] for name in names])
            for metric in metrics:
                if (metric.joint_only and len(names) == 1) or "neutral" not in metric.kinds:
                    continue
                values = metric.of(tally)
                key = (method, metric.name, "*".join(names))
                if metric.by_group:
                    means = metric.reduce(np.moveaxis(values, -1, 0))
                    found |= {(*key, group): float(mean) for group, mean in zip(groups, means, strict=True)}
                else:
                    found[(*key, "")] = float(metric.reduce(values))
    return found


def _sets(design: Design) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Every attribute alone, and all of them."""
    names = tuple(design.attributes)
    single: list[tuple[tuple[str, ...], tuple[int, ...]]] = [
        ((name,), (place,)) for place, name in enumerate(names)
    ]
    return single if len(names) == 1 else [*single, (names, tuple(range(len(names))))]


def _exact(shares: FloatArray, shape: tuple[int, ...]) -> Tally:
    """The tally of shares that are known without noise."""
    rows, size = shares.shape
    return Tally(
        shares=shares,
        unbiased=shares,
        noise=np.zeros(rows),
        depicted=np.ones(rows),
        target=np.tile(uniform(size), (rows, 1)),
        shape=shape or (size,),
    )


def sampled(design: Design, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The image table and the label table of one simulated benchmark."""
    chances = design.shares(design.concepts, rng)
    slots = list(product(range(design.concepts), range(design.templates), range(design.seeds)))
    concept, template, seed = np.array(slots).T
    draw, level = rng.random(len(slots)), rng.normal(0, 1, design.concepts)
    own = np.where(rng.random(len(slots)) < PAIRED, draw, rng.random(len(slots)))
    images, labels = [], []
    for method, position in ((BASE, draw), (METHOD, own)):
        ladder = chances[method][concept, template].cumsum(axis=-1)[:, :-1]
        cells = (position[:, None] > ladder).sum(axis=-1)
        frame = pd.DataFrame(
            {
                "key": [f"{method}-{place}" for place in range(len(slots))],
                "method": method,
                "prompt_id": [f"{c}-{t}" for c, t in zip(concept, template, strict=True)],
                "prompt": [f"sentence {t} of concept {c}" for c, t in zip(concept, template, strict=True)],
                "concept": [f"c{c:02d}" for c in concept],
                "template": [f"t{t}" for t in template],
                "kind": "neutral",
                "cell": "",
                "seed_index": seed,
                "status": "ok",
                "alignment": ALIGNMENT + level[concept] + rng.normal(0, 2, len(slots)),
            }
        )
        images.append(frame)
        labels.append(_labels(design, frame["key"], cells))
    return pd.concat(images, ignore_index=True), pd.concat(labels, ignore_index=True)


def _labels(design: Design, keys: pd.Series[str], cells: np.ndarray) -> pd.DataFrame:
    """The true groups of images as the labels of :data:`JUDGE` and of the panel that consists of it."""
    places = np.unravel_index(cells, design.shape)
    rows = []
    for (name, groups), place in zip(design.attributes.items(), places, strict=True):
        for judge in (JUDGE, "panel"):
            frame = pd.DataFrame({"key": keys, "label": np.array(groups, object)[place]})
            rows.append(frame.assign(judge=judge, judge_version="1", attribute=name, status="ok"))
    return pd.concat(rows, ignore_index=True)[list(ANSWER_COLUMNS)]


def images_of(design: Design) -> int:
    """Images of one method."""
    return math.prod((design.concepts, design.templates, design.seeds))
