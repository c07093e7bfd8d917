"""Simulated audits: images and anchors sampled from a labelled pool, measured with the code of the benchmark.

Every repetition samples images of a model with a known distribution, and anchors, and processes both with
:mod:`evenhand.metrics`: counts, calibration, correction, bootstrap, interval. No networks are run, because
the pool has their labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.mini.law import TAXONOMIES
from evenhand.bench.studies.pool import Pool
from evenhand.bench.studies.truth import ALL, models, shares, sides, true_value
from evenhand.metrics import catalog
from evenhand.metrics.base import Tally
from evenhand.metrics.correction.calibration import (
    CONFUSION_COLUMNS,
    UNDETERMINED,
    Calibration,
    Refusal,
    calibrate,
    cell_names,
)
from evenhand.metrics.estimation.score import Series, score_labels
from evenhand.metrics.estimation.tallies import Counted, Reading
from evenhand.metrics.estimation.views import TWO_STAGE, Sampling, Scheme, View, plain_resamples
from evenhand.metrics.representation import FloatArray, uniform
from evenhand.metrics.statistics.resampling import arrange
from evenhand.metrics.statistics.uncertainty import stream

SETS = (("gender",), ALL)
"""The measured attribute sets: gender, and the primary joint attribute of the mini suites."""

ANCHORS_PER_CELL = 25
"""Number of anchors per joint cell and stereotype."""

ANCHORS = 2 * ANCHORS_PER_CELL * math.prod(len(groups) for groups in TAXONOMIES.values())
"""Number of anchors of an audit: 600."""

ANCHORS_PER_OCCUPATION = 4
"""Number of anchors per joint cell and occupation for matrices per occupation: 1,920 in total."""

METRICS = [replace(metric, floor=False) for metric in (catalog.share, catalog.rms_delta)]
"""The metrics, without noise floors, which are not compared with true values and take most of the time."""

SHOWN_GROUP = "woman"


IMAGES = 100
"""Number of images per occupation, as in the evaluations of UCE and MIST."""


@dataclass(frozen=True)
class Design:
    """The sampling design of an audit.

    Attributes:
        name: Name in the tables.
        templates: Number of templates per occupation; they have no effect on the images of these models.
        seeds: Number of images per template.
        resample_concepts: Whether occupations are sampled too, for claims about a population of occupations.
        scheme: The levels at which the bootstrap resamples.
    """

    name: str
    templates: int
    seeds: int
    resample_concepts: bool = False
    scheme: Scheme = TWO_STAGE


DESIGNS = (
    Design("one template", 1, IMAGES),
    Design("five templates", 5, IMAGES // 5),
    Design("five templates, outermost", 5, IMAGES // 5, scheme="outermost"),
    Design("occupations drawn", 1, IMAGES, resample_concepts=True),
    Design("occupations drawn, outermost", 1, IMAGES, resample_concepts=True, scheme="outermost"),
)
"""For one template and a fixed list of occupations, both schemes are the same."""


@dataclass(frozen=True)
class Setting:
    """The settings that all repetitions of a study share.

    Attributes:
        images: Pool of the audited images.
        anchors: Pool of the anchors.
        designs: The designs.
        judges: Judges to the kinds of matrices that correct them; see :data:`STRATA`.
        draws: Number of bootstrap resamples.
        seed: Seed of all random streams.
        exchanged: Whether errors of judges depend only on the true group; see :meth:`Pool.sources`.
    """

    images: Pool
    anchors: Pool
    designs: tuple[Design, ...]
    judges: Mapping[str, tuple[str, ...]]
    draws: int
    seed: int
    exchanged: bool = False


STRATA = ("pooled", "side", "occupation")
"""What a confusion matrix covers: all images, one stereotype, or one occupation."""


@dataclass(frozen=True)
class Stratified(Reading):
    """A reading that corrects each row with the matrix of its stratum.

    Attributes:
        parts: Rows and reading of each stratum with a matrix. Other rows have no value and are excluded from
            means.
    """

    parts: tuple[tuple[NDArray[np.int64], Reading], ...] = ()

    @classmethod
    def of(
        cls, view: View, judge: str, known: Sequence[Calibration | Refusal], stratum: NDArray[np.int64]
    ) -> Stratified:
        """The reading with matrices ``known``; ``stratum (R,)`` has the index of the matrix of each row."""
        parts = []
        for number, each in enumerate(known):
            if isinstance(each, Calibration):
                rows = np.flatnonzero(stratum == number)
                parts.append((rows, Reading(replace(view, target=view.target[rows]), judge, each, 0)))
        return cls(view, judge, parts[0][1].calibration, 0, parts=tuple(parts))

    @property
    def corrected(self) -> NDArray[np.int64]:
        """The rows with a value, sorted."""
        return np.sort(np.concatenate([rows for rows, _ in self.parts]))

    def point(self, counts: FloatArray) -> Tally:
        """As the base class, with the matrix of each row."""
        return self._joined([part.point(counts[rows]) for rows, part in self.parts])

    def resampled(self, counts: FloatArray, *, draws: slice = slice(None)) -> Tally:
        """As the base class, with the matrix of each row."""
        return self._joined([part.resampled(counts[:, rows], draws=draws) for rows, part in self.parts])

    def supposed(self, counts: FloatArray, *, target: FloatArray | None = None) -> Tally:
        """As the base class, with the matrix of each row; always uses the target of the view."""
        return self._joined([part.supposed(counts[:, rows]) for rows, part in self.parts])

    def _joined(self, tallies: Sequence[Tally]) -> Tally:
        def all_rows(name: str, axis: int) -> FloatArray:
            pieces = [getattr(tally, name) for tally in tallies]
            shape = list(pieces[0].shape)
            shape[axis] = len(self.view.target)
            joined = np.full(shape, np.nan)
            by_row = np.moveaxis(joined, axis, 0)
            for (rows, _), piece in zip(self.parts, pieces, strict=True):
                by_row[rows] = np.moveaxis(piece, axis, 0)
            return joined

        return Tally(
            shares=all_rows("shares", -2),
            unbiased=all_rows("unbiased", -2),
            noise=all_rows("noise", -1),
            depicted=all_rows("depicted", -1),
            target=self.view.target,
            shape=self.view.shape,
        )


def simulate(setting: Setting, repetitions: Sequence[int]) -> pd.DataFrame:
    """Simulate audits; returns one row per repetition, model, design, judge, correction and estimate.

    All ``repetitions`` of a call share the bootstrap indices and nothing else.

    Returns:
        Columns ``repetition``, ``model``, ``design``, ``judge``, ``correction``, ``attributes``, ``metric``,
        ``occupations`` (number with a value), ``truth`` (of these), ``value``, ``low``, ``high``; for shares
        by occupation also ``row_hits``, the share of occupations whose interval covers the true value, and
        ``row_error``, their mean squared error.
    """
    views = {design: neutral_views(setting, design, first=repetitions[0]) for design in setting.designs}
    rows = []
    for repetition in repetitions:
        rng = stream(setting.seed, "repetition", str(repetition))
        matrices = _matrices(setting, rng)
        for design in setting.designs:
            audits = [_audit(setting, model, design, rng) for model in models()]
            for view, judge in product(views[design], setting.judges):
                for correction, reading in _readings(view, judge, setting.images.occupations, matrices):
                    for audit in audits:
                        codes = setting.images.labels(judge, view.attributes, audit.images)
                        for found in _score(reading, codes):
                            place = (audit.model, design.name, judge, correction, view.name)
                            key = dict(zip(KEY, (repetition, *place), strict=True))
                            rows.append(key | _record(found, audit, view.attributes, reading))
    return pd.DataFrame(rows)


KEY = ("repetition", "model", "design", "judge", "correction", "attributes")


@dataclass(frozen=True)
class _Audit:
    """Images of one model: the occupation of each row ``(R,)``, and images ``(R, S)`` by attribute."""

    model: str
    occupations: NDArray[np.int64]
    images: dict[str, NDArray[np.int64]]
    listed: NDArray[np.int64]


def _audit(setting: Setting, model: str, design: Design, rng: np.random.Generator) -> _Audit:
    listed = setting.images.occupations
    rows = rng.choice(listed, size=len(listed)) if design.resample_concepts else listed
    size = (len(rows), design.templates * design.seeds)
    ladder = models()[model][rows].cumsum(axis=1)[:, None, :-1]
    cells = (rng.random(size)[..., None] > ladder).sum(axis=-1)
    images = setting.images.pick(np.broadcast_to(rows[:, None], size), cells, rng=rng)
    sources = setting.images.sources(images, exchanged=setting.exchanged, rng=rng)
    return _Audit(model, rows, sources, listed)


def neutral_views(setting: Setting, design: Design, *, first: int) -> list[View]:
    """Views of the neutral prompts for each of :data:`SETS`; ``first`` selects the bootstrap stream."""
    count, each = len(setting.images.occupations), design.templates * design.seeds
    layout = arrange(
        np.arange(count * each),
        row=[f"{number:02d}" for number in range(count) for _ in range(each)],
        cluster=[str(number // design.seeds) for _ in range(count) for number in range(each)],
        leaf=[f"{number % design.seeds:04d}" for _ in range(count) for number in range(each)],
    )
    seed = int(stream(setting.seed, "resamples", design.name, str(first)).integers(2**31))
    sampling = Sampling(setting.draws, seed, design.resample_concepts, design.scheme)
    resamples = plain_resamples(layout, "neutral", sampling)
    views = []
    for names in SETS:
        cells = cell_names([TAXONOMIES[name] for name in names])
        shape = tuple(len(TAXONOMIES[name]) for name in names)
        target = np.tile(uniform(len(cells)), (count, 1))
        views.append(View("neutral", names, cells, shape, target, layout, resamples, None))
    return views


def draw_anchors(
    pool: Pool, groups: Sequence[NDArray[np.int64]], *, each: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Anchors ``(len(groups), 12 each)``: ``each`` per joint cell and group of occupations."""
    cells = np.repeat(np.arange(models()["base"].shape[1]), each)
    return np.stack([pool.pick(rng.choice(group, size=len(cells)), cells, rng=rng) for group in groups])


