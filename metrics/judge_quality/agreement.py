"""Agreement coefficients of judges or annotators, with 95 % intervals.

Agreement is not accuracy: judges may share a bias, or have opposite biases. Report agreement per class
(:func:`by_class`) and per stratum (:func:`by_stratum`) as well: a good average can hide a group on which
judges disagree. The intervals come from a bootstrap over images (units).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.statistics.uncertainty import interval, wilson

Codes = NDArray[np.int64]
"""Labels as ``(judges, units)`` group indices; ``K`` and above is undetermined."""

Level = Literal["nominal", "ordinal"]
"""Whether groups have no order, or an order, as age bins and skin tones have."""


class Agreed(NamedTuple):
    """A coefficient with its 95 % interval and the number of units (images) behind it."""

    value: float
    low: float
    high: float
    n: int


MAJORITY = "majority"
"""Name of the stratum "group that most judges see" in :func:`agreement_rows`."""

Statistic = Callable[[Codes, int], Agreed]
"""Computes a coefficient from labels ``(judges, units)`` and the number of groups."""


def votes_of(codes: Codes, groups: int) -> NDArray[np.int64]:
    """Number of judges that gave each unit each label, ``(units, K)``."""
    return np.asarray((codes[..., None] == np.arange(groups)).sum(axis=0))


def coincidences(codes: Codes, groups: int) -> FloatArray:
    """Krippendorff's coincidences of each unit, ``(units, K, K)``: label pairs divided by ``m_u - 1``.

    ``m_u`` is the number of labels of the unit. Units with fewer than two labels contribute nothing.
    """
    votes = votes_of(codes, groups)
    pairs = votes[:, :, None] * (votes[:, None, :] - np.eye(groups))
    labelled = votes.sum(axis=1)[:, None, None]
    return np.where(labelled > 1, pairs / np.maximum(labelled - 1, 1), 0.0)


def alpha_of(coincidence: FloatArray, *, level: Level = "nominal") -> FloatArray:
    """Krippendorff's alpha of coincidences ``(..., K, K)``; ``nan`` if fewer than two groups occur."""
    totals = coincidence.sum(axis=-1)
    n = totals.sum(axis=-1)
    if level == "nominal":
        observed = n - np.trace(coincidence, axis1=-2, axis2=-1)
        expected = (n**2 - (totals**2).sum(axis=-1)) / np.where(n > 1, n - 1, np.nan)
    else:
        distance = _ordinal_distance(totals)
        observed = (coincidence * distance).sum(axis=(-2, -1))
        pairs = totals[..., :, None] * totals[..., None, :]
        expected = (pairs * distance).sum(axis=(-2, -1)) / np.where(n > 1, n - 1, np.nan)
    return 1 - ratio(observed, expected)


def _ordinal_distance(totals: FloatArray) -> FloatArray:
    """Krippendorff's ordinal distance: squared number of labels between two groups, ends counted by half."""
    middle = np.cumsum(totals, axis=-1) - totals / 2
    return np.asarray((middle[..., :, None] - middle[..., None, :]) ** 2)


def krippendorff_alpha(
    codes: Codes, groups: int, *, draws: int, rng: np.random.Generator, level: Level = "nominal"
) -> Agreed:
    """Krippendorff's alpha over all judges, ``1 - D_observed / D_expected``.

    Range -1 to 1: 1 is perfect agreement, 0 is chance; higher is better. Missing labels are allowed. Alpha
    does not show who is wrong: two judges with opposite biases agree badly and may be right on average. It
    decreases if one group dominates. The interval is a percentile bootstrap over units.
    Source: Krippendorff 2011.

    Args:
        codes: ``(judges, units)``.
        groups: The ``K`` groups of the taxonomy, in their order.
        draws: Bootstrap resamples.
        rng: Random stream.
        level: ``"ordinal"`` for ordered groups (age bins, skin tones): confusing neighbours costs less.
    """
    units = coincidences(codes, groups)
    units = units[units.any(axis=(1, 2))]

    def alpha(sums: FloatArray) -> FloatArray:
        return alpha_of(sums.reshape(*sums.shape[:-1], groups, groups), level=level)

    return _over_units(units.reshape(len(units), groups**2), alpha, draws=draws, rng=rng)


