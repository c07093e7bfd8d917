"""What an intervention costs elsewhere: unrelated images that change, occupations that shift unasked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.representation import FloatArray, ratio, shares_of, total_variation
from evenhand.metrics.statistics.uncertainty import ALPHA, FLOOR_DRAWS, fair_tables

DROP_MARGIN = 0.3
"""Points of 100 that the mean CLIP score may drop."""

CHANGE_MARGIN = 0.25
"""Part of the change between two seeds that an unrelated image may change by."""

Embeddings = Mapping[str, NDArray[np.floating]]
"""Image key to its unit vector."""


def seed_distance(vectors: FloatArray) -> FloatArray:
    """Cosine distances of all pairs of ``(n, d)`` unit vectors, such as the seeds of one prompt."""
    first, second = np.triu_indices(len(vectors), k=1)
    return np.asarray(1 - (vectors[first] * vectors[second]).sum(axis=-1))


def preservation_distance(study: Study, embeddings: Embeddings, *, base: str) -> FloatArray:
    """Change of every unrelated image against the base's image of the same prompt and seed, ``(M, S)``.

    ``(1 - cos(base, edited)) / median over the base's prompts of (1 - cos(seed, other seed))``: 0 is
    untouched, 1 is as different as another seed. Lower is better. It cannot tell whether a change is for the
    worse, nor see what the encoder does not. Source: measurement.md 1.19.

    Returns:
        ``nan`` for other kinds of prompts, where either image was not made, and everywhere if no prompt has
        two images of the base to compare.

    Raises:
        EvenhandError: An image that was made has no embedding.
    """
    distance = np.full(study.keys.shape, np.nan)
    slots = np.flatnonzero(study.slots["kind"] == "unrelated")
    reference = study.methods.index(base)
    both = (study.status == "ok") & (study.status[reference] == "ok")
    for row, slot in ((row, slot) for slot in slots for row in range(len(study.methods)) if both[row, slot]):
        pair = study.keys[row, slot], study.keys[reference, slot]
        first, second = (_vector(embeddings, key) for key in pair)
        # The same image is at distance 0 to the last bit, which 1 - v @ v is not: it may even be negative.
        distance[row, slot] = 0.0 if pair[0] == pair[1] else max(0.0, 1 - first @ second)
    return distance / _between_seeds(study, embeddings, reference)


def _between_seeds(study: Study, embeddings: Embeddings, reference: int) -> float:
    slots = study.slots[(study.slots["kind"] == "unrelated") & (study.status[reference] == "ok")]
    pairs = []
    for _, rows in slots.groupby("prompt_id", sort=True):
        vectors = [_vector(embeddings, key) for key in study.keys[reference, rows.index]]
        pairs.append(seed_distance(np.array(vectors)))
    distances = np.concatenate(pairs) if pairs else np.empty(0)
    return float(np.median(distances)) if len(distances) else float("nan")


def _vector(embeddings: Embeddings, key: str) -> FloatArray:
    if key not in embeddings:
        raise EvenhandError(f"image {key!r} of an unrelated prompt has no embedding; embed it")
    return np.asarray(embeddings[key], float)


class Leakage(NamedTuple):
    """Shift ``(O,)`` of occupations that were not edited, and what two samples of one model differ by."""

    shift: FloatArray
    floor: FloatArray


def leakage(base: ArrayLike, edited: ArrayLike, *, rng: np.random.Generator) -> Leakage:
    """Shift of the depicted groups on occupations that a method did not edit, ``TV(p_base, p_edited)``.

    0 to 1, lower is better. Read it beside its floor: the mean TV of two independent samples of the pooled
    shares at these numbers of images. Shared seeds make images alike, so an edit without any effect
    scores below it. It cannot tell a shift towards the target from one away from it.
    Source: measurement.md 1.19.

    Args:
        base: ``(O, K)`` decided images of the base.
        edited: The same of the edited model.
        rng: Random stream.
    """
    base, edited = np.asarray(base, float), np.asarray(edited, float)
    pooled = shares_of(base + edited)
    known = ~np.isnan(pooled).any(axis=-1)
    floor = np.full(len(base), np.nan)
    first, second = (
        shares_of(fair_tables(counts[known].sum(axis=-1), pooled[known], draws=FLOOR_DRAWS, rng=rng))
        for counts in (base, edited)
    )
    floor[known] = total_variation(first, second).mean(axis=0)
    return Leakage(total_variation(shares_of(base), shares_of(edited)), floor)


class Preservation(NamedTuple):
    """Outcome of the non-inferiority rule.

    Attributes:
        drop: Mean drop of the CLIP score, in points of 100.
        most: Upper 95 % bound of it (one-sided).
        change: Median change of unrelated images over the median between two seeds of the base.
        preserved: Whether both margins hold.
    """

    drop: float
    most: float
    change: float
    preserved: bool


def preserved(
    drops: ArrayLike,
    *,
    changes: ArrayLike,
    between_seeds: ArrayLike,
    drop_margin: float = DROP_MARGIN,
    change_margin: float = CHANGE_MARGIN,
) -> Preservation:
    """Whether unrelated prompts are preserved: not shown to be worse than the margins.

    The one-sided upper 95 % bound of the mean drop must lie below ``drop_margin``, and the median change
    below ``change_margin`` times the median change between two seeds. Too few captions fail it. The margins
    are a convention; LPIPS depends on the size of the images, so state it.
    Source: measurement.md 1.19.

    Args:
        drops: ``(n,)`` CLIP score of the base minus that of the edited model, one per caption, points of 100.
        changes: ``(m,)`` LPIPS (or another distance) of base and edited image at one seed.
        between_seeds: ``(k,)`` the same distance of two seeds of the base.
        drop_margin: Points that may be lost.
        change_margin: Part of the distance between seeds.

    Raises:
        EvenhandError: Fewer than two captions, or no change to look at.
    """
    drops, changes, between = (np.asarray(each, float) for each in (drops, changes, between_seeds))
    if len(drops) < 2 or not len(changes) or not len(between):
        raise EvenhandError(
            f"{len(drops)} captions, {len(changes)} changes and {len(between)} pairs of seeds; "
            "preservation needs two captions and one of each"
        )
    error = drops.std(ddof=1) / np.sqrt(len(drops))
    most = float(drops.mean() + t.ppf(1 - ALPHA, len(drops) - 1) * error)
    change = float(ratio(np.median(changes), np.median(between)))
    kept = most < drop_margin and change < change_margin
    return Preservation(float(drops.mean()), most, change, kept)
