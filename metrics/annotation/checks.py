"""Quality checks of annotators: gold images, repeated images, and agreement with the other annotators.

The rules look at annotations only, so that annotators are excluded before anybody sees a result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenhand.metrics.annotation.answers import labels_of
from evenhand.metrics.judge_quality.agreement import Codes, alpha_of, coincidences

RULED = "gender"
"""The attribute that the rules use; the first attribute of a taxonomy without gender."""

MIN_GOLD_ACCURACY = 0.8
MIN_ALPHA = 0.6
EXPECTED_CONSISTENCY = 0.95
"""Minimum gold accuracy and alpha, by convention of Evenhand. Consistency is reported but excludes nobody."""

FEWEST_IMAGES = 10
FEWEST_GOLD = 5
"""Minimum number of images for a check. An annotator with fewer than ten images is excluded unchecked."""

RATERS, MOST_RATERS = 3, 5
"""Annotators per image, and annotators per image on which the first ones disagree."""


@dataclass(frozen=True)
class AnnotatorCheck:
    """The checks of one annotator, on the attribute :func:`ruled`.

    Attributes:
        annotator: The annotator's id.
        images: Images annotated.
        gold: Gold images annotated.
        gold_accuracy: Share of gold images labelled as agreed; "cannot tell" is wrong. ``nan`` without any.
        repeats: Images annotated twice.
        consistency: Share of repeated images with equal labels; ``nan`` without any.
        shared: Images that most of the others decided as well.
        alpha: Krippendorff's alpha with the majority of the others, "cannot tell" as missing; ``nan`` if
            undefined.
        reason: Why the annotator is excluded; empty if kept.
    """

    annotator: str
    images: int
    gold: int
    gold_accuracy: float
    repeats: int
    consistency: float
    shared: int
    alpha: float
    reason: str


def ruled(taxonomy: Mapping[str, Sequence[str]]) -> str:
    """The attribute that the rules use."""
    return RULED if RULED in taxonomy else next(iter(taxonomy))


def codes_of(
    table: pd.DataFrame, *, attribute: str, taxonomy: Mapping[str, Sequence[str]], missing: int
) -> tuple[Codes, list[str], list[str]]:
    """First annotations of one attribute as codes ``(annotators, images)``, with sorted annotators and keys.

    Args:
        table: The annotation table.
        attribute: The attribute.
        taxonomy: Attribute to groups; any other label has the number of groups as its code.
        missing: Code of a missing annotation.
    """
    rows = labels_of(table, taxonomy=taxonomy)
    rows = rows[rows["attribute"] == attribute]
    groups = list(taxonomy[attribute])
    code = {group: place for place, group in enumerate(groups)}
    said = rows.assign(code=rows["label"].map(lambda label: code.get(label, len(groups))))
    wide = (
        said.pivot(index="annotator_id", columns="key", values="code").sort_index(axis=0).sort_index(axis=1)
    )
    return wide.fillna(missing).to_numpy(np.int64), list(wide.index), list(wide.columns)


def alpha_against_others(codes: Codes, rater: int, groups: int) -> tuple[float, int]:
    """Krippendorff's nominal alpha of one rater against the majority of the others, and the units behind it.

    The most frequent label of the others represents them; units with a tie are left out. Unlike the mean over
    pairs of raters, this alpha of a good rater is not lowered by a bad one.

    Args:
        codes: ``(raters, units)`` group indices; ``groups`` and above is undetermined.
        rater: Row of the rater.
        groups: Number of groups.
    """
    votes = (np.delete(codes, rater, axis=0)[..., None] == np.arange(groups)).sum(axis=0)
    most = votes.max(axis=1, keepdims=True)
    clear = (most[:, 0] > 0) & ((votes == most).sum(axis=1) == 1)
    pair = np.stack([codes[rater], np.where(clear, votes.argmax(axis=1), groups)])
    units = coincidences(pair, groups)
    return float(alpha_of(units.sum(axis=0))), int(units.any(axis=(1, 2)).sum())


def check_annotators(
    table: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]], gold: pd.DataFrame
) -> list[AnnotatorCheck]:
    """The checks of every annotator.

    Annotators are excluded if their gold accuracy is below 0.8 (with at least five gold images), if their
    alpha against the others is below 0.6 (with at least ten shared images), or if they annotated fewer than
    ten images. The limits are a convention of Evenhand.

    Args:
        table: The annotation table.
        taxonomy: Attribute to groups.
        gold: Columns ``key``, ``attribute``, ``label``: the agreed labels of gold images.
    """
    name = ruled(taxonomy)
    codes, annotators, _ = codes_of(table, attribute=name, taxonomy=taxonomy, missing=len(taxonomy[name]))
    agreed = gold[gold["attribute"] == name].set_index("key")["label"]
    found = []
    for annotator, rows in table.groupby("annotator_id", sort=True):
        answers = rows[rows["attribute"] == name]
        first = answers[~answers["is_repeat"]].set_index("key")["label"]
        again = answers[answers["is_repeat"]].set_index("key")["label"]
        right = _equal(first, agreed)
        same = _equal(first, again)
        alpha, shared = float("nan"), 0
        if annotator in annotators:
            alpha, shared = alpha_against_others(codes, annotators.index(str(annotator)), len(taxonomy[name]))
        images = rows["key"].nunique()
        reason = _reason(name, images, *right, shared, alpha)
        found.append(AnnotatorCheck(str(annotator), images, *right, *same, shared, alpha, reason=reason))
    return found


def _equal(first: pd.Series[str], second: pd.Series[str]) -> tuple[int, float]:
    """Number of common keys, and the share of equal labels among them."""
    common = first.index.intersection(second.index)
    if common.empty:
        return 0, float("nan")
    return len(common), float((first.loc[common] == second.loc[common]).mean())


def _reason(attribute: str, images: int, gold: int, accuracy: float, shared: int, alpha: float) -> str:
    """Why an annotator is excluded, or empty; repeats exclude nobody."""
    if images < FEWEST_IMAGES:
        return f"{images} images annotated, {FEWEST_IMAGES} needed for a check"
    if gold >= FEWEST_GOLD and accuracy < MIN_GOLD_ACCURACY:
        return f"{accuracy:.0%} correct on {attribute} of {gold} gold images, {MIN_GOLD_ACCURACY:.0%} needed"
    if shared >= FEWEST_IMAGES and alpha < MIN_ALPHA:
        return f"alpha {alpha:.2f} with the other annotators on {attribute}, {MIN_ALPHA:g} needed"
    return ""


def answers_needed(
    table: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]], without: Collection[str] = ()
) -> pd.Series[int]:
    """By image, the number of annotators still needed: up to three in total, or five if they disagree.

    Annotators disagree on an image if an attribute has no label that more than half of them give.
    """
    rows = labels_of(table[~table["annotator_id"].isin(list(without))], taxonomy=taxonomy)
    counts = rows.groupby("key")["annotator_id"].nunique()
    votes = rows.groupby(["key", "attribute"])["label"].value_counts(normalize=True)
    split = (votes.groupby(level=["key", "attribute"]).max() <= 0.5).groupby(level="key").any()
    wanted = pd.Series(RATERS, index=counts.index).mask(split & (counts >= RATERS), MOST_RATERS)
    return (wanted - counts).clip(lower=0).astype(int)