def fleiss_kappa(
    codes: Codes, groups: int, *, draws: int, rng: np.random.Generator, raters: int | None = None
) -> Agreed:
    """Fleiss' kappa, ``(P - P_e) / (1 - P_e)``, over the units with exactly ``r`` labels.

    ``P`` is the mean over units of ``(sum_k n_k^2 - r) / (r (r - 1))``, ``P_e`` the sum of squared shares of
    all labels. Range ``-1 / (r - 1)`` to 1; higher is better; ``nan`` if only one group occurs. Units with an
    undetermined label are left out; if abstention is informative, prefer alpha. Source: Fleiss 1971.

    Args:
        codes: ``(judges, units)``.
        groups: The ``K`` groups of the taxonomy.
        draws: Bootstrap resamples.
        rng: Random stream.
        raters: Labels per unit ``r``, at least 2, for example 3 if every image is shown to three of ten
            people; the number of judges if ``None``.
    """
    votes = votes_of(codes, groups)
    raters = len(codes) if raters is None else raters
    votes = votes[votes.sum(axis=1) == raters]

    def kappa(sums: FloatArray) -> FloatArray:
        n = sums[..., 0]
        observed = sums[..., 1] / (n * raters * (raters - 1))
        expected = ((sums[..., 2:] / (n * raters)[..., None]) ** 2).sum(axis=-1)
        return ratio(observed - expected, 1 - expected)

    agreeing = (votes * (votes - 1)).sum(axis=1)
    features = np.column_stack([np.ones(len(votes)), agreeing, votes])
    return _over_units(features, kappa, draws=draws, rng=rng)


def gwet_ac1(codes: Codes, groups: int, *, draws: int, rng: np.random.Generator) -> Agreed:
    """Gwet's AC1, ``(P - P_e) / (1 - P_e)`` with ``P_e = sum_k pi_k (1 - pi_k) / (K - 1)``.

    Range -1 to 1; higher is better. Unlike kappa and alpha it does not collapse if one group dominates, so
    report it with them for very unbalanced images. For the same reason it does not distinguish accurate
    judges from judges that always give the same label. ``pi_k`` uses every unit with a label, ``P`` those
    with at least two. Source: Gwet 2008.

    Args:
        codes: ``(judges, units)``.
        groups: The ``K`` groups of the taxonomy.
        draws: Bootstrap resamples.
        rng: Random stream.
    """
    votes = votes_of(codes, groups).astype(float)
    votes = votes[votes.any(axis=1)]
    labelled = votes.sum(axis=1)
    paired = labelled > 1
    agreeing = ratio((votes * (votes - 1)).sum(axis=1), labelled * (labelled - 1))
    features = np.column_stack([paired, np.where(paired, agreeing, 0), votes / labelled[:, None]])

    def ac1(sums: FloatArray) -> FloatArray:
        given = ratio(sums[..., 2:], sums[..., 2:].sum(axis=-1, keepdims=True))
        expected = (given * (1 - given)).sum(axis=-1) / (groups - 1)
        return ratio(ratio(sums[..., 1], sums[..., 0]) - expected, 1 - expected)

    return _over_units(features, ac1, draws=draws, rng=rng, n=int(paired.sum()))


