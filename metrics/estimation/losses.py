"""What every method loses against the baseline on the same prompts and noise, with one-sided bounds.

These rows decide the gates: an upper bound below the margin excludes a harm, a lower bound above it proves
one. Labels are those of the panel, uncorrected. An undetermined image counts as not right, so that a method
gains nothing from images that cannot be labelled.

Judge errors shrink a loss: if the panel labels images of a group with that group at the rate ``s`` and images
of other groups at the rate ``e``, whatever the method, a true loss ``d`` of fidelity or of over-correction is
measured as ``(s - e) d``: 0.9 of it for a judge that errs in 5 % of the images either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.rows import LossRow
from evenhand.metrics.statistics.paired_loss import (
    LEVEL,
    clusters_to_decide,
    level_at,
    loss_lower,
    loss_upper,
    mean_loss,
    pairs_to_decide,
)

MARGIN = 0.05
"""Loss that a method may have, as a share of the images: of an attribute's mean, and of all definitions."""

GROUP_MARGIN = 0.10
"""Loss that a method may have in a single group of an attribute."""

ALIGNMENT_MARGIN = 0.10
"""Loss of alignment that a method may have, relative to the baseline's mean.

Scorers differ in scale and spread, so a margin in points of cosine would mean something else for each.
"""

COUNTED = ("neutral", "explicit")
"""Kinds of prompts whose undetermined images are compared."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pairing:
    """Which methods are compared, and at which error levels.

    Attributes:
        study: The tables.
        base: The baseline.
        resample_concepts: Whether alignment is a claim about concepts like these, or about these prompts.
        look: Look of a run until decided, from 1; 0 where the number of images was fixed beforehand.
    """

    study: Study
    base: str
    resample_concepts: bool = True
    look: int = 0

    @property
    def reference(self) -> int:
        """Place of the baseline among the methods."""
        return self.study.methods.index(self.base)

    @property
    def attributes(self) -> list[str]:
        """The attributes that the panel labels."""
        return [name for name in self.study.taxonomy if (PANEL, name) in self.study.codes]

    def kind(self, name: str) -> Mask:
        """``(S,)``: the slots of one kind of prompts."""
        return (self.study.slots["kind"] == name).to_numpy()

    def level(self, kind: str) -> float:
        """Error level of the bounds; images of explicit prompts alone grow from look to look."""
        return level_at(self.look) if self.look and kind == "explicit" else LEVEL

    def asked(self, attribute: str) -> NDArray[np.int64]:
        """``(S,)``: index of the group that the slot's prompt names or defines, or -1."""
        places = {group: place for place, group in enumerate(self.study.taxonomy[attribute])}
        groups = self.study.slots["groups"]
        return np.array([places.get(named.get(attribute, ""), -1) for named in groups], dtype=np.int64)


def losses_of(
    study: Study, *, base: str | None, resample_concepts: bool = True, look: int = 0
) -> dict[str, list[LossRow]]:
    """Method to its losses against the baseline; empty for the baseline, and nothing without one.

    Args:
        study: The tables; all methods have the same slots.
        base: The baseline.
        resample_concepts: Whether the alignment of neutral prompts is a claim about concepts like these.
        look: Look of a run until decided; 0 where the number of images was fixed.
    """
    if base is None:
        return {}
    pairing = Pairing(study, base, resample_concepts, look)
    parts = (_fidelity(pairing), _undetermined(pairing), _over_correction(pairing), _alignment(pairing))
    by_method = zip(*(rows for part in parts for rows in part), strict=True)
    found = dict(zip(study.methods, map(list, by_method), strict=False))
    return {method: found.get(method, []) if method != base else [] for method in study.methods}


@dataclass(frozen=True)
class _Comparison:
    """One row of every method: which images are right, and what the row is called."""

    quantity: str
    kind: str
    right: Mask
    margin: float = MARGIN
    attributes: str = ""
    group: str = ""


def _fidelity(pairing: Pairing) -> Iterator[list[LossRow]]:
    """Explicit prompts that name the attribute: all of them, and those of each group."""
    study, explicit = pairing.study, pairing.kind("explicit")
    found = []
    for name in pairing.attributes:
        asked = pairing.asked(name)
        right = study.codes[PANEL, name] == asked
        named = explicit & (asked >= 0)
        masks = [("", named, MARGIN)]
        masks += [(g, named & (asked == k), GROUP_MARGIN) for k, g in enumerate(study.taxonomy[name])]
        found += [
            _Comparison("explicit_fidelity", "explicit", right[:, mask], margin, name, group)
            for group, mask, margin in masks
            if mask.any()
        ]
    return _paired(found, pairing)


def _undetermined(pairing: Pairing) -> Iterator[list[LossRow]]:
    study = pairing.study
    found = [
        _Comparison("undetermined", kind, decided[:, pairing.kind(kind)], attributes=name)
        for name in pairing.attributes
        for decided in [study.codes[PANEL, name] < len(study.taxonomy[name])]
        for kind in COUNTED
        if pairing.kind(kind).any()
    ]
    return _paired(found, pairing)


