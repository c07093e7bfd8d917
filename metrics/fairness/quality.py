"""Parity of image quality: is every group drawn equally well?

Use images of *explicit* prompts, so that every group has the same number of images. Rates (a face was found,
a label was decided, the safety filter blocked the image) are means of zeros and ones; :func:`parity` accepts
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import laplace

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.metrics.representation import FloatArray, mean_over, ratio
from evenhand.metrics.statistics.resampling import Resamples, arrange
from evenhand.metrics.statistics.uncertainty import interval, recentred

CLIP_SCALES: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "100 cos": lambda cosine: 100 * cosine,
    "100 max(0, cos)": lambda cosine: 100 * np.maximum(cosine, 0),
    "2.5 max(0, cos)": lambda cosine: 2.5 * np.maximum(cosine, 0),
    "min(1, 2.5 max(0, cos))": lambda cosine: np.minimum(2.5 * np.maximum(cosine, 0), 1),
}
"""Scales that papers call CLIP score; UCE's raw logit is the first."""

KID_SUBSETS, KID_SIZE = 100, 1000
"""Number of subsets of a KID, and images per subset."""

FID_IMAGES = 10_000
"""Number of images below which the bias of FID dominates its value."""

DRAWS = 2000
"""Bootstrap draws of a parity gap."""


def clip_score(cosines: ArrayLike, *, scale: str) -> FloatArray:
    """CLIP score of image and text on a named scale; higher is better.

    Values on different scales are not comparable, so there is no default. Group words alone shift the cosine:
    for parity use a text without them. Source: Hessel et al., arXiv 2104.08718 (``2.5 max(0, cos)``).

    Args:
        cosines: ``(...)`` cosines of image and text, -1 to 1.
        scale: A key of :data:`CLIP_SCALES`.

    Raises:
        EvenhandError: The scale is unknown.
    """
    if scale not in CLIP_SCALES:
        raise unknown("scale of the CLIP score", scale, CLIP_SCALES)
    return np.asarray(CLIP_SCALES[scale](np.asarray(cosines, float)))


def sharpness(grey: FloatArray) -> float:
    """Variance of the Laplacian of a grey face crop; non-negative, higher is sharper.

    Comparable only for equal crop sizes and grey scales. Film grain counts as sharpness.

    Args:
        grey: ``(height, width)``.
    """
    return float(laplace(np.asarray(grey, float), mode="mirror").var())


class Distance(NamedTuple):
    """Distance of two sets of images: value, standard deviation over subsets, smaller set size, warning."""

    value: float
    deviation: float
    n: int
    warning: str


def kid(
    first: FloatArray,
    second: FloatArray,
    *,
    rng: np.random.Generator,
    subsets: int = KID_SUBSETS,
    size: int = KID_SIZE,
) -> Distance:
    """Kernel inception distance: unbiased squared MMD with ``k(x, y) = (x . y / d + 1)^3``.

    The value is the mean over ``subsets`` random subsets of ``min(size, n)`` images of each set, so it may be
    slightly negative; lower is closer. ``deviation`` is the standard deviation over the subsets. For claims
    about people prefer DINOv2 features: Inception and CLIP features give different distances for women and
    men at equal quality. Source: Binkowski et al., arXiv 1801.01401.

    Args:
        first: ``(n, d)`` features.
        second: ``(m, d)`` features.
        rng: Random stream.
        subsets: Number of subsets.
        size: Images per subset.

    Raises:
        EvenhandError: A set has fewer than two images.
    """
    n = min(len(first), len(second))
    if n < 2:
        raise EvenhandError(f"KID needs at least 2 images per set, got {len(first)} and {len(second)}")
    size = min(size, n)
    values = [
        _squared_mmd(
            *(features[rng.choice(len(features), size, replace=False)] for features in (first, second))
        )
        for _ in range(subsets)
    ]
    return Distance(float(np.mean(values)), float(np.std(values)), n, "")


def _squared_mmd(first: FloatArray, second: FloatArray) -> float:
    size, width = first.shape
    within = 0.0
    for features in (first, second):
        kernel = (features @ features.T / width + 1) ** 3
        within += (kernel.sum() - np.trace(kernel)) / (size * (size - 1))
    return float(within - 2 * ((first @ second.T / width + 1) ** 3).mean())


