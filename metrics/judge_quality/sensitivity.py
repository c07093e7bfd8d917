"""Sensitivity of a judge's labels to choices that should not matter: crop, order of options, wording.

The judge labels the same images again under each choice
(:meth:`evenhand.metrics.judges.base.Judge.variants`). No true group is needed: a judge that contradicts
itself is wrong at least once. The rows extend the audit table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.judge_quality.audit import AuditRow, Seen
from evenhand.metrics.judges.base import Aspect, Variants
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.statistics.uncertainty import interval, recentred, stream

NO_CHOICE: Mapping[Aspect, str] = {
    "crop": "the judge sees its images in one crop only",
    "order": "the judge answers no questions with options",
    "text": "the judge uses no texts, or a single wording",
}
"""Aspect to the reason why a judge has no :meth:`~evenhand.metrics.judges.base.Judge.variants` in it."""


@dataclass(frozen=True)
class Asked:
    """A judge's labels of the same images under several choices.

    Attributes:
        keys: The ``n`` image keys.
        codes: Aspect and attribute to ``(choices, n)`` group indices, ``K`` where undetermined; the first
            choice is the judge's default.
    """

    keys: Sequence[str]
    codes: Mapping[tuple[Aspect, str], NDArray[np.int64]]


def codes_of(variants: Variants, attributes: Sequence[str]) -> dict[tuple[Aspect, str], NDArray[np.int64]]:
    """The codes of :class:`Asked` from a judge's variants, for some of its attributes."""
    return {
        (aspect, name): np.stack([answers[name].codes for answers in choices])
        for aspect, choices in variants.items()
        for name in attributes
    }


def sensitivity_rows(seen: Seen, asked: Asked | str, *, draws: int, seed: int) -> Iterator[AuditRow]:
    """The sensitivities of one judge on one attribute.

    ``crop_sensitivity`` and ``order_sensitivity``: share of the images decided under the default choice that
    another choice labels differently or not at all, over all images and in every cell; ``context_effect``:
    gap of ``crop_sensitivity`` between the parts of a stratification. Range 0 to 1; lower is better.
    ``text_spread`` of a group: standard deviation, over wordings, of the group's share among decided images;
    range 0 to 0.71, lower is better; its interval is a bootstrap over images.

    Args:
        seen: The judge's images.
        asked: Its labels under several choices, or the reason why there are none.
        draws: Resamples.
        seed: Seed of the resamples.
    """
    for aspect in NO_CHOICE:
        name = "text_spread" if aspect == "text" else f"{aspect}_sensitivity"
        if isinstance(asked, str):
            yield seen.missing(name, asked)
        elif (aspect, seen.attribute) not in asked.codes:
            yield seen.missing(name, NO_CHOICE[aspect])
        else:
            place = {key: number for number, key in enumerate(asked.keys)}
            codes = asked.codes[aspect, seen.attribute][:, [place[key] for key in seen.keys]]
            if aspect == "text":
                yield from _spread(seen, codes, draws=draws, seed=seed)
            else:
                yield from _changes(seen, codes, name, context=aspect == "crop")


def _changes(seen: Seen, codes: NDArray[np.int64], quantity: str, *, context: bool) -> Iterator[AuditRow]:
    decided, changed = codes[0] < len(seen.groups), (codes != codes[0]).any(axis=0)
    for within, here in seen.cells():
        yield seen.share(quantity, changed, here & decided, within=within)
    for name, who in seen.strata.items() if context else ():
        cells = {str(part): decided & (who == part) for part in sorted(set(who) - {""})}
        yield seen.gap("context_effect", changed, cells, within=name)


def _spread(seen: Seen, codes: NDArray[np.int64], *, draws: int, seed: int) -> Iterator[AuditRow]:
    groups = len(seen.groups)
    if not (codes < groups).any(axis=1).all():
        for group in seen.groups:
            yield seen.missing("text_spread", "no image is decided under one of the wordings", group=group)
        return
    given = codes[..., None] == np.arange(groups)
    weighed = (given * seen.weights[:, None]).transpose(1, 0, 2).reshape(len(seen.keys), -1)
    rng = stream(seed, "text spread", seen.judge, seen.attribute)
    picks = rng.multinomial(len(seen.keys), np.full(len(seen.keys), 1 / len(seen.keys)), size=draws)
    shape = (len(codes), groups)
    value = _deviation(weighed.sum(axis=0).reshape(shape))
    low, high = interval(recentred(_deviation((picks @ weighed).reshape(draws, *shape)), value))
    n = int((codes < groups).all(axis=0).sum())
    for number, group in enumerate(seen.groups):
        ends = max(float(low[number]), 0.0), float(high[number])
        yield seen.number("text_spread", float(value[number]), *ends, n, group=group)


def _deviation(given: FloatArray) -> FloatArray:
    """Standard deviation ``(..., K)`` over wordings of the shares, from sums ``(..., wordings, K)``."""
    return np.asarray(ratio(given, given.sum(axis=-1, keepdims=True)).std(axis=-2, ddof=1))
