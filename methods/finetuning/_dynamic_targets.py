"""Dynamic targets: the group that each image of a batch should show, with the smallest change to the batch.

Section 4.1 of Shen et al., "Finetuning Text-to-Image Diffusion Models for Fairness", ICLR 2024, arXiv
2311.07604. With the probabilities ``p`` of ``N`` images and ``N`` labels drawn from the desired distribution,
optimal transport assigns one label to every image at the smallest total cost

    cost(n, c) = sqrt( sum over attributes a:  || p_n^a - onehot(c(a)) ||^2 )

Averaged over draws of the labels, the assignments are the shares ``q_n`` of the cells in an image's target.
The target of an attribute is the group with the largest share; its uncertainty is one minus that share.

With equal masses an optimal plan is a permutation, so the transport is solved exactly as an assignment. For
one attribute of two groups it ranks the images by ``p_n``: the image of rank ``r`` from 0 is assigned the
first group if more than ``r`` labels are of it. The probability of that is ``1 - F(r; N, pi)`` with the
binomial distribution function ``F``, so no draw is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom

Floats = NDArray[np.float64]


def target_shares(
    marginals: Sequence[Floats],
    groups: Sequence[NDArray[np.int64]],
    desired: Floats,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Share of each cell in each image's target, ``(N, K)``, rows summing to one.

    Args:
        marginals: For every attribute the images' probabilities of its groups, ``(N, K_a)``.
        groups: For every attribute the group of each cell, ``(K,)``.
        desired: Desired share of every cell, ``(K,)``.
        draws: Number of label sets to average; not used for two cells that differ in the only attribute.
        rng: Draws the labels.
    """
    if len(desired) == 2 and len(marginals) == 1 and groups[0][0] != groups[0][1]:
        return _by_rank(marginals[0][:, groups[0][0]], float(desired[0]))
    cost = np.sqrt(
        sum(
            ((p[:, None, :] - np.eye(p.shape[1])[index][None]) ** 2).sum(axis=2)
            for p, index in zip(marginals, groups, strict=True)
        )
    )
    count, cells = cost.shape
    shares = np.zeros((count, cells))
    for _ in range(draws):
        labels = rng.choice(cells, size=count, p=desired)
        images, columns = linear_sum_assignment(cost[:, labels])
        shares[images, labels[columns]] += 1 / draws
    return shares


def group_targets(
    shares: Floats, groups: NDArray[np.int64], *, most_uncertain: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The target group of every image ``(N,)`` for one attribute, and whether it is certain enough.

    Args:
        shares: Result of :func:`target_shares`, ``(N, K)``.
        groups: The group of each cell, ``(K,)``.
        most_uncertain: Largest uncertainty of a target that counts.
    """
    marginal = np.stack([shares[:, groups == group].sum(axis=1) for group in range(groups.max() + 1)], axis=1)
    return marginal.argmax(axis=1), 1 - marginal.max(axis=1) <= most_uncertain


def _by_rank(first: Floats, desired: float) -> Floats:
    order = np.argsort(-first, kind="stable")
    share = np.empty(len(first))
    share[order] = 1 - binom.cdf(np.arange(len(first)), len(first), desired)
    return np.column_stack([share, 1 - share])
