"""Can an annotator be relied on? Gold images, repeats, and agreement with the others.

Decide who is left out before looking at any result: the rules here look at answers alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenhand.metrics.annotation.answers import labels_of
from evenhand.metrics.judge_quality.agreement import Codes, alpha_of, coincidences

RULED = "gender"
"""The attribute that the rules look at; the taxonomy's first one where it has no gender."""

LEAST_GOLD_ACCURACY = 0.8
LEAST_ALPHA = 0.6
EXPECTED_CONSISTENCY = 0.95
"""Limits of measurement.md 4.4; the last one is expected, and nobody is left out for it."""

FEWEST_IMAGES = 10
FEWEST_GOLD = 5
"""Below these a rule cannot be applied: an annotator of fewer images cannot be checked and is left out."""

RATERS, MOST_RATERS = 3, 5
"""People that each image is shown to, and where these disagree."""


@dataclass(frozen=True)
class AnnotatorCheck:
    """What is known of one annotator, on the attribute :func:`ruled`.

    Attributes:
        annotator: The annotator's id.
        images: Images answered.
        gold: Gold images answered.
        gold_accuracy: Share of them answered as agreed; not telling is wrong there. ``nan`` without any.
        repeats: Images answered twice.
        consistency: Share of them answered alike. ``nan`` without any.
        shared: Images that most of the others decided as well.
        alpha: Krippendorff's alpha with what most others say, not telling as missing; ``nan`` if undefined.
        reason: Why the annotator is left out; empty if kept.
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
    """The attribute that the rules look at."""
    return RULED if RULED in taxonomy else next(iter(taxonomy))


def codes_of(
    table: pd.DataFrame, *, attribute: str, taxonomy: Mapping[str, Sequence[str]], missing: int
) -> tuple[Codes, list[str], list[str]]:
    """First answers on one attribute as ``(annotators, images)`` codes, with annotators and keys, sorted.

    Args:
        table: The answer table.
        attribute: The attribute.
        taxonomy: Attribute to groups; any other answer has the number of groups as its code.
        missing: Code of an answer that was not given.
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
    """Krippendorff's nominal alpha of one rater and what most of the others say, and the units behind it.

    The others' most frequent label stands for them; units where they are split are left out. So a bad rater
    does not spoil the alpha of good ones, as the pairs with every other would.

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
    """Checks every annotator; see :class:`AnnotatorCheck`.

    An annotator is left out whose gold accuracy is below 0.8 (five gold images or more), whose alpha
    against the others is below 0.6 (ten shared images or more), or who answered fewer than ten images.
    Source: measurement.md 4.4; the smallest numbers are ours.

    Args:
        table: The answer table.
        taxonomy: Attribute to groups.
        gold: Columns ``key``, ``attribute``, ``label``: what is agreed of some images.
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
        numbers = (rows["key"].nunique(), *right, *same, shared, alpha)
        found.append(AnnotatorCheck(str(annotator), *numbers, reason=_reason(name, *numbers)))
    return found


def _equal(first: pd.Series[str], second: pd.Series[str]) -> tuple[int, float]:
    """Keys that both have, and the share of equal labels among them."""
    common = first.index.intersection(second.index)
    if common.empty:
        return 0, float("nan")
    return len(common), float((first.loc[common] == second.loc[common]).mean())


def _reason(
    attribute: str,
    images: int,
    gold: int,
    accuracy: float,
    repeats: int,
    consistency: float,
    shared: int,
    alpha: float,
) -> str:
    """Why an annotator is left out; repeats are shown only."""
    if images < FEWEST_IMAGES:
        return f"{images} answered, {FEWEST_IMAGES} needed to check an annotator"
    if gold >= FEWEST_GOLD and accuracy < LEAST_GOLD_ACCURACY:
        return f"{accuracy:.0%} right on {attribute} of {gold} gold images, {LEAST_GOLD_ACCURACY:.0%} needed"
    if shared >= FEWEST_IMAGES and alpha < LEAST_ALPHA:
        return f"alpha {alpha:.2f} with most others on {attribute}, {LEAST_ALPHA:g} needed"
    return ""


def answers_needed(
    table: pd.DataFrame, *, taxonomy: Mapping[str, Sequence[str]], without: Collection[str] = ()
) -> pd.Series[int]:
    """By image, how many more people should answer: up to three, or five where these disagree.

    People disagree on an image when no answer to some attribute is that of more than half of them.
    Source: measurement.md 4.4.
    """
    rows = labels_of(table[~table["annotator_id"].isin(list(without))], taxonomy=taxonomy)
    counts = rows.groupby("key")["annotator_id"].nunique()
    votes = rows.groupby(["key", "attribute"])["label"].value_counts(normalize=True)
    split = (votes.groupby(level=["key", "attribute"]).max() <= 0.5).groupby(level="key").any()
    wanted = pd.Series(RATERS, index=counts.index).mask(split & (counts >= RATERS), MOST_RATERS)
    return (wanted - counts).clip(lower=0).astype(int)