def cohen_kappa(
    first: NDArray[np.int64], second: NDArray[np.int64], groups: int, *, quadratic: bool = False
) -> Agreed:
    """Cohen's kappa of two judges on the units that both decide, ``(p_o - p_e) / (1 - p_e)``.

    Range -1 to 1: 1 is perfect agreement, 0 is chance; higher is better. ``nan`` if both judges give a single
    label to all units. Kappa does not show which judge is right, and a dominant group lowers it (the kappa
    paradox). The interval is Wilson's interval of ``p_o``, with the number of images that gives the variance
    of Fleiss, Cohen and Everitt 1969. Unlike ``kappa +- 1.96 SE`` it stays within the range and has a
    positive width if the judges always agree. Source: Cohen 1960.

    Args:
        first: ``(units,)`` labels of the first judge.
        second: ``(units,)`` labels of the second judge.
        groups: The ``K`` groups of the taxonomy, in their order.
        quadratic: Whether to weight a disagreement by the squared distance of the groups (Cohen 1968), for
            age bins and skin tones.
    """
    both = (first < groups) & (second < groups)
    table = np.zeros((groups, groups))
    np.add.at(table, (first[both], second[both]), 1)
    n = int(both.sum())
    if n == 0 or np.count_nonzero(table.sum(axis=0) + table.sum(axis=1)) < 2:
        return Agreed(np.nan, np.nan, np.nan, n)
    place = np.arange(groups)
    apart = np.abs(place[:, None] - place)
    weights = 1 - ((apart / apart.max()) ** 2 if quadratic else apart > 0)
    return Agreed(*_kappa(table, weights), n)


def _kappa(table: FloatArray, weights: FloatArray) -> tuple[float, float, float]:
    """Kappa and its limits, from the pair table and weights of agreement ``(K, K)``, 1 on the diagonal."""
    n = table.sum()
    shares = table / n
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    chance = float((np.outer(rows, columns) * weights).sum())
    # Exactly 1 if the judges always agree.
    agreed = float((table * weights).sum() / n)
    kappa = (agreed - chance) / (1 - chance)
    # The large-sample variance of kappa, times (1 - chance)^2: Fleiss, Cohen and Everitt 1969.
    by_margins = (weights @ columns)[:, None] + rows @ weights
    second = (shares * (weights - by_margins * (1 - kappa)) ** 2).sum()
    variance = float(second - (kappa - chance * (1 - kappa)) ** 2) / n
    spread = agreed * (1 - agreed)
    worth = spread / variance if variance > 0 and spread > 0 else n
    low, high = ((end - chance) / (1 - chance) for end in wilson(agreed * worth, worth))
    return kappa, min(max(float(low), -1.0), kappa), max(min(float(high), 1.0), kappa)


def by_class(codes: Codes, groups: int, *, draws: int, rng: np.random.Generator) -> list[Agreed]:
    """Specific agreement on each group: how often both labels of an image are ``k``, given that one is.

    ``o_kk / sum_c o_kc`` of the coincidences. Range 0 to 1; higher is better; ``nan`` for a group without
    labels. The value is not corrected for chance: agreement on a common group is easy, so compare it with
    alpha. Source: Dice 1945 for two judges; Fleiss, Levin and Paik 2003, chapter 18.

    Returns:
        One coefficient per group; ``n`` counts the images with at least one label of the group.
    """
    units = coincidences(codes, groups)

    def agreeing(sums: FloatArray) -> FloatArray:
        return ratio(sums[..., 0], sums[..., 1])

    found = []
    for group in range(groups):
        features = np.column_stack([units[:, group, group], units[:, group].sum(axis=1)])
        found.append(_over_units(features[features[:, 1] > 0], agreeing, draws=draws, rng=rng))
    return found


def by_stratum(
    codes: Codes, groups: int, *, strata: Sequence[str], statistic: Statistic
) -> dict[str, Agreed]:
    """A coefficient within each stratum of the images: occupation, stereotype side, true group.

    Within one true or majority group, chance-corrected coefficients are low by construction. Compare strata
    with each other, or use :func:`by_class`.

    Args:
        codes: ``(judges, units)``.
        groups: The ``K`` groups of the taxonomy.
        strata: Stratum of each unit.
        statistic: The coefficient, such as ``functools.partial(krippendorff_alpha, draws=…, rng=…)``.
    """
    place = np.asarray(strata)
    return {str(name): statistic(codes[:, place == name], groups) for name in sorted(set(strata))}


