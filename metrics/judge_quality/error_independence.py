"""Tests that errors are independent given the truth: of one judge on two attributes, of two judges on one.

:func:`product_test` decides between the product of two confusion matrices and the full joint table.
:func:`pair_residuals` checks the main assumption of a latent class model.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import chi2

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.judge_quality.latent_class import MISSING
from evenhand.metrics.representation import FloatArray, ratio

TABLES = 999
"""Simulated tables for a p-value."""

LARGEST_RESIDUAL = 3.0
"""Standardised residual beyond which the errors of two judges count as dependent."""


class ProductTest(NamedTuple):
    """Likelihood-ratio test of the product of two attributes' matrices against the full joint table.

    Attributes:
        statistic: ``G = 2 sum F log(F / fitted)``.
        freedom: Degrees of freedom.
        p_value: From tables simulated under independence, because most cells are nearly empty.
        asymptotic: From the chi-square distribution.
    """

    statistic: float
    freedom: int
    p_value: float
    asymptotic: float


def product_test(
    counts: FloatArray, *, shape: tuple[int, int], rng: np.random.Generator, tables: int = TABLES
) -> ProductTest:
    """Tests that a judge's errors on two attributes are independent given the truth.

    The product of the two matrices assumes that the label of one attribute depends neither on the other
    attribute nor on the other label. A small p-value calls for the full table, which needs 25 anchors in each
    cell. With few anchors a large p-value is weak evidence. Source: likelihood-ratio (G) test of conditional
    independence, Agresti 2013.

    Args:
        counts: ``(K, K)`` integer counts of decided joint labels by true cell, ``K = shape[0] * shape[1]``
            cells in the order of :func:`evenhand.metrics.correction.calibration.cell_names`.
        shape: Number of groups of the two attributes.
        rng: Random stream of the simulated tables.
        tables: Simulated tables.

    Raises:
        EvenhandError: There is no anchor.
    """
    if not counts.sum():
        raise EvenhandError(
            "test of independent errors needs at least 1 anchor, got 0 anchors; "
            "label images for both attributes"
        )
    table = counts.reshape(*shape, *shape).astype(float)
    fitted, size = _product_fit(table), table.sum(axis=(2, 3))
    statistic = float(_likelihood_ratio(table, fitted))
    rows = [(size.sum(axis=1 - axis) > 0).sum() * (shape[axis] - 1) for axis in (0, 1)]
    freedom = int((size > 0).sum() * (np.prod(shape) - 1) - sum(rows))
    law = np.nan_to_num(fitted / np.where(size > 0, size, np.nan)[..., None, None], nan=1 / np.prod(shape))
    drawn = rng.multinomial(size.astype(int), law.reshape(*shape, -1), size=(tables, *shape))
    simulated = drawn.reshape(tables, *table.shape).astype(float)
    reached = _likelihood_ratio(simulated, _product_fit(simulated)) >= statistic - 1e-9
    p_value = (1 + reached.sum()) / (1 + tables)
    return ProductTest(statistic, freedom, float(p_value), float(chi2.sf(statistic, freedom)))


def _product_fit(table: FloatArray) -> FloatArray:
    """Expected counts ``(..., Y1, Y2, J1, J2)`` under independence, by maximum likelihood."""
    first, second = table.sum(axis=(-3, -1)), table.sum(axis=(-4, -2))
    first = np.nan_to_num(ratio(first, first.sum(axis=-1, keepdims=True)))
    second = np.nan_to_num(ratio(second, second.sum(axis=-1, keepdims=True)))
    size = table.sum(axis=(-2, -1))
    return np.asarray(np.einsum("...ab,...ai,...bj->...abij", size, first, second))


def _likelihood_ratio(table: FloatArray, fitted: FloatArray) -> FloatArray:
    return np.asarray(2 * rel_entr(table, fitted).sum(axis=(-4, -3, -2, -1)))


class PairResidual(NamedTuple):
    """Dependence of two judges' labels beyond a fitted latent class model.

    Attributes:
        first: Index of the first judge.
        second: Index of the second judge.
        residuals: ``(L, L)``, ``(observed - expected) / sqrt(expected (1 - expected / n))``.
        dependent: Whether a residual exceeds 3; then drop one of the judges, or give both one vote.
    """

    first: int
    second: int
    residuals: FloatArray
    dependent: bool


def pair_residuals(
    answers: NDArray[np.int64], *, shares: FloatArray, errors: FloatArray
) -> list[PairResidual]:
    """Residuals of every pair of judges under a fitted model of independent errors, most dependent first.

    Expected counts are ``n sum_k pi_k E_a[k][i] E_b[k][j]`` over the images that both judges labelled. For
    two groups, three judges with free errors fit any pair table exactly (as many parameters as patterns), so
    the check has no power there. Compare the bivariate residuals of latent class models in Oberski, van
    Kollenburg and Vermunt 2013.

    Args:
        answers: ``(N, J)`` label codes, ``MISSING`` where there is none.
        shares: ``(K,)`` shares of the fitted model.
        errors: ``(J, K, L)`` errors of the fitted model, see
            :class:`evenhand.metrics.judge_quality.latent_class.LatentClasses`.
    """
    found = []
    for first, second in combinations(range(answers.shape[1]), 2):
        both = (answers[:, [first, second]] != MISSING).all(axis=1)
        observed = np.zeros((errors.shape[2], errors.shape[2]))
        np.add.at(observed, (answers[both, first], answers[both, second]), 1)
        chance = np.einsum("k,ki,kj->ij", shares, errors[first], errors[second])
        scale = np.sqrt(both.sum() * chance * (1 - chance))
        residuals = ratio(observed - both.sum() * chance, scale)
        dependent = bool((np.abs(residuals) > LARGEST_RESIDUAL).any())
        found.append(PairResidual(first, second, residuals, dependent))
    return sorted(found, key=lambda pair: -np.nan_to_num(np.abs(pair.residuals)).max())
