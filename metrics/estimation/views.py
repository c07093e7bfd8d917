"""Views: the images of one kind of prompts under one attribute or joint attribute, and their resamples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.calibration import cell_names
from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.representation import FloatArray, uniform
from evenhand.metrics.statistics.resampling import Layout, Resamples, Units, arrange
from evenhand.metrics.statistics.threads import in_threads
from evenhand.metrics.statistics.uncertainty import stream

Target = Mapping[str, Sequence[float] | Mapping[str, Sequence[float]]]
"""Attribute or joint attribute (``"gender*tone"``) to the target shares of its cells; uniform if not listed.

The shares hold for all prompts, or are given for every concept of the neutral prompts. In the second case the
target of other kinds of prompts is uniform.
"""

Scheme = Literal["auto", "two-stage", "outermost"]
"""Levels at which the bootstrap resamples.

``two-stage`` resamples every level: concepts, their templates, and the seeds of each template. ``outermost``
resamples only the level of the claim: concepts with all their images for claims about concepts like these,
else images, with fixed templates. The variation of lower levels is part of the resampled units; resampling it
again counts it twice and makes intervals too wide. ``auto`` is ``outermost`` from :data:`MANY_CONCEPTS` on,
and ``two-stage`` for fewer, where the variation between concepts is not well known.
"""

Intervals = Literal["percentile", "transformed"]
"""Intervals of means over whole resampled concepts: expanded percentiles of the draws, or Student's with the
skewness of the concepts removed by a transformation. The second cover better for rare groups. Intervals of
differences, and those of other schemes, are percentiles in any case.
"""

AUTO: Scheme = "auto"
TWO_STAGE: Scheme = "two-stage"

MANY_CONCEPTS = 12
"""Number of concepts from which ``auto`` resamples whole concepts."""

PLAIN = ("neutral", "person")
"""Kinds of prompts that ask for no group; label and image metrics share one set of resamples."""


@dataclass(frozen=True)
class Sampling:
    """The settings of the bootstrap.

    Attributes:
        draws: Resamples ``B``.
        seed: Seed of every random stream.
        resample_concepts: True for claims about concepts like these, False for new images of these concepts.
        scheme: The levels at which images are resampled.
        resample_templates: True for claims about sentences like these, False for these sentences. The scheme
            ``two-stage`` resamples templates in any case, separately for each concept; the others then
            resample the templates that all concepts of a kind of prompts share.
        intervals: How intervals of means over whole resampled concepts are computed.
    """

    draws: int
    seed: int
    resample_concepts: bool
    scheme: Scheme = AUTO
    resample_templates: bool = False
    intervals: Intervals = "percentile"

    def nested(self, concepts: int) -> bool:
        """Whether every level is resampled, for this number of concepts."""
        return self.scheme == TWO_STAGE or (self.scheme == AUTO and concepts < MANY_CONCEPTS)


@dataclass(frozen=True)
class View:
    """One kind of prompts under one attribute or joint attribute.

    Attributes:
        kind: Kind of the prompts.
        attributes: The attributes, in the order of the joint cells.
        cells: Names of the ``K`` groups or cells.
        shape: Number of groups of each attribute.
        target: ``(R, K)`` target shares of each row.
        layout: Rows (concepts, or requested cells) and their images.
        resamples: Bootstrap of the layout.
        expected: ``(R,)`` index of the cell that each row's prompts ask for; ``None`` for neutral prompts.
    """

    kind: str
    attributes: tuple[str, ...]
    cells: tuple[str, ...]
    shape: tuple[int, ...]
    target: FloatArray
    layout: Layout
    resamples: Resamples
    expected: NDArray[np.int64] | None

    @property
    def name(self) -> str:
        """The attributes as written in tables, ``"gender*tone"``."""
        return "*".join(self.attributes)


def plain_layout(slots: pd.DataFrame) -> Layout:
    """The layout with concepts (or prompts without one) as rows, templates as clusters, seeds as leaves."""
    return arrange(
        slots.index.to_numpy(),
        row=_or_prompt(slots, "concept"),
        cluster=_or_prompt(slots, "template"),
        leaf=_seeds(slots),
    )


def plain_resamples(layout: Layout, kind: str, sampling: Sampling) -> Resamples:
    """Resamples of a plain layout, shared by all metrics of a kind of prompts so that they are paired."""
    units: Units = "crossed" if sampling.resample_templates and layout.crossed else "leaves"
    concepts = len(layout.names)
    return _resamples(layout, sampling, kind, rows=sampling.resample_concepts, units=units, concepts=concepts)


def make_views(
    study: Study, *, attribute_sets: Sequence[tuple[str, ...]], target: Target, sampling: Sampling
) -> list[View]:
    """All views of a study: neutral kinds, explicit prompts, over-correction prompts.

    Over-correction prompts have an additional view with all the attributes that they define.
    """
    tasks: list[Callable[[], list[View]]] = [
        partial(_plain, study, kind, attribute_sets, target, sampling) for kind in PLAIN
    ]
    tasks += [
        partial(_explicit, study, names, target, sampling)
        for names in attribute_sets
        if _asking(study, "explicit", names)
    ]
    tasks += [
        partial(_over_correction, study, names, target, sampling)
        for names in _named_together(study, attribute_sets)
    ]
    # Most of the time is spent on the resamples, which have separate random streams.
    return [view for views in in_threads(tasks) for view in views]


def _plain(
    study: Study, kind: str, attribute_sets: Sequence[tuple[str, ...]], target: Target, sampling: Sampling
) -> list[View]:
    slots = study.slots[study.slots["kind"] == kind]
    if slots.empty:
        return []
    layout = plain_layout(slots)
    resamples = plain_resamples(layout, kind, sampling)
    return [_view(study, kind, names, target, layout, resamples) for names in attribute_sets]


def _view(
    study: Study,
    kind: str,
    attributes: tuple[str, ...],
    target: Target,
    layout: Layout,
    resamples: Resamples,
    expected: NDArray[np.int64] | None = None,
) -> View:
    cells = cell_names([study.taxonomy[name] for name in attributes])
    shape = tuple(len(study.taxonomy[name]) for name in attributes)
    name = "*".join(attributes)
    shares = np.stack([_aim(name, target.get(name), len(cells), row, kind) for row in layout.names])
    return View(kind, attributes, cells, shape, shares, layout, resamples, expected)


def _aim(
    name: str, given: Sequence[float] | Mapping[str, Sequence[float]] | None, groups: int, row: str, kind: str
) -> FloatArray:
    """Target shares of one row, ``(K,)``."""
    if isinstance(given, Mapping):
        if kind == "neutral" and row not in given:
            raise EvenhandError(f"target of {name} has no shares for concept {row!r}; give {groups} shares")
        given = given[row] if kind == "neutral" else None
    shares = uniform(groups) if given is None else np.asarray(given, float)
    if shares.shape != (groups,) or not np.isclose(shares.sum(), 1) or (shares < 0).any():
        raise EvenhandError(f"target of {name} must be {groups} shares that sum to 1, got {list(shares)}")
    return shares


def _explicit(study: Study, attributes: tuple[str, ...], target: Target, sampling: Sampling) -> list[View]:
    """The view of explicit prompts: rows are requested cells, clusters concepts, leaves prompt and seed."""
    slots = _asked(study, "explicit", attributes)
    cells = cell_names([study.taxonomy[name] for name in attributes])
    layout = arrange(
        slots.index.to_numpy(),
        row=[_cell(groups, attributes) for groups in slots["groups"]],
        cluster=_or_prompt(slots, "concept"),
        leaf=[f"{prompt}/{seed}" for prompt, seed in zip(slots["prompt_id"], _seeds(slots), strict=True)],
        order=cells,
    )
    # Clusters are concepts; claims about concepts like these resample them with all their images.
    units: Units = "clusters" if sampling.resample_concepts else "leaves"
    concepts = max(map(len, layout.sizes))
    resamples = _resamples(
        layout, sampling, "explicit", "*".join(attributes), rows=False, units=units, concepts=concepts
    )
    expected = np.array([cells.index(name) for name in layout.names])
    return [_view(study, "explicit", attributes, target, layout, resamples, expected)]


def _over_correction(
    study: Study, attributes: tuple[str, ...], target: Target, sampling: Sampling
) -> list[View]:
    """The view of over-correction prompts: rows are the depicted persons, each with one expected cell."""
    slots = _asked(study, "over_correction", attributes)
    layout = plain_layout(slots)
    cells = cell_names([study.taxonomy[name] for name in attributes])
    expected = np.full(len(layout.names), -1)
    asked = np.array([cells.index(_cell(groups, attributes)) for groups in slots["groups"]])
    expected[layout.row] = asked
    if (expected[layout.row] != asked).any():
        name = layout.names[layout.row[expected[layout.row] != asked][0]]
        raise EvenhandError(
            f"over-correction concept {name!r} expects two different cells; use one concept per cell"
        )
    resamples = plain_resamples(layout, f"over_correction/{'*'.join(attributes)}", sampling)
    return [_view(study, "over_correction", attributes, target, layout, resamples, expected)]


def _resamples(
    layout: Layout, sampling: Sampling, *names: str, rows: bool, units: Units, concepts: int
) -> Resamples:
    """Resamples of a layout; ``units`` is what the outermost scheme resamples within a row."""
    return Resamples.of(
        layout,
        draws=sampling.draws,
        rng=stream(sampling.seed, "resamples", *names),
        rows=rows and len(layout.names) > 1,
        units="nested" if sampling.nested(concepts) else units,
        transformed=sampling.intervals == "transformed",
    )


def _named_together(study: Study, attribute_sets: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    asked = study.slots.loc[study.slots["kind"] == "over_correction", "groups"]
    whole = {tuple(name for name in study.taxonomy if name in groups) for groups in asked}
    sets = dict.fromkeys([*attribute_sets, *sorted(whole)])
    return [names for names in sets if names and _asking(study, "over_correction", names)]


def _asking(study: Study, kind: str, attributes: Sequence[str]) -> bool:
    return len(_asked(study, kind, attributes)) > 0


def _asked(study: Study, kind: str, attributes: Sequence[str]) -> pd.DataFrame:
    """Slots of a kind whose prompts name a group of each of the attributes."""
    names_all = [set(attributes) <= set(groups) for groups in study.slots["groups"]]
    return study.slots[(study.slots["kind"] == kind) & np.array(names_all)]


def _cell(groups: Mapping[str, str], attributes: Sequence[str]) -> str:
    return "*".join(groups[name] for name in attributes)


def _or_prompt(slots: pd.DataFrame, column: str) -> list[str]:
    pairs = zip(slots[column], slots["prompt_id"], strict=True)
    return [str(value) or str(prompt) for value, prompt in pairs]


def _seeds(slots: pd.DataFrame) -> list[str]:
    return [f"{seed:08d}" for seed in slots["seed_index"]]
