"""Settings of one method that differ only in strength: which of them is ranked, and their curve.

Ranking the best of several strengths would reward selection after the fact. So only one setting of a method
is ranked, the one that the suite declares beforehand; the others show the effect of the strength.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar


class Configured(Protocol):
    """What this module reads of a method's setting; ``MethodCard`` of a result provides it."""

    @property
    def label(self) -> str:
        """Name of the row: the method's name and the parameters given."""
        ...

    @property
    def name(self) -> str:
        """The method."""
        ...

    @property
    def version(self) -> str:
        """Its version."""
        ...

    @property
    def fit(self) -> int:
        """Number of the fit."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter resolved."""
        ...

    @property
    def strength(self) -> str | None:
        """Name of the parameter that gives the baseline when it is zero."""
        ...


C = TypeVar("C", bound=Configured)


@dataclass(frozen=True)
class Curve:
    """Settings of one method that differ only in its strength.

    Attributes:
        own: Label of the setting that is ranked.
        parameter: Name of the strength parameter.
        labels: Labels of all settings, the weakest first.
        values: Their strengths.
    """

    own: str
    parameter: str
    labels: tuple[str, ...]
    values: tuple[float, ...]


def curves(cards: Sequence[Configured]) -> list[Curve]:
    """One curve for each method that ran with several strengths, in the order of ``cards``."""
    found = []
    for group in _groups(cards):
        if len(group) > 1:
            places = sorted((strength_of(card), card.label) for card in group)
            labels = tuple(label for _, label in places)
            values = tuple(value for value, _ in places)
            found.append(Curve(_own(group).label, group[0].strength or "", labels, values))
    return found


def ranked(cards: Sequence[Configured]) -> list[str]:
    """Labels of the settings that are ranked: one of each group of settings that differ only in strength.

    It is the one whose strength the suite sets (its label gives none), or else the middle one, and never
    depends on the results. Settings that differ in another parameter are different methods. Of several fits
    of a setting, the first counts.
    """
    return [_own(group).label for group in _groups(cards)]


def strength_of(card: Configured) -> float:
    """The value of the strength parameter; ``nan`` where the method has none or its value is not a number."""
    value = card.parameters.get(card.strength or "")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _groups(cards: Sequence[C]) -> list[list[C]]:
    groups: dict[str, list[C]] = {}
    for card in (card for card in cards if card.fit == 1):
        groups.setdefault(_kind(card), []).append(card)
    return list(groups.values())


def _kind(card: Configured) -> str:
    """A key that the settings of one curve share; a setting without a strength has a unique key."""
    if math.isnan(strength_of(card)):
        return json.dumps(["alone", card.label])
    others = {name: value for name, value in card.parameters.items() if name != card.strength}
    return json.dumps([card.name, card.version, card.strength, others], sort_keys=True)


def _own(group: Sequence[C]) -> C:
    declared = [card for card in group if not _gives_strength(card)]
    places = sorted(declared or group, key=lambda card: (strength_of(card), card.label))
    return places[(len(places) - 1) // 2]


def _gives_strength(card: Configured) -> bool:
    return bool(re.search(rf"[:,]{re.escape(card.strength or '')}=", card.label))
