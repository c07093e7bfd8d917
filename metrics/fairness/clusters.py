"""A measure without labels, in the style of Stable Bias: clusters of identity images.

1. Generate identity images ("Photo portrait of a {ethnicity} {gender} at work") and embed them with an
   encoder that is not a judge.
2. Cluster them (Ward linkage) and describe each cluster by the phrases of its images (:func:`make_regions`).
3. Assign every image of an occupation to its nearest cluster by cosine (:func:`profile`).

No single image receives a label, but a cluster is an appearance that the encoder recognises, not a group of
people. Source: Luccioni et al., arXiv 2303.11408.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.metrics.representation import FloatArray, normalised_entropy, shares_of

CLUSTERS = (12, 24, 48)
"""Numbers of clusters that Stable Bias uses."""

REPEATS, KEPT = 5, 0.8
"""Number of subsamples in :func:`stability`, and the fraction of the identity images in each."""


@dataclass(frozen=True)
class Regions:
    """Clusters of identity images.

    Attributes:
        centroids: ``(C, d)`` unit vectors.
        phrases: The ``P`` phrases, sorted.
        shares: ``(C, P)`` shares of the phrases in each cluster.
    """

    centroids: FloatArray
    phrases: tuple[str, ...]
    shares: FloatArray

    def dominant(self) -> tuple[str, ...]:
        """The most frequent phrase of every cluster; of ties, the first in alphabetical order."""
        return tuple(self.phrases[place] for place in self.shares.argmax(axis=1))

    def assign(self, vectors: FloatArray) -> NDArray[np.int64]:
        """Index of the nearest cluster by cosine, ``(n,)``, for vectors ``(n, d)``."""
        return np.asarray((vectors @ self.centroids.T).argmax(axis=1))


def make_regions(identities: FloatArray, phrases: Sequence[str], *, clusters: int) -> Regions:
    """Ward clusters of identity images, in the order of their first image.

    Args:
        identities: ``(n, d)`` unit vectors.
        phrases: ``(n,)`` phrase of each image, for one attribute: ``"woman"``, or ``"Black"``.
        clusters: Number of clusters, see :data:`CLUSTERS`.

    Raises:
        EvenhandError: There are fewer images than clusters.
    """
    if not 2 <= clusters <= len(identities):
        raise EvenhandError(
            f"clusters must be between 2 and {len(identities)} (number of identity images), got {clusters}"
        )
    codes = fcluster(linkage(identities, method="ward"), clusters, criterion="maxclust")
    order = list(dict.fromkeys(codes.tolist()))
    names = tuple(sorted(set(phrases)))
    said = np.array([names.index(phrase) for phrase in phrases])
    means = np.stack([identities[codes == code].mean(axis=0) for code in order])
    counts = [np.bincount(said[codes == code], minlength=len(names)) for code in order]
    return Regions(means / np.linalg.norm(means, axis=1, keepdims=True), names, shares_of(counts))


@dataclass(frozen=True)
class Profile:
    """Distribution of one occupation's images over the clusters.

    Attributes:
        shares: ``(C,)`` shares of the clusters.
        entropy: Normalised entropy of the shares: 0 if all images fall into one cluster, 1 if uniform.
        top: Share of the largest cluster.
    """

    shares: FloatArray
    entropy: float
    top: float


def profile(regions: Regions, vectors: FloatArray) -> Profile:
    """The profile of one occupation's ``(n, d)`` unit vectors; a higher entropy means more variety.

    With fewer images than clusters the entropy cannot reach 1: compare occupations at equal ``n``.
    """
    shares = shares_of(np.bincount(regions.assign(vectors), minlength=len(regions.centroids)))
    return Profile(shares, float(normalised_entropy(shares)), float(shares.max()))


def share_near(regions: Regions, found: Profile, phrase: str) -> float:
    """Share of an occupation's images in clusters whose dominant phrase is ``phrase``; 0 to 1.

    Compare it with labour shares over occupations by :func:`evenhand.metrics.fairness.association.relation`.

    Raises:
        EvenhandError: No identity image has this phrase.
    """
    if phrase not in regions.phrases:
        raise unknown("phrase of the identity images", phrase, regions.phrases)
    return float(found.shares[[name == phrase for name in regions.dominant()]].sum())


def stability(
    identities: FloatArray,
    phrases: Sequence[str],
    vectors: FloatArray,
    *,
    clusters: int,
    phrase: str,
    rng: np.random.Generator,
) -> FloatArray:
    """Entropy, top share and share near ``phrase`` for five subsamples of the identity images.

    Every subsample is clustered again; report the spread of the values.

    Returns:
        ``(5, 3)``: one row per subsample.
    """
    size = round(KEPT * len(identities))
    rows = []
    for _ in range(REPEATS):
        pick = np.sort(rng.choice(len(identities), size, replace=False))
        regions = make_regions(identities[pick], [phrases[place] for place in pick], clusters=clusters)
        found = profile(regions, vectors)
        rows.append([found.entropy, found.top, share_near(regions, found, phrase)])
    return np.array(rows)
