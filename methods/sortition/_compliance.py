"""Compliance: sampling weights that meet the target although model and judge make mistakes.

Each image is assigned a cell ``k``, drawn with the sampling weights ``rho`` (``K``), and a judge reads the
image. Two effects separate the weights from the shares it reads: the model does not always comply with the
assignment, and the judge errs. Images of *explicit* prompts, with which the model complies best, show the
judge's errors alone. For every attribute ``a`` with groups ``g``,

    C_a[g, h]   share of the images whose prompt states g that are read as h     the judge's confusion matrix
    E_ab[l, h]  mean of 1[read h] - C_a[g_a(k), h] over the images assigned      the effect of assigning l
                cells with g_b(k) = l
    T_a[k, h] = C_a[g_a(k), h] + sum_b E_ab[g_b(k), h]                           how cell k is read

``E_aa`` is non-compliance. ``E_ab`` with ``b != a`` says how assigning one attribute moves another, the
question of InterMit (arXiv 2505.17280). Every ``E_ab[l]`` is shrunk by ``n_l / (n_l + m)``, so that few
images count little. The weights are the distribution nearest to the target ``pi`` whose images the judge
would read like compliant images of the target:

    rho = argmin_{rho on the simplex}  sum_a || T_a^T rho - C_a^T pi_a ||^2 + eps || rho - pi ||^2

This is a sum over attributes, so twenty cells need no loop over twenty classes.

Stopping. The weights are known, so only what they do *not* decide is uncertain. With ``gain_h`` the images
read as ``h`` that were assigned another group, and ``loss_h`` those assigned ``h`` and read as another group,
the share read as ``h`` is ``rho_h + (gain_h - loss_h) / n``. Anytime-valid bounds on the shares of gain and
loss (:mod:`evenhand.methods.shared.sequential_test`) bound its distance from ``C_a^T pi_a`` at every check.
If the model complies, gain and loss are rare, and a hundred images prove what the shares alone prove after a
thousand.
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
"""``eps``: decides between equally good weights."""

SIMPLEX = 1e3
"""Weight of ``sum rho = 1`` as a row of the least squares; the solution is scaled to one afterwards."""


def group_indices(cells: Sequence[Cell]) -> dict[str, Integers]:
    """Attribute to the index of its group in every cell, ``(K,)``, groups in order of appearance."""
    return {
        attribute: np.array([list(dict.fromkeys(column)).index(group) for group in column])
        for attribute in cells[0].groups
        for column in [[cell.groups[attribute] for cell in cells]]
    }


def confusion_matrix(stated: Integers, read: Integers, groups: int) -> Floats:
    """``C_a``, ``(G, G)``, with one correct image added to each row.

    Args:
        stated: Group that each explicit prompt states, ``(n,)``.
        read: Group that the judge reads, ``(n,)``.
        groups: ``G``.
    """
    counts: Floats = np.eye(groups)
    np.add.at(counts, (stated, read), 1.0)
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def estimate_effects(
    cells: Integers,
    read: Integers,
    *,
    groups: Mapping[str, Integers],
    attribute: str,
    confusion: Floats,
    m: float,
) -> dict[str, Floats]:
    """``E_ab`` for every attribute ``b``, ``(G_b, G_a)``.

    Args:
        cells: Assigned cell of every image, ``(n,)``.
        read: Group of the attribute ``a`` that the judge read, ``(n,)``.
        groups: Attribute to its group in every cell, from :func:`group_indices`.
        attribute: The attribute ``a`` that was read.
        confusion: ``C_a``.
        m: Number of images at which an effect counts half.
    """
    residual = np.eye(len(confusion))[read] - confusion[groups[attribute][cells]]
    effects = {}
    for name, group in groups.items():
        assigned = np.eye(group.max() + 1)[group[cells]]
        effects[name] = assigned.T @ residual / (assigned.sum(axis=0)[:, None] + m)
    return effects


def readings(
    groups: Mapping[str, Integers], *, attribute: str, confusion: Floats, effects: Mapping[str, Floats]
) -> Floats:
    """``T_a``, ``(K, G_a)``: how the images of every assigned cell are read."""
    table = confusion[groups[attribute]] + sum(effects[name][group] for name, group in groups.items())
    table = np.clip(table, 0.0, None)
    result: Floats = table / table.sum(axis=1, keepdims=True)
    return result


def compliant_reading(target: Floats, *, group: Integers, confusion: Floats) -> Floats:
    """``C_a^T pi_a``, ``(G_a,)``: how the judge would read compliant images of the target."""
    marginal = np.bincount(group, weights=target, minlength=len(confusion))
    result: Floats = marginal @ confusion
    return result


def deviation_bounds(
    assigned: Integers, read: Integers, *, drawn: Floats, compliant: Floats, significance_level: float
) -> tuple[Floats, Floats]:
    """Bounds ``(G,)`` on read minus compliant shares, valid at all checks at once.

    Args:
        assigned: Group assigned to every image, ``(n,)``.
        read: Group that the judge read, ``(n,)``.
        drawn: Probability of every group under the sampling weights, ``(G,)``.
        compliant: ``C_a^T pi_a``, ``(G,)``.
        significance_level: Probability that any of the bounds is ever wrong.
    """
    groups = len(compliant)
    low, high = np.empty(groups), np.empty(groups)
    for h in range(groups):
        gain, loss = ((assigned != h) & (read == h)).sum(), ((assigned == h) & (read != h)).sum()
        lower, upper = share_bounds([gain, loss, len(assigned) - gain - loss], significance_level / groups)
        low[h], high[h] = lower[0] - upper[1], upper[0] - lower[1]
    return drawn - compliant + low, drawn - compliant + high


def verdict(low: Floats, high: Floats, *, tolerance: float) -> Verdict:
    """``balanced`` if all distances are within the tolerance, ``unbalanced`` if one is entirely beyond it."""
    if (low >= -tolerance).all() and (high <= tolerance).all():
        return "balanced"
    if ((low > tolerance) | (high < -tolerance)).any():
        return "unbalanced"
    return "open"


def sampling_weights(target: Floats, *, tables: Sequence[Floats], compliant: Sequence[Floats]) -> Floats:
    """``rho``, ``(K,)``: probabilities of the cells, summing to one.

    Args:
        target: ``pi``, ``(K,)``.
        tables: ``T_a`` of every attribute.
        compliant: ``C_a^T pi_a`` of every attribute.
    """
    cells = len(target)
    rows = np.vstack([*(t.T for t in tables), np.sqrt(RIDGE) * np.eye(cells), SIMPLEX * np.ones((1, cells))])
    sides = np.concatenate([*compliant, np.sqrt(RIDGE) * target, [SIMPLEX]])
    rho, _ = nnls(rows, sides)
    result: Floats = rho / rho.sum()
    return result