def anchors_by_side(pool: Pool, rng: np.random.Generator) -> NDArray[np.int64]:
    """Anchors ``(2, 300)``: of occupations with a male, and with a female stereotype."""
    listed = pool.occupations
    groups = [listed[sides()[listed] == side] for side in (0, 1)]
    return np.asarray(draw_anchors(pool, groups, each=ANCHORS_PER_CELL, rng=rng))


Matrices = dict[tuple[str, tuple[str, ...], str], tuple[Calibration | Refusal, ...]]
"""Judges, attributes and kinds of strata to the calibrations of all strata.

No entry if one of them is refused, except for occupations, where only some are needed.
"""


def _matrices(setting: Setting, rng: np.random.Generator) -> Matrices:
    """The matrices of all judges from the anchors of this repetition."""
    pool, seed = setting.anchors, int(rng.integers(2**31))
    halves = anchors_by_side(pool, rng)
    single = [np.array([number]) for number in setting.images.occupations]
    whole = {"pooled": halves.reshape(1, -1), "side": halves}
    if any("occupation" in strata for strata in setting.judges.values()):
        whole["occupation"] = draw_anchors(pool, single, each=ANCHORS_PER_OCCUPATION, rng=rng)
    found: Matrices = {}
    sources = {
        kind: [pool.sources(part, exchanged=setting.exchanged, rng=rng) for part in parts]
        for kind, parts in whole.items()
    }
    for (judge, strata), names in product(setting.judges.items(), SETS):
        # Four anchors per joint cell are too few; a gender has 24 in every occupation.
        for kind in strata if len(names) == 1 else [kind for kind in strata if kind != "occupation"]:
            parts = [
                calibrate(
                    counted(pool, anchors, judge, names),
                    judge=judge,
                    attributes=names,
                    taxonomy=TAXONOMIES,
                    draws=setting.draws,
                    seed=seed + number,
                )
                for number, anchors in enumerate(sources[kind])
            ]
            known = [isinstance(part, Calibration) for part in parts]
            if all(known) or (kind == "occupation" and any(known)):
                found[judge, names, kind] = tuple(parts)
    return found


