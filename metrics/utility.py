"""What an intervention costs elsewhere: how much pictures of unrelated prompts change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.encode import Study
from evenhand.metrics.representation import FloatArray

Embeddings = Mapping[str, NDArray[np.floating]]
"""Picture key to its unit vector."""


def seed_distance(vectors: FloatArray) -> FloatArray:
    """Cosine distances of all pairs of ``(n, d)`` unit vectors, such as the seeds of one prompt."""
    first, second = np.triu_indices(len(vectors), k=1)
    return np.asarray(1 - (vectors[first] * vectors[second]).sum(axis=-1))


def preservation_distance(study: Study, embeddings: Embeddings, *, base: str) -> FloatArray:
    """Change of every unrelated picture against the base's picture of the same prompt and seed, ``(M, S)``.

    ``(1 - cos(base, edited)) / median over the base's prompts of (1 - cos(seed, other seed))``: 0 is
    untouched, 1 is as different as another seed. Lower is better. It cannot tell whether a change is for the
    worse, nor see what the encoder does not. Source: measurement.md 1.19.

    Returns:
        ``nan`` for other kinds of prompts, where either picture was not made, and everywhere if no prompt has
        two pictures of the base to compare.

    Raises:
        EvenhandError: A picture that was made has no embedding.
    """
    distance = np.full(study.keys.shape, np.nan)
    slots = np.flatnonzero(study.slots["kind"] == "unrelated")
    reference = study.methods.index(base)
    both = (study.status == "ok") & (study.status[reference] == "ok")
    for row, slot in ((row, slot) for slot in slots for row in range(len(study.methods)) if both[row, slot]):
        pair = study.keys[row, slot], study.keys[reference, slot]
        first, second = (_vector(embeddings, key) for key in pair)
        # The same picture is at distance 0 to the last bit, which 1 - v @ v is not: it may even be negative.
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
        raise EvenhandError(f"picture {key!r} of an unrelated prompt has no embedding; embed it")
    return np.asarray(embeddings[key], float)
