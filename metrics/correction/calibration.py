"""Confusion matrices of judges, estimated on anchors (images whose true group is known).

A confusion table has the columns :data:`CONFUSION_COLUMNS`. A joint attribute is written ``gender*tone`` and
its cells ``woman*dark``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product

import numpy as np
import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.correction import Inverse, inverse_of
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.statistics.uncertainty import stream
from evenhand.metrics.terms import UNDETERMINED as UNDETERMINED

CONFUSION_COLUMNS = ("judge", "attributes", "truth", "label", "count")

SMALL_ROW = 20
"""A row with fewer anchors is smoothed, and resampled from a Dirichlet distribution."""

SMOOTHING = 0.5

JOINT_ANCHORS = 25
"""Anchors that each cell needs before a joint table replaces the product of the marginal matrices."""

LARGEST_CONDITION = 5.0
SMALLEST_RECALL = 0.5
"""Limits of condition number and recall. Beyond them an inversion can be worse than no correction.

On 2,398 FairFace images, inverting six-class race matrices with condition numbers 7.4 and 17.9 left errors of
0.141 and 0.122 (total variation); four classes with condition numbers below 2.1 left 0.043 and 0.022.
"""


@dataclass(frozen=True)
class Calibration:
    """A judge's confusion matrix on one attribute or joint attribute, with its sampling error.

    Attributes:
        matrix: ``(K, K + 1)``; rows are true groups, the last column is "undetermined".
        draws: ``(B, K, K + 1)``, matrices of resampled anchors.
        remark: A remark for the reader of the results, or empty.
    """

    matrix: FloatArray
    draws: FloatArray
    remark: str = ""

    @cached_property
    def inverse(self) -> Inverse:
        """Inverse of the matrix."""
        return inverse_of(self.matrix)

    @cached_property
    def inverses(self) -> Inverse:
        """Inverses of the draws."""
        return inverse_of(self.draws)


@dataclass(frozen=True)
class Refusal:
    """The reason why a judge is not corrected."""

    reason: str


def cell_names(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names of all cells of a joint attribute, in order: ``("woman*light", "woman*dark", ...)``."""
    return tuple("*".join(cell) for cell in product(*groups))


def confusion_matrix(counts: FloatArray) -> FloatArray:
    """Confusion matrices ``(..., K, J)``, rows summing to 1, from counts ``F (..., K, J)``.

    ``M[y][j] = (F[y][j] + a [j = y]) / (F[y] + a)`` with ``a = 0.5`` in rows of fewer than 20 anchors, else
    0. Only the diagonal is smoothed: smoothing of all 36 cells of a race table raised the error of the
    corrected shares from 0.055 to 0.123 (total variation, 2,398 FairFace images).
    """
    anchors = counts.sum(axis=-1, keepdims=True)
    added = np.where(anchors < SMALL_ROW, SMOOTHING, 0.0)
    smoothed = counts + added * np.eye(counts.shape[-2], counts.shape[-1])
    return np.asarray(smoothed / (anchors + added))


def draw_matrices(counts: FloatArray, *, draws: int, rng: np.random.Generator) -> FloatArray:
    """Confusion matrices ``(draws, K, J)`` of resampled anchors: the sampling error of the calibration.

    Each row is drawn from its multinomial, or from ``Dirichlet(F + 0.5)`` below 20 anchors.
    """
    rows = []
    for row in counts:
        if row.sum() < SMALL_ROW:
            rows.append(rng.dirichlet(row + SMOOTHING, size=draws))
        else:
            size = round(row.sum())
            rows.append(rng.multinomial(size, row / row.sum(), size=draws) / size)
    return np.stack(rows, axis=1)


def kronecker(matrices: Sequence[FloatArray]) -> FloatArray:
    """Joint confusion matrix ``(..., K, K + 1)`` of attributes whose errors are independent given the truth.

    A joint label is decided if every part is. Cells are in the order of :func:`cell_names`. The assumption
    can fail where it matters: a gender judge may make more errors on dark-skinned women.
    :func:`evenhand.metrics.judge_quality.error_independence.product_test` tests it.
    """

    def pair(first: FloatArray, second: FloatArray) -> FloatArray:
        joint = np.einsum("...ij,...kl->...ikjl", first, second)
        size = first.shape[-1] * second.shape[-1]
        return np.asarray(joint.reshape(*joint.shape[:-4], size, size))

    decided = reduce(pair, [matrix[..., :-1] for matrix in matrices])
    return np.asarray(np.concatenate([decided, 1 - decided.sum(axis=-1, keepdims=True)], axis=-1))