class AgreementRow(NamedTuple):
    """One coefficient of several raters on one attribute.

    Attributes:
        statistic: ``krippendorff_alpha``, ``fleiss_kappa``, ``gwet_ac1``, ``specific_agreement`` (see
            :func:`by_class`), or, where groups have an order, ``krippendorff_alpha_ordinal``.
        group: The group of a specific agreement; else empty.
        within: ``name=value`` of the stratum, ``majority`` and the group that most raters see, or empty for
            all images.
        found: The coefficient.
    """

    statistic: str
    group: str
    within: str
    found: Agreed


def agreement_rows(
    codes: Codes,
    groups: Sequence[str],
    *,
    strata: Mapping[str, NDArray[np.object_]],
    ordered: bool,
    draws: int,
    rng: np.random.Generator,
    raters: int | None = None,
) -> Iterator[AgreementRow]:
    """Every coefficient of several raters, over all images, within each stratum and by majority group.

    Within one majority group, chance-corrected coefficients are low by construction; see :func:`by_stratum`.

    Args:
        codes: ``(raters, units)``.
        groups: The ``K`` groups of the taxonomy.
        strata: Name to the stratum of each unit; empty if the unit belongs to none.
        ordered: Whether the groups have an order, as age bins and skin tones have.
        draws: Bootstrap resamples.
        rng: Random stream.
        raters: See :func:`fleiss_kappa`.
    """
    size = len(groups)
    statistics: dict[str, Statistic] = {
        "krippendorff_alpha": partial(krippendorff_alpha, draws=draws, rng=rng),
        "fleiss_kappa": partial(fleiss_kappa, draws=draws, rng=rng, raters=raters),
        "gwet_ac1": partial(gwet_ac1, draws=draws, rng=rng),
    }
    if ordered and size > 2:
        ordinal = partial(krippendorff_alpha, draws=draws, rng=rng, level="ordinal")
        statistics["krippendorff_alpha_ordinal"] = ordinal
    most = np.array([*groups, ""], object)[majority(codes, size)]
    for within, here in _parts({**strata, MAJORITY: most}):
        for name, statistic in statistics.items():
            yield AgreementRow(name, "", within, statistic(codes[:, here], size))
        if not within.startswith(f"{MAJORITY}="):
            found = by_class(codes[:, here], size, draws=draws, rng=rng)
            for group, value in zip(groups, found, strict=True):
                yield AgreementRow("specific_agreement", group, within, value)


def _parts(strata: Mapping[str, NDArray[np.object_]]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All units, then those of each stratum."""
    yield "", np.ones(len(next(iter(strata.values()))), bool)
    for name, of_unit in strata.items():
        for part in sorted(set(of_unit) - {""}):
            yield f"{name}={part}", of_unit == part


def majority(codes: Codes, groups: int) -> NDArray[np.int64]:
    """The most frequent label of each unit, ``(units,)``; ``K`` if the two most frequent ones are tied."""
    votes = votes_of(codes, groups)
    second, first = np.sort(np.pad(votes, [(0, 0), (1, 0)]), axis=1)[:, -2:].T
    return np.where(first > second, votes.argmax(axis=1), groups)


def _over_units(
    features: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    *,
    draws: int,
    rng: np.random.Generator,
    n: int | None = None,
) -> Agreed:
    """A function of sums over units, with the percentile interval of a bootstrap over units.

    Args:
        features: ``(units, F)`` contributions of each unit.
        statistic: Function from sums ``(..., F)`` to the coefficient.
        draws: Bootstrap resamples.
        rng: Random stream.
        n: Number of units to report; all units if ``None``.
    """
    if not len(features):
        return Agreed(np.nan, np.nan, np.nan, 0)
    # Equivalent to np.unique over rows, but faster: there are few distinct rows and no need to sort them.
    often = pd.DataFrame(features).groupby(list(range(features.shape[1]))).size()
    patterns, counts = often.index.to_frame().to_numpy(float), often.to_numpy()
    resampled = rng.multinomial(len(features), counts / len(features), size=draws) @ patterns
    low, high = interval(statistic(resampled))
    value = float(statistic(features.sum(axis=0)))
    return Agreed(value, float(low), float(high), len(features) if n is None else n)
