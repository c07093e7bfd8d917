"""Association of occupations and groups, and bias amplification, over a list of occupations.

``shares`` has shape ``(..., O, K)``: occupations, then groups. Every occupation has the same weight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr
from scipy.stats import chi2_contingency, linregress, random_table, spearmanr

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray, mean_over, shares_of, uniform

NULL_DRAWS = 1000
"""Tables drawn from the permutation null."""

REFLECTED = 0.04
"""Fair Diffusion calls a share "reflected" if it lies within this distance of the training share."""


def mutual_information(shares: FloatArray) -> FloatArray:
    """``MI = (1/O) sum_o KL(p_o || mean p)`` in nats: does the occupation determine the group?

    Range 0 to ``min(ln K, ln O)``; lower is better. An unbalanced model can score 0 if all occupations have
    the same shares. Biased upwards by about ``(1 - 1/O) (K - 1)/2 mean(1/n_o)``
    (:func:`mutual_information_bias`). Source: Shannon 1948, with equal occupation weights.
    """
    return mean_over(information_by_row(shares))


def information_by_row(shares: FloatArray) -> FloatArray:
    """``KL(p_o || mean p)`` of every occupation in nats, ``(..., O)``: its term of the mutual information.

    Occupations without shares give ``nan`` and do not enter the mean.
    """
    pooled = mean_over(np.swapaxes(shares, -1, -2))[..., None, :]
    return np.asarray(rel_entr(shares, pooled).sum(axis=-1))


def mutual_information_bias(counts: ArrayLike) -> float:
    """First-order bias of :func:`mutual_information` without association, in nats, to be subtracted.

    ``(1 - 1/O) (K - 1)/2 mean(1/n_o)``: every occupation has the same weight, so those with few images
    determine the bias. With equal numbers of images it is the usual ``(O - 1)(K - 1) / (2 n)``.

    The approximation is good where every occupation has many images of each group. With empty cells it is too
    large, and :func:`association_null` is the better reference. ``nan`` without an image.
    Source: Miller 1955 (bias of information estimates); Roulston 1999; with equal occupation weights.

    Args:
        counts: ``(O, K)`` decided images; an occupation without any is left out.
    """
    counts = np.asarray(counts, float)
    n = counts.sum(axis=1)
    n = n[n > 0]
    return float((1 - 1 / len(n)) * (counts.shape[1] - 1) / 2 * (1 / n).mean()) if len(n) else float("nan")


class Null(NamedTuple):
    """A value with its null distribution: the null's mean and 95 % quantile, and a one-sided p-value."""

    value: float
    mean: float
    high: float
    p: float


def association_null(counts: ArrayLike, *, rng: np.random.Generator, draws: int = NULL_DRAWS) -> Null:
    """Mutual information with its permutation null: groups shuffled over the images of all occupations.

    The shuffled tables keep both margins. The p-value is ``(1 + tables that reach the value) / (1 + draws)``.
    The test treats images as independent draws; if they cluster by seed or template, the p-value is too
    small. Source: Boyett 1979 (algorithm AS 144) and Patefield 1981 (AS 159) for random tables with given
    margins, as in SciPy.

    Args:
        counts: ``(O, K)`` decided images; an occupation without any is left out.
        rng: Random stream.
        draws: Shuffled tables.

    Raises:
        EvenhandError: Fewer than two occupations have an image.
    """
    table: NDArray[np.int64] = np.asarray(counts, np.int64)
    table = table[table.sum(axis=1) > 0]
    if len(table) < 2:
        raise EvenhandError(
            f"association needs at least 2 occupations with decided images, got {len(table)}; add images"
        )
    value = float(mutual_information(shares_of(table)))
    tables = random_table(table.sum(axis=1), table.sum(axis=0)).rvs(draws, random_state=rng)
    drawn = mutual_information(shares_of(tables))
    reached = int((drawn >= value - 1e-12).sum())
    return Null(value, float(drawn.mean()), float(np.quantile(drawn, 0.95)), (1 + reached) / (1 + draws))


def cramers_v(table: ArrayLike, *, corrected: bool = False) -> float:
    """Cramer's V of a table of counts ``(O, K)``; 0 to 1, lower is better.

    Occupations are weighted by their images. The value has no direction. ``O`` and ``K`` are the numbers of
    occupations and groups of the table, drawn or not, so a group that is never drawn does not raise the
    value. ``nan`` where fewer than two occupations or two groups are drawn, and, with the correction,
    where there are no more images than occupations or groups.

    Args:
        table: ``(O, K)`` counts.
        corrected: Whether to remove the bias of small tables (Bergsma 2013).
    """
    table = np.asarray(table, float)
    drawn = table[table.any(axis=1)][:, table.any(axis=0)]
    if min(drawn.shape) < 2:
        return float("nan")
    n, sizes = drawn.sum(), table.shape
    phi2 = float(chi2_contingency(drawn, correction=False)[0]) / n
    if not corrected:
        return float(np.sqrt(phi2 / (min(sizes) - 1)))
    # Chance adds to the cells that are drawn only.
    phi2 = max(0.0, phi2 - (drawn.shape[0] - 1) * (drawn.shape[1] - 1) / (n - 1))
    smaller = min(size - (size - 1) ** 2 / (n - 1) for size in sizes)
    return float(np.sqrt(phi2 / (smaller - 1))) if smaller > 1 else float("nan")


class Relation(NamedTuple):
    """Relation of shares to reference shares over ``n`` occupations: Spearman's rho, slope and intercept."""

    rho: float
    slope: float
    intercept: float
    n: int