def recalls(matrix: FloatArray) -> FloatArray:
    """Recall ``(K,)`` of each group among its decided images, from a matrix ``(K, K + 1)``."""
    return ratio(matrix.diagonal(), matrix[:, :-1].sum(axis=1))


def condition_number(matrix: FloatArray) -> float:
    """Condition number of a matrix ``(K, K + 1)`` without its last column; ``nan`` if a row is missing."""
    return float("nan") if np.isnan(matrix).any() else float(np.linalg.cond(matrix[:, :-1]))


def reason_to_refuse(matrix: FloatArray) -> str:
    """The reason not to invert a matrix, or empty: a condition number above 5, or a recall below 0.5.

    Recall counts decided labels only: a judge that often abstains is imprecise, but not confused.
    """
    if not matrix[:, :-1].sum(axis=1).all():
        return "the judge decides none of the anchors of a group"
    recall = float(recalls(matrix).min())
    if recall < SMALLEST_RECALL:
        return f"a group is recognised in only {recall:.0%} of its anchors (limit {SMALLEST_RECALL:.0%})"
    condition = condition_number(matrix)
    if condition > LARGEST_CONDITION:
        return f"condition number {condition:.1f} (limit {LARGEST_CONDITION:g}); merge groups"
    return ""


def calibrate(
    table: pd.DataFrame,
    *,
    judge: str,
    attributes: Sequence[str],
    taxonomy: Mapping[str, Sequence[str]],
    draws: int,
    seed: int,
) -> Calibration | Refusal:
    """The confusion matrix of one judge on one attribute or joint attribute, or the reason to refuse it.

    A joint attribute uses its own table if every cell has 25 anchors, else the product of its attributes'
    matrices, else its own table whatever its size. The anchors of an attribute are resampled once per draw,
    the same way for every joint attribute that contains it.

    Raises:
        EvenhandError: The table names a group that the taxonomy lacks.
    """
    own = counts_of(table, judge=judge, attributes=attributes, taxonomy=taxonomy)
    if len(attributes) > 1 and (own is None or own.sum(axis=1).min() < JOINT_ANCHORS):
        parts = [
            calibrate(table, judge=judge, attributes=[name], taxonomy=taxonomy, draws=draws, seed=seed)
            for name in attributes
        ]
        known = [part for part in parts if isinstance(part, Calibration)]
        if len(known) == len(parts):
            return _checked(
                kronecker([part.matrix for part in known]),
                kronecker([part.draws for part in known]),
                "as if errors on its attributes were independent given the truth",
            )
        if own is None:
            pairs = zip(attributes, parts, strict=True)
            return next(
                Refusal(f"{name}: {part.reason}") for name, part in pairs if isinstance(part, Refusal)
            )
    if own is None:
        return Refusal("no anchors")
    if own.sum(axis=1).min() == 0:
        return Refusal("a group has no anchors")
    rng = stream(seed, "calibration", judge, "*".join(attributes))
    return _checked(confusion_matrix(own), draw_matrices(own, draws=draws, rng=rng), "")


def _checked(matrix: FloatArray, draws: FloatArray, remark: str) -> Calibration | Refusal:
    reason = reason_to_refuse(matrix)
    return Refusal(reason) if reason else Calibration(matrix, draws, remark)


def counts_of(
    table: pd.DataFrame, *, judge: str, attributes: Sequence[str], taxonomy: Mapping[str, Sequence[str]]
) -> FloatArray | None:
    """Counts ``(K, K + 1)`` of one judge on an attribute or joint attribute; ``None`` without rows.

    Raises:
        EvenhandError: The table names a group that the taxonomy lacks.
    """
    name = "*".join(attributes)
    rows = table[(table["judge"] == judge) & (table["attributes"] == name)]
    if rows.empty:
        return None
    groups = cell_names([taxonomy[attribute] for attribute in attributes])
    strange = {*rows["truth"]} - {*groups} | {*rows["label"]} - {*groups, UNDETERMINED}
    if strange:
        raise EvenhandError(
            f"confusion table of judge {judge!r}: unknown group {min(strange)!r} of {name}; "
            f"groups: {', '.join(groups)}"
        )
    counts = np.zeros((len(groups), len(groups) + 1))
    truth, label = pd.Index(groups), pd.Index([*groups, UNDETERMINED])
    place = truth.get_indexer(pd.Index(rows["truth"])), label.get_indexer(pd.Index(rows["label"]))
    np.add.at(counts, place, rows["count"].to_numpy(float))
    return counts