def _over_correction(pairing: Pairing) -> Iterator[list[LossRow]]:
    """Definitional prompts: images that are right in all that the prompt defines."""
    study = pairing.study
    right, named = np.ones(study.keys.shape, bool), np.zeros(len(study.slots), bool)
    for name in pairing.attributes:
        asked = pairing.asked(name)
        right &= (asked < 0) | (study.codes[PANEL, name] == asked)
        named |= asked >= 0
    named &= pairing.kind("over_correction")
    found = [_Comparison("over_correction", "over_correction", right[:, named])] if named.any() else []
    return _paired(found, pairing)


def _paired(comparisons: Sequence[_Comparison], pairing: Pairing) -> Iterator[list[LossRow]]:
    """The rows of a gate, one list over methods for each; lower bounds hold for all of its rows together."""
    for one in comparisons:
        before, after = one.right[pairing.reference], one.right
        n, level = len(before), pairing.level(one.kind)
        lost, gained = (before & ~after).sum(axis=1), (~before & after).sum(axis=1)
        levels = level / len(comparisons), level
        numbers = np.column_stack(
            [
                (lost - gained) / n,
                loss_lower(lost, gained, n, level=levels[0]),
                loss_upper(lost, gained, n, level=levels[1]),
                pairs_to_decide(lost, gained, n, margin=one.margin, levels=levels),
            ]
        )
        yield [
            LossRow(
                quantity=one.quantity,
                kind=one.kind,
                attributes=one.attributes,
                group=one.group,
                value=value,
                low=low,
                high=high,
                n=n,
                margin=one.margin,
                needed=needed,
                look=pairing.look if one.kind == "explicit" else 0,
            )
            for value, low, high, needed in numbers.tolist()
        ]


def _alignment(pairing: Pairing) -> Iterator[list[LossRow]]:
    """The mean loss of alignment on neutral prompts and on unrelated ones, relative to the baseline's mean.

    A failed image of the method has lost all alignment of the baseline's; without a score of the baseline
    there is no pair. Scorers prefer some groups, so scores are freed of what the baseline's images of a
    perceived group score above or below its others. What the scorer prefers in some concepts only, such as
    men for "a photo of a mechanic", remains: the margin leaves room for it (docs/metrics.md).
    """
    scores = pairing.study.columns.get("alignment")
    if scores is None:
        return
    for kind in ("neutral", "unrelated"):
        raw = scores[pairing.reference]
        kept = pairing.kind(kind) & np.isfinite(raw)
        if kept.any():
            freed = scores - _preference(pairing, kept) if kind == "neutral" else scores
            before = freed[pairing.reference]
            concepts = kind == "neutral" and pairing.resample_concepts
            clusters = pairing.study.slots.loc[kept, "concept" if concepts else "prompt_id"]
            place = pd.factorize(clusters)[0]
            wholes = _sums(raw[kept], place)
            yield [
                _aligned(kind, _sums(lost, place), wholes, int(kept.sum()))
                for lost in before[kept] - np.nan_to_num(freed[:, kept], nan=0.0)
            ]


def _preference(pairing: Pairing, kept: Mask) -> FloatArray:
    """``(M, S)``: what the scorer adds to images for their perceived groups, in the baseline's images.

    Least squares of the baseline's scores on its groups, one effect for each group of each attribute, with
    one level for each concept (Mundlak, 1961). The effects of an attribute add up to zero over its groups.
    An undetermined image has no effect, so that images in which nothing can be recognised stay a loss.
    """
    study = pairing.study
    sizes = [len(study.taxonomy[name]) for name in pairing.attributes]
    members = [
        study.codes[PANEL, name] == group
        for name, size in zip(pairing.attributes, sizes, strict=True)
        for group in range(size)
    ]
    if not members:
        return np.zeros(study.keys.shape)
    groups = np.stack(members, axis=-1).astype(float)
    scores = study.columns["alignment"][pairing.reference, kept]
    seen = np.column_stack([groups[pairing.reference, kept], scores])
    concept = pd.factorize(study.slots.loc[kept, "concept"])[0]
    means = np.stack([_sums(column, concept) for column in seen.T], axis=-1) / np.bincount(concept)[:, None]
    within = seen - means[concept]
    effects = np.linalg.lstsq(within[:, :-1], within[:, -1], rcond=1e-9)[0]
    centred = [part - part.mean() for part in np.split(effects, np.cumsum(sizes)[:-1])]
    return np.asarray(groups @ np.concatenate(centred))


def _sums(values: FloatArray, place: NDArray[np.int64]) -> FloatArray:
    return np.asarray(np.bincount(place, weights=values), float)


def _aligned(kind: str, losses: FloatArray, wholes: FloatArray, n: int) -> LossRow:
    value, low, high, spread = mean_loss(losses, wholes, levels=(LEVEL, LEVEL))
    clusters = clusters_to_decide(value, spread=spread, margin=ALIGNMENT_MARGIN)
    return LossRow(
        quantity="alignment",
        kind=kind,
        attributes="",
        group="",
        value=value,
        low=low,
        high=high,
        n=n,
        margin=ALIGNMENT_MARGIN,
        needed=float(np.ceil(clusters * n / len(wholes))),
    )
