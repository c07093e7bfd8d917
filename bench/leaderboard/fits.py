"""The fits of a row: entries of one method with the same parameters and other seeds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.method_spec import FIT
from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.result import MethodCard, Result


def distance_of(result: Result, key: Key | None) -> float:
    """The primary number of a result; ``nan`` if it was not measured."""
    row = Reading.of(result).at(key) if key is not None else None
    return row.value if row is not None else math.nan


def median_fit(distances: Sequence[float]) -> int:
    """Place of the median; of an even number of fits, the worse of the middle two. ``nan`` is the worst."""
    order = sorted(range(len(distances)), key=lambda place: _nan_last(distances[place]))
    return order[len(order) // 2]


def _nan_last(value: float) -> tuple[bool, float]:
    return math.isnan(value), value


def fit_faults(card: MethodCard, others: Collection[MethodCard]) -> Iterator[str]:
    """What is wrong with a fit of a row, with what to do.

    Every fit of a row must be there, and they must differ in nothing but their seeds.

    Args:
        card: The method of an entry.
        others: The methods of all entries of its suite, with this one.
    """
    fits = {other.fit: other for other in others if other.row == card.row}
    if card.fit == 1:
        yield from _first_fit_faults(card, fits.keys())
        return
    if card.label != _expected_label(card):
        yield (
            f"fit {card.fit} of {card.fit_of!r:.80} cannot have the label {card.label!r:.80}; "
            "submit the run again"
        )
    elif not {*range(1, card.fit)} <= fits.keys():
        missing = min({*range(1, card.fit)} - fits.keys())
        yield f"fit {missing} of {card.fit_of!r:.80} has no entry; submit the complete run"
    elif _without_seeds(card) != _without_seeds(fits[1]):
        yield f"it differs from {card.fit_of!r:.80} in more than its seeds; submit the run again"
    elif card.intervention not in fits[1].other_fits:
        yield f"its intervention is not that of a fit of {card.fit_of!r:.80}; submit the complete run"


def _first_fit_faults(card: MethodCard, numbers: Collection[int]) -> Iterator[str]:
    if card.fit_of:
        yield f"its first fit cannot be a fit of {card.fit_of!r:.80}; submit the run again"
    wanted = range(2, 2 + len(card.other_fits))
    missing = sorted({*wanted} - {*numbers})
    if missing and {*card.other_fits} != {card.intervention}:
        yield f"its fit {missing[0]} has no entry; submit the complete run"


def _expected_label(card: MethodCard) -> str:
    try:
        name, given = spec_text.split(card.fit_of, kind="method")
    except EvenhandError:
        return ""
    return spec_text.label(name, {**given, FIT: card.fit})


def _without_seeds(card: MethodCard) -> MethodCard:
    seeds = {"label": "", "fit": 1, "fit_of": "", "other_fits": [], "intervention": ""}
    return card.model_copy(update=seeds)