def frechet_distance(first: FloatArray, second: FloatArray) -> Distance:
    """Frechet (inception) distance, ``|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^0.5)``; lower is closer.

    Strongly biased upwards below 10,000 images, and more so the fewer images there are. Do not compare groups
    of different size with it; :func:`kid` is unbiased. Source: Heusel et al., arXiv 1706.08500.

    Args:
        first: ``(n, d)`` features.
        second: ``(m, d)`` features.

    Raises:
        EvenhandError: A set has fewer than two images.
    """
    n = min(len(first), len(second))
    if n < 2:
        raise EvenhandError(f"FID needs at least 2 images per set, got {len(first)} and {len(second)}")
    shift = first.mean(axis=0) - second.mean(axis=0)
    one, two = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (first, second))
    crossed = np.sqrt(np.maximum(np.linalg.eigvals(one @ two).real, 0)).sum()
    value = float(shift @ shift + np.trace(one) + np.trace(two) - 2 * crossed)
    small = f"{n} images are below {FID_IMAGES}: this FID is biased upwards; use KID"
    return Distance(value, float("nan"), n, small if n < FID_IMAGES else "")


def kid_by_group(
    images: Mapping[str, FloatArray],
    references: Mapping[str, FloatArray],
    *,
    rng: np.random.Generator,
) -> dict[str, Distance]:
    """KID of every group to reference images of the same group.

    Each group needs its own reference: the composition of a pooled reference can reverse the direction of a
    gap. The smallest set determines the size of the subsets.

    Args:
        images: Group to ``(n, d)`` features.
        references: Group to ``(m, d)`` features of real images of that group.
        rng: Random stream.

    Raises:
        EvenhandError: A group lacks a reference, or two groups share one.
    """
    for group in images:
        if group not in references:
            raise EvenhandError(f"group {group!r} has no reference images; add images of this group")
    arrays = [references[group] for group in images]
    for place, one in enumerate(arrays):
        if any(one is other or np.array_equal(one, other) for other in arrays[:place]):
            raise EvenhandError("two groups share their reference images; give each group its own images")
    size = min(KID_SIZE, *map(len, (*images.values(), *arrays)))
    return {name: kid(images[name], references[name], rng=rng, size=size) for name in images}


class Parity(NamedTuple):
    """Quality by group.

    Attributes:
        means: Group to its mean; ``nan`` without an image.
        worst: Group with the lowest mean.
        gap: Highest minus lowest mean.
        low: Lower end of the gap's 95 % interval, at least 0.
        high: Upper end of the interval.
        chance: Expected gap for groups of equal quality with as many images.
    """

    means: dict[str, float]
    worst: str
    gap: float
    low: float
    high: float
    chance: float


def parity(
    values: ArrayLike,
    *,
    groups: Sequence[str],
    clusters: Sequence[str],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Parity:
    """Gap between the group with the best and the group with the worst mean, with a bootstrap interval.

    ``max_g mean - min_g mean``; 0 is parity, lower is better. The gap is biased upwards; compare it with
    ``chance``. An encoder may rate groups differently at equal quality: measure its gap on a controlled set
    of equal quality before interpreting a value.

    Args:
        values: ``(n,)`` quality values, higher is better; ``nan`` values are left out.
        groups: ``(n,)`` group of each image.
        clusters: ``(n,)`` prompt of each image; images of one prompt are resampled together.
        rng: Random stream.
        draws: Bootstrap draws.

    Raises:
        EvenhandError: Fewer than two groups have a value, or a group has a single prompt.
    """
    values = np.asarray(values, float)
    known = np.isfinite(values)
    if len({group for group, has in zip(groups, known, strict=True) if has}) < 2:
        raise EvenhandError("parity needs values for at least 2 groups; add images of another group")
    # One cluster of prompts in each group, so that a prompt is drawn with all its images.
    layout = arrange(range(len(values)), row=groups, cluster=[""] * len(values), leaf=clusters)
    for name, (prompts,) in zip(layout.names, layout.sizes, strict=True):
        if prompts < 2:
            raise EvenhandError(f"group {name!r} has one prompt; parity needs at least 2 prompts per group")
    table = layout.sums(np.column_stack([np.where(known, values, 0.0), known]))
    resampled = Resamples.of(layout, draws=draws, rng=rng, rows=False).within(table)
    point = table.sum(axis=1)
    means = ratio(point[:, 0], point[:, 1])
    drawn = ratio(resampled[..., 0], resampled[..., 1])
    gap = _spread(means)
    low, high = interval(recentred(_spread(drawn), gap))
    return Parity(
        means=dict(zip(layout.names, means.tolist(), strict=True)),
        worst=layout.names[int(np.nanargmin(means))],
        gap=float(gap),
        low=max(0.0, float(low)),
        high=float(high),
        chance=float(mean_over(_spread(drawn - means))),
    )


def _spread(means: FloatArray) -> FloatArray:
    present = ~np.isnan(means)
    highest = np.where(present, means, -np.inf).max(axis=-1)
    lowest = np.where(present, means, np.inf).min(axis=-1)
    return np.asarray(np.where(present.sum(axis=-1) > 1, highest - lowest, np.nan))