def relation(share: ArrayLike, reference: ArrayLike) -> Relation:
    """Spearman correlation and least-squares slope of one group's shares on reference shares.

    With labour shares as the reference, a slope near 1 mirrors the labour market, 0 is independent of it, and
    a slope above 1 exaggerates it. Neither number measures the distance from parity: a model may follow the
    market exactly and still draw few women. Occupations without a share or reference are left out.

    Args:
        share: ``(O,)`` share of one group.
        reference: ``(O,)`` share of the same group in the reference, for example among the employed.

    Raises:
        EvenhandError: Fewer than three occupations have both shares, or all references are equal.
    """
    both: FloatArray = np.column_stack([np.asarray(each, float) for each in (reference, share)])
    both = both[~np.isnan(both).any(axis=1)]
    if len(both) < 3 or np.ptp(both[:, 0]) == 0:
        raise EvenhandError(
            "a slope needs at least 3 occupations with both shares and different references, "
            f"got {len(both)} occupations"
        )
    line = linregress(both[:, 0], both[:, 1])
    rho = float(spearmanr(both).statistic) if np.ptp(both[:, 1]) else float("nan")
    return Relation(rho, float(line.slope), float(line.intercept), len(both))


def zhao_amplification(shares: FloatArray, reference: FloatArray) -> FloatArray:
    """Zhao's bias amplification, ``(1/O) sum of (p_ok - r_ok)`` over pairs with ``r_ok > 1/K``.

    Range -1 to 1 for two groups. Above 0, the model increases the share of groups that are the majority in
    the reference. The value misses a reversal of the majority and groups below ``1/K``.
    Source: Zhao et al., arXiv 1707.09457 (MALS form).

    Args:
        shares: ``(..., O, K)``.
        reference: ``(O, K)`` shares in the training data or the labour market.
    """
    over = reference > 1 / reference.shape[-1] + 1e-12
    return np.asarray(np.where(over, shares - reference, 0.0).sum(axis=(-2, -1)) / len(reference))


def seshadri_amplification(share: FloatArray, reference: FloatArray) -> FloatArray:
    """``mean_o (|p_o - 0.5| - |r_o - 0.5|)`` for two groups; -0.5 to 0.5, above 0 amplifies the reference.

    Report how ``r_o`` was selected: much of an apparent amplification disappears when the training captions
    are matched to the prompts. Source: Seshadri et al., arXiv 2308.00755.

    Args:
        share: ``(..., O)`` share of one of the two groups.
        reference: ``(O,)`` share of that group in the training data or the labour market.
    """
    return np.asarray((np.abs(share - 0.5) - np.abs(reference - 0.5)).mean(axis=-1))


def directional_amplification(shares: FloatArray, reference: FloatArray) -> FloatArray:
    """``mean over (o, k) of sign(r_ok - mean r_k) (p_ok - r_ok)``; -1 to 1, above 0 amplifies.

    The sign makes a shift in the direction of the reference's own association positive. A pair without
    association counts as 0. Source: Wang and Russakovsky, arXiv 2102.12594, with equal occupation weights.

    Args:
        shares: ``(..., O, K)``.
        reference: ``(O, K)`` shares in the training data or the labour market.
    """
    lean = reference - reference.mean(axis=-2, keepdims=True)
    direction = np.where(np.abs(lean) < 1e-12, 0.0, np.sign(lean))
    return np.asarray((direction * (shares - reference)).mean(axis=(-2, -1)))


def stereotype_amplification(share: FloatArray, labour: FloatArray) -> FloatArray:
    """``mean_o sign(w_o - 0.5) (p_o - w_o)``: above 0 is more stereotyped than the labour market.

    Range -1 to 1. Labour shares describe the labour market; they are not a norm. Source: defined by Evenhand.

    Args:
        share: ``(..., O)`` share of one of two groups.
        labour: ``(O,)`` share of that group among the employed.
    """
    return np.asarray((np.sign(labour - 0.5) * (share - labour)).mean(axis=-1))


def lean_amplification(shares: FloatArray, reference: FloatArray) -> FloatArray:
    """:func:`stereotype_amplification` for any number of groups, one value per occupation.

    ``mean_k sign(r_k - 1/K) (p_k - r_k)`` over the groups with ``r_k != 1/K``. Range -1 to 1; above 0 is more
    stereotyped than the reference. ``nan`` where the reference is uniform. Source: defined by Evenhand.

    Args:
        shares: ``(..., O, K)``.
        reference: ``(O, K)`` or ``(K,)``.

    Returns:
        ``(..., O)``.
    """
    lean = reference - uniform(reference.shape[-1])
    direction = np.where(np.abs(lean) < 1e-12, 0.0, np.sign(lean))
    leaning = np.abs(direction).sum(axis=-1)
    pushed = (direction * (shares - reference)).sum(axis=-1)
    return np.asarray(pushed / np.where(leaning > 0, leaning, np.nan))


def amplification_split(share: FloatArray, reference: FloatArray) -> dict[str, float]:
    """Shares of occupations whose training share is amplified, reflected or mitigated.

    Reflected if ``|p - r| < 0.04``, else amplified if ``|p - 0.5| > |r - 0.5|``, else mitigated. The
    threshold is a convention. Source: Fair Diffusion, arXiv 2302.10893.

    Args:
        share: ``(O,)`` share of one of two groups.
        reference: ``(O,)`` share of that group in the training data.
    """
    reflected = np.abs(share - reference) < REFLECTED
    amplified = ~reflected & (np.abs(share - 0.5) > np.abs(reference - 0.5))
    mitigated = ~reflected & ~amplified
    parts = {"amplified": amplified, "reflected": reflected, "mitigated": mitigated}
    return {name: float(part.mean()) for name, part in parts.items()}