def confusion_table(
    truth: pd.DataFrame, labels: pd.DataFrame, attributes: Sequence[Sequence[str]]
) -> pd.DataFrame:
    """The confusion table of every judge, counted on anchors.

    Args:
        truth: Columns ``key``, ``attribute`` and ``group``: the true group of each anchor. An optional column
            ``probability`` holds the inclusion probability of the anchor, equal for all attributes of a key;
            an anchor then counts ``1 / probability`` in its row, scaled by :func:`effective_counts`.
        labels: Label table of the anchors, for one judge or several (the panel's vote is one more judge).
        attributes: Attributes and joint attributes to count, as tuples.

    Returns:
        A table with the columns :data:`CONFUSION_COLUMNS`, sorted; empty if no judge labels an attribute of
        the anchors.
    """
    shown = truth.set_index(["key", "attribute"])["group"].unstack()
    said = labels["label"].where(labels["status"] == "ok", UNDETERMINED)
    parts = [pd.DataFrame(columns=list(CONFUSION_COLUMNS)).astype({"count": int})]
    for judge, rows in labels.assign(label=said).groupby("judge", sort=True):
        answers = rows.set_index(["key", "attribute"])["label"].unstack()
        for names in attributes:
            if not set(names) <= set(answers.columns) & set(shown.columns):
                continue
            said_of = answers[list(names)].add_suffix(" label")
            both = shown[list(names)].join(said_of, how="inner").dropna()
            given = both.iloc[:, len(names) :]
            undetermined = (given == UNDETERMINED).any(axis=1)
            anchors = pd.DataFrame(
                {
                    "judge": judge,
                    "attributes": "*".join(names),
                    "truth": _joined(both.iloc[:, : len(names)]),
                    "label": _joined(given).mask(undetermined, UNDETERMINED),
                }
            )
            parts.append(_count(anchors, truth))
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    return table[list(CONFUSION_COLUMNS)].sort_values(list(CONFUSION_COLUMNS[:4]), ignore_index=True)


def _joined(parts: pd.DataFrame) -> pd.Series[str]:
    """The cell name of each row's groups."""
    return reduce(lambda cell, name: cell + "*" + parts[name], parts.columns[1:], parts.iloc[:, 0])


def _count(anchors: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Counts, or sums of weights, of equal rows of ``anchors``, which are indexed by key."""
    if "probability" not in truth:
        return anchors.value_counts(sort=False).reset_index()
    weight = 1 / truth.drop_duplicates("key").set_index("key")["probability"].reindex(anchors.index)
    of_label = anchors.assign(count=weight, squares=weight**2).groupby(list(CONFUSION_COLUMNS[:4]))
    summed = of_label.sum().reset_index()
    for _, row in summed.groupby("truth"):
        counts = effective_counts(row["count"].to_numpy(), row["squares"].to_numpy())
        summed.loc[row.index, "count"] = counts
    return summed[list(CONFUSION_COLUMNS)]


def effective_counts(weights: FloatArray, squares: FloatArray) -> FloatArray:
    """Effective counts of one row of a confusion table from inverse-probability weights.

    The shares ``M[j] = weights[j] / sum(weights)`` are kept. The sum becomes the number of equally weighted
    anchors whose shares have the same variance: ``(1 - sum_j M[j]^2) / trace(Cov)``, with the trace
    linearised to ``sum_i w_i^2 |e_label(i) - M|^2 / sum(w)^2``. Kish's ``sum(w)^2 / sum(w^2)`` would ignore
    that anchors sampled by the judge's own label have equal weights within a label; it is used if all anchors
    have the same label. Equal weights give plain counts. Source: Hajek 1971 (ratio estimator); Kish 1965
    (effective sample size).

    Args:
        weights: ``(J,)`` sums of ``1 / probability`` by label.
        squares: ``(J,)`` sums of ``1 / probability^2`` by label.
    """
    total = weights.sum()
    shares = weights / total
    spread = 1 - (shares**2).sum()
    trace = (squares * (1 - 2 * shares + (shares**2).sum())).sum() / total**2
    size = total**2 / squares.sum() if (weights > 0).sum() == 1 else spread / trace
    # Rounded, so that 20 equal weights are not fewer than 20 anchors (SMALL_ROW).
    return np.asarray((shares * size).round(9))
