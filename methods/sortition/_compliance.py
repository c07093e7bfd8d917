"""Lots that give the wanted shares although the model does not always draw what is asked of it.

Cells ``k`` are asked for by lot, with probabilities ``rho`` (``K``), and a judge reads the images. Two
things stand between the weights and the shares that it reads: the model does not always obey, and the judge
errs. Images of *explicit* prompts, which the model obeys as well as it can, show the second alone. For
every attribute ``a`` with groups ``g``,

    C_a[g, h]   share read as h of the images whose prompt says g                 the judge's confusion
    E_ab[l, h]  mean of 1[read h] - C_a[g_a(k), h] over the weights with g_b(k) = l    what asking l did to a
    T_a[k, h] = C_a[g_a(k), h] + sum_b E_ab[g_b(k), h]                              what cell k is read as

``E_aa`` is disobedience; ``E_ab`` with ``b != a`` says how fixing one attribute moves another, the question
of InterMit (arXiv 2505.17280). Every ``E_ab[l]`` is shrunk by ``n_l / (n_l + m)``: what few images say
counts little. The weights are the distribution nearest to the target ``pi`` whose images a judge would read
as it would read obedient images of the target itself:

    rho = argmin_{rho on the simplex}  sum_a || T_a^T rho - C_a^T pi_a ||^2 + eps || rho - pi ||^2

A sum over attributes, so twenty cells need no loop over twenty classes.

When to stop. The weights are known, so only what they do *not* decide is uncertain: with ``gain_h`` the images
read as ``h`` that were asked for something else, and ``loss_h`` those asked for ``h`` and read as something
else, the share read as ``h`` is ``rho_h + (gain_h - loss_h) / n``. Anytime-valid bounds on the shares of gain
and loss (:mod:`evenhand.methods.shared.sequential_test`) bound its distance from ``C_a^T pi_a`` at every look. Where the
model obeys, gain and loss are rare, and a hundred images prove what shares alone show after a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from evenhand.methods.base import Cell
from evenhand.methods.shared.sequential_test import Verdict, share_bounds

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RIDGE = 1e-3
"""``eps``: enough to decide between equally good weights."""

SIMPLEX = 1e3
"""Weight of ``sum rho = 1`` as a row of the least squares; the solution is scaled to one afterwards."""


def groups_of(cells: Sequence[Cell]) -> dict[str, Integers]:
    """Attribute to the index of its group in every cell, ``(K,)``, groups in order of appearance."""
    return {
        attribute: np.array([list(dict.fromkeys(column)).index(group) for group in column])
        for attribute in cells[0].groups
        for column in [[cell.groups[attribute] for cell in cells]]
    }


def confusion(asked: Integers, read: Integers, groups: int) -> Floats:
    """``C_a``, ``(G, G)``: rows are what explicit prompts said; one imagined right image in each."""
    counts: Floats = np.eye(groups)
    np.add.at(counts, (asked, read), 1.0)
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def effects(
    cells: Integers, read: Integers, *, of: Mapping[str, Integers], on: str, expected: Floats, m: float
) -> dict[str, Floats]:
    """``E_ab`` for every attribute ``b``, ``(G_b, G_a)``.

    Args:
        cells: Asked cell of every image, ``(n,)``.
        read: Group of attribute ``on`` that the judge read, ``(n,)``.
        of: Attribute to its group in every cell, from :func:`groups_of`.
        on: The attribute ``a`` that was read.
        expected: ``C_a``.
        m: Images at which what was seen counts half.
    """
    residual = np.eye(len(expected))[read] - expected[of[on][cells]]
    found = {}
    for attribute, group in of.items():
        asked = np.eye(group.max() + 1)[group[cells]]
        found[attribute] = asked.T @ residual / (asked.sum(axis=0)[:, None] + m)
    return found


def reading(of: Mapping[str, Integers], *, on: str, expected: Floats, found: Mapping[str, Floats]) -> Floats:
    """``T_a``, ``(K, G_a)``: what the images of every asked cell are read as."""
    table = expected[of[on]] + sum(found[attribute][group] for attribute, group in of.items())
    table = np.clip(table, 0.0, None)
    result: Floats = table / table.sum(axis=1, keepdims=True)
    return result


def wanted(target: Floats, *, group: Integers, expected: Floats) -> Floats:
    """``C_a^T pi_a``, ``(G_a,)``: how the judge would read obedient images of the target."""
    marginal = np.bincount(group, weights=target, minlength=len(expected))
    result: Floats = marginal @ expected
    return result


def deviation(
    asked: Integers, read: Integers, *, served: Floats, wanted: Floats, significance_level: float
) -> tuple[Floats, Floats]:
    """Bounds ``(G,)`` on the distance of the shares read from those wanted, valid at all looks at once.

    Args:
        asked: Group that every image was asked for, ``(n,)``.
        read: Group that the judge read, ``(n,)``.
        served: Probability of every group under the weights, ``(G,)``.
        wanted: Shares wanted, ``(G,)``.
        significance_level: Chance that any of the bounds is ever wrong.
    """
    groups = len(wanted)
    low, high = np.empty(groups), np.empty(groups)
    for h in range(groups):
        gain, loss = ((asked != h) & (read == h)).sum(), ((asked == h) & (read != h)).sum()
        least, most = share_bounds([gain, loss, len(asked) - gain - loss], significance_level / groups)
        low[h], high[h] = least[0] - most[1], most[0] - least[1]
    return served - wanted + low, served - wanted + high


def verdict(low: Floats, high: Floats, *, tolerance: float) -> Verdict:
    """``balanced`` if all distances lie within the tolerance, ``unbalanced`` if one lies wholly beyond it."""
    if (low >= -tolerance).all() and (high <= tolerance).all():
        return "balanced"
    if ((low > tolerance) | (high < -tolerance)).any():
        return "unbalanced"
    return "open"


def sampling_weights(target: Floats, *, tables: Sequence[Floats], wanted: Sequence[Floats]) -> Floats:
    """``rho``, ``(K,)``: probabilities of the cells, summing to one.

    Args:
        target: ``pi``, ``(K,)``.
        tables: ``T_a`` of every attribute.
        wanted: ``C_a^T pi_a`` of every attribute.
    """
    cells = len(target)
    rows = np.vstack([*(t.T for t in tables), np.sqrt(RIDGE) * np.eye(cells), SIMPLEX * np.ones((1, cells))])
    sides = np.concatenate([*wanted, np.sqrt(RIDGE) * target, [SIMPLEX]])
    rho, _ = nnls(rows, sides)
    result: Floats = rho / rho.sum()
    return result
