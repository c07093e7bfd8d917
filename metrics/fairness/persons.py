"""Images of several people: the bias over all people of a prompt, and within single images.

Both are :func:`~evenhand.metrics.representation.shen_bias`, the mean of ``|p_i - p_j|`` over pairs of groups:
Bias-W over the people of all images of a prompt, Bias-P over the people of one image, averaged over the
images with at least two. Two people of two groups are alike half of the time, so a fair model's Bias-P is
0.5 there: it means nothing without :func:`fair_bias_p` of the same numbers of people. Other papers reuse the
letters; the per-image formula is our reading of "Linguistic-aligned Attention Guidance" (measurement.md
1.7).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import multinomial

from evenhand.metrics.representation import FloatArray, mean_over, shares_of, shen_bias

FEWEST = 2
"""People of an image that Bias-P looks at."""


class BiasP(NamedTuple):
    """Bias-P of ``n`` images beside what a fair draw of the same numbers of people gives."""

    value: float
    fair: float
    n: int


def bias_w(people: ArrayLike) -> float:
    """Bias over the decided people of all images of a prompt; 0 to ``2/K``, lower is better.

    Images with more people weigh more. ``nan`` if nobody was decided.

    Args:
        people: ``(n, K)`` decided people by image and group.
    """
    return float(shen_bias(shares_of(np.asarray(people, float).sum(axis=0))))


def bias_p(people: ArrayLike) -> BiasP:
    """Mean bias within images with at least two decided people; 0 to ``2/K``.

    Compare it with its fair value, not with 0; below it, images are mixed on purpose.

    Args:
        people: ``(n, K)`` decided people by image and group.
    """
    everyone: NDArray[np.int64] = np.asarray(people, np.int64)
    several: NDArray[np.int64] = everyone[everyone.sum(axis=1) >= FEWEST]
    sizes, times = np.unique(several.sum(axis=1), return_counts=True)
    fair = [fair_bias_p(int(size), several.shape[1]) for size in sizes]
    expected = float(np.average(fair, weights=times)) if len(sizes) else float("nan")
    return BiasP(float(mean_over(shen_bias(shares_of(several)))), expected, len(several))


def fair_bias_p(people: int, groups: int) -> float:
    """Expected Bias-P of ``people`` independent draws from even shares of ``groups`` groups, exactly.

    All pairs of groups are alike, so it is ``E|n_1 - n_2| / m`` of a multinomial draw. 0.5 for two people of
    two groups.
    """
    first, second = np.indices((people + 1, people + 1)).reshape(2, -1)
    first, second = first[first + second <= people], second[first + second <= people]
    rest = people - first - second
    shares: FloatArray = np.array([1 / groups, 1 / groups, 1 - 2 / groups])
    chance = multinomial.pmf(np.column_stack([first, second, rest]), people, shares)
    return float((chance * np.abs(first - second)).sum() / people)
