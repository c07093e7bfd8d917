"""Diversity of the images of one group: Vendi score, pairwise distances, MS-SSIM.

A method may draw every group equally often and still draw one of them as a single stereotype. All values
depend on the encoder and on the number of images: compare groups at equal ``n`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import convolve1d
from scipy.special import entr

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray

REPEATS = 20
"""Subsamples at equal ``n`` over which a Vendi score is averaged."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the five scales of MS-SSIM."""

SMALLEST_SIDE = 161
"""Shortest image side, in pixels, for five scales with an 11-pixel window."""


def vendi_of_kernel(kernel: FloatArray) -> float:
    """Vendi score ``exp(-sum_i l_i ln l_i)``, ``l`` the eigenvalues of ``kernel / n``.

    Range 1 (all alike) to ``n`` (all different): the effective number of different images. Higher is more
    diverse. Variety of the background counts like variety of the people.
    Source: Friedman and Dieng, arXiv 2210.02410 (order 1).

    Args:
        kernel: ``(n, n)`` similarities, symmetric, positive semi-definite, ones on the diagonal.

    Raises:
        EvenhandError: The matrix is not such a kernel.
    """
    kernel = np.asarray(kernel, float)
    if not len(kernel) or not np.allclose(np.diag(kernel), 1) or not np.allclose(kernel, kernel.T):
        raise EvenhandError(
            f"kernel of shape {kernel.shape} must be non-empty and symmetric with ones on its diagonal"
        )
    values = np.linalg.eigvalsh(kernel / len(kernel))
    return float(np.exp(entr(np.maximum(values, 0)).sum()))


def vendi_score(vectors: FloatArray) -> float:
    """:func:`vendi_of_kernel` of the cosines of ``(n, d)`` unit vectors."""
    return vendi_of_kernel(vectors @ vectors.T)


def vendi_at_equal_n(
    groups: Mapping[str, FloatArray], *, rng: np.random.Generator, n: int | None = None
) -> dict[str, float]:
    """Mean Vendi score of subsamples of the same size from every group.

    Args:
        groups: Group to the ``(n_g, d)`` unit vectors of its images.
        rng: Random stream.
        n: Size of the subsamples; by default the size of the smallest group.

    Raises:
        EvenhandError: There is no group, or one has fewer than ``n`` images, or fewer than two.
    """
    if not groups:
        raise EvenhandError("Vendi score: no group is given; give the vectors of at least one")
    smallest = min(groups, key=lambda name: len(groups[name]))
    size = len(groups[smallest]) if n is None else n
    if size < 2 or len(groups[smallest]) < size:
        raise EvenhandError(
            f"group {smallest!r} has {len(groups[smallest])} images and needs {max(size, 2)}; add images"
        )
    found = {}
    for name, vectors in groups.items():
        # A group of exactly this size has only one subsample.
        repeats = 1 if len(vectors) == size else REPEATS
        picks = [rng.choice(len(vectors), size, replace=False) for _ in range(repeats)]
        found[name] = float(np.mean([vendi_score(vectors[pick]) for pick in picks]))
    return found


def homogenisation(
    groups: Mapping[str, FloatArray], *, reference: str, rng: np.random.Generator, n: int | None = None
) -> dict[str, float]:
    """Vendi score of each group divided by that of the reference group, at equal ``n``.

    Range ``1/n`` to ``n``; 1 is parity. Below 1 the group is drawn with less variety than the reference. An
    encoder trained on more images of one group separates them better and favours that group.
    Source: defined by Evenhand; racial homogenisation is documented in arXiv 2402.01002.

    Args:
        groups: Group to its ``(n_g, d)`` unit vectors.
        reference: Group in the denominator.
        rng: Random stream.
        n: As in :func:`vendi_at_equal_n`.

    Raises:
        EvenhandError: The reference group is unknown, or a group is too small.
    """
    if reference not in groups:
        raise EvenhandError(f"reference group {reference!r} has no images; groups: {', '.join(groups)}")
    scores = vendi_at_equal_n(groups, rng=rng, n=n)
    return {name: score / scores[reference] for name, score in scores.items()}


class Pairwise(NamedTuple):
    """Mean of a measure over all ``pairs`` of images; ``nan`` for fewer than two images."""

    mean: float
    pairs: int


def mean_pairwise(images: Sequence[Any], measure: Callable[[Any, Any], float]) -> Pairwise:
    """Mean of ``measure`` over all pairs of images.

    With LPIPS a higher mean is more diverse, with :func:`ms_ssim` a lower one. Pairs share images and are not
    independent draws.

    Args:
        images: Images in the form that ``measure`` takes.
        measure: A symmetric distance or similarity of two images.
    """
    values = [measure(first, second) for first, second in combinations(images, 2)]
    return Pairwise(float(np.mean(values)) if values else float("nan"), len(values))


def ms_ssim(first: FloatArray, second: FloatArray) -> float:
    """Multi-scale structural similarity of two grey images, five scales; 0 to 1, 1 for identical images.

    Contrast terms below 0 count as 0. A lower mean between the images of a group is more diverse.
    Source: Wang, Simoncelli and Bovik 2003.

    Args:
        first: ``(height, width)`` in ``[0, 1]``, the shorter side at least 161 pixels.
        second: A second image of the same shape.

    Raises:
        EvenhandError: The images differ in size or are too small for five scales.
    """
    if first.shape != second.shape or min(first.shape) < SMALLEST_SIDE:
        raise EvenhandError(
            f"MS-SSIM needs two images of equal size and at least {SMALLEST_SIDE} pixels on each side, got "
            f"{first.shape} and {second.shape}"
        )
    product = 1.0
    for number, weight in enumerate(SCALE_WEIGHTS, start=1):
        similarity, contrast = _ssim(first, second)
        last = number == len(SCALE_WEIGHTS)
        product *= max(similarity if last else contrast, 0.0) ** weight
        first, second = (_halved(each) for each in (first, second))
    return product


def _ssim(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """Mean similarity and mean contrast term under an 11-pixel Gaussian window, without borders."""
    blurred = [_blur(each) for each in (first, second, first**2, second**2, first * second)]
    mean_1, mean_2 = blurred[:2]
    square_1, square_2, cross = blurred[2] - mean_1**2, blurred[3] - mean_2**2, blurred[4] - mean_1 * mean_2
    contrast = (2 * cross + 0.03**2) / (square_1 + square_2 + 0.03**2)
    light = (2 * mean_1 * mean_2 + 0.01**2) / (mean_1**2 + mean_2**2 + 0.01**2)
    return float((light * contrast).mean()), float(contrast.mean())


def _blur(image: FloatArray) -> FloatArray:
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    rows: FloatArray = convolve1d(convolve1d(image, window, axis=0), window, axis=1)
    return rows[5:-5, 5:-5]


def _halved(image: FloatArray) -> FloatArray:
    """Means of 2 x 2 blocks; an odd side repeats its last row, so that 161 pixels suffice for five scales."""
    height, width = (side % 2 for side in image.shape)
    even = np.pad(image, ((0, height), (0, width)), mode="edge")
    return np.asarray(even.reshape(even.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3)))