def counted(
    pool: Pool, images: Mapping[str, NDArray[np.int64]], judge: str, attributes: Sequence[str]
) -> pd.DataFrame:
    """The confusion table of one judge on images of a pool, given for each attribute."""
    cells = cell_names([TAXONOMIES[name] for name in attributes])
    table = np.zeros((len(cells), len(cells) + 1))
    np.add.at(table, (pool.truth(attributes, images), pool.labels(judge, attributes, images)), 1)
    rows = [
        (judge, "*".join(attributes), truth, label, table[place])
        for place, (truth, label) in zip(
            product(range(len(cells)), range(len(cells) + 1)),
            product(cells, (*cells, UNDETERMINED)),
            strict=True,
        )
    ]
    return pd.DataFrame(rows, columns=list(CONFUSION_COLUMNS))


def _readings(
    view: View, judge: str, listed: NDArray[np.int64], matrices: Matrices
) -> Iterator[tuple[str, Reading]]:
    """The uncorrected reading, and readings with all corrections that the anchors allow.

    Matrices per stratum need a fixed list of occupations, since the bootstrap does not track resampled ones.
    """
    yield "none", Reading(view, judge, None, 0)
    strata = {"side": sides()[listed], "occupation": np.arange(len(listed))}
    for kind in STRATA:
        known = matrices.get((judge, view.attributes, kind))
        if known is None:
            continue
        if kind not in strata and isinstance(known[0], Calibration):
            yield kind, Reading(view, judge, known[0], 0)
        elif kind in strata and view.resamples.picks is None:
            yield kind, Stratified.of(view, judge, known, strata[kind])


def _score(reading: Reading, codes: NDArray[np.int64]) -> Iterator[Series]:
    view = reading.view
    by_row = view.resamples.picks is None
    table = view.layout.counts(codes.ravel(), len(view.cells))
    counts = Counted(table.sum(axis=1), *view.resamples.of_both(table))
    for found in score_labels(METRICS, reading=reading, counted=counts, method="", by_row=by_row):
        if found.estimate.group in ("", SHOWN_GROUP):
            yield found


def _record(found: Series, audit: _Audit, attributes: Sequence[str], reading: Reading) -> dict[str, Any]:
    row = found.estimate
    kept = audit.listed[reading.corrected] if isinstance(reading, Stratified) else audit.listed
    record = {
        "metric": row.metric,
        "occupations": len(kept),
        "truth": true_value(row.metric, audit.model, attributes, kept),
        "value": row.value,
        "low": row.low,
        "high": row.high,
    }
    if row.metric == "share" and found.by_row:
        known = shares(audit.model, attributes, audit.occupations)[:, 0]
        value, low, high = np.array([(each.value, each.low, each.high) for each in found.by_row]).T
        there = np.isfinite(value)
        record["row_hits"] = float(((low <= known) & (known <= high))[there].mean())
        record["row_error"] = float(((value - known) ** 2)[there].mean())
    return record
