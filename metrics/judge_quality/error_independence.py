"""Whether errors are independent given the truth: of one judge on two attributes, of two judges on one.

The first decides between the product of two matrices and the full joint table, the second whether a latent
class model may be read at all. Source: measurement.md 3.1, 3.8.
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
"""Simulated tables of a p-value."""

LARGEST_RESIDUAL = 3.0
"""Standardised residual beyond which two judges err together."""


class ProductTest(NamedTuple):
    """Likelihood-ratio test of the product of two attributes' matrices against the full joint table.

    Attributes:
        statistic: ``G = 2 sum F log(F / fitted)``.
        freedom: Degrees of freedom.
        p_value: From tables simulated under independence, as most cells are nearly empty.
        asymptotic: From the chi-square law.
    """

    statistic: float
    freedom: int
    p_value: float
    asymptotic: float


def product_test(
    counts: FloatArray, *, shape: tuple[int, int], rng: np.random.Generator, tables: int = TABLES
) -> ProductTest:
    """Tests that a judge's errors on two attributes are independent given the truth.

    The product of the matrices supposes that the answer on one attribute depends neither on the other
    attribute nor on the other answer. A small p-value asks for the full table, which needs 25 anchors in each
    cell; a large one says little where anchors are few. Source: measurement.md 3.1.

    Args:
        counts: ``(K, K)`` joint labels by true cell where both were decided, ``K = shape[0] * shape[1]``
            cells in the order of :func:`evenhand.metrics.correction.calibration.cell_names`; whole numbers.
        shape: Groups of the two attributes.
        rng: Random stream of the simulated tables.
        tables: Simulated tables.

    Raises:
        EvenhandError: There is no anchor.
    """
    if not counts.sum():
        raise EvenhandError("test of independent errors got 0 anchors; label some for both attributes")
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
    """How far two judges' answers go together beyond what a latent class model gives.

    Attributes:
        first: Index of a judge.
        second: Index of another.
        residuals: ``(L, L)``, ``(observed - expected) / sqrt(expected (1 - expected / n))``.
        dependent: Whether one is beyond 3: drop one of the two, or give them one vote.
    """

    first: int
    second: int
    residuals: FloatArray
    dependent: bool


def pair_residuals(
    answers: NDArray[np.int64], *, shares: FloatArray, errors: FloatArray
) -> list[PairResidual]:
    """Every pair of judges against a fitted model of independent errors, the most dependent pair first.

    Expected are ``n sum_k pi_k E_a[k][i] E_b[k][j]`` among the images that both answered. Three judges with
    free errors can fit any pairs of two groups (as many parameters as patterns), so that there the check is
    silent whatever the truth. Source: measurement.md 3.8.

    Args:
        answers: ``(N, J)`` codes, ``MISSING`` where there is none.
        shares: ``(K,)`` of the fitted model.
        errors: ``(J, K, L)`` of the fitted model, see :class:`evenhand.metrics.judge_quality.latent_class.LatentClasses`.
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
