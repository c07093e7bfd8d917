"""The distribution of people per occupation in the training data of the bundled model.

The joint distribution of gender presentation, skin tone and age given the occupation is known, and biased on
purpose. It amplifies the female shares of WinoBias (Zhao et al. 2018). Skin tone has a base distribution with
mostly light tones, tilted per occupation; where the tilt is towards light tones, the share of women decreases
with darker tones. The tilts and the shares of older people are invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import unknown
from evenhand.bench.mini import ROOT

FINE_TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
"""The five skin tones of the Unicode emoji standard, in the order of the axis of the distribution."""

TONE_GROUPS = {
    "light": "light",
    "medium-light": "light",
    "medium": "medium",
    "medium-dark": "dark",
    "dark": "dark",
}
"""Fine tones to the groups of the judges."""

TAXONOMIES = {"gender": ("woman", "man"), "tone": ("light", "medium", "dark"), "age": ("adult", "older")}
"""Attributes to groups; ``gender`` is gender presentation, ``tone`` is skin tone, not race."""

BASE_TONES = np.array([0.36, 0.27, 0.18, 0.12, 0.07])
GENDER_SHARPENING = 1.6
TONE_TILT = 1.3
TONE_GENDER_INTERACTION = 0.9
OLDER_SHIFT = np.array([-0.6, 0.2])
"""Added to the log odds of older people of an occupation, for women and for men."""


@cache
def _table() -> dict[str, NDArray[Any]]:
    """The small arrays of ``world.npz``: names, and the parameters of the distribution per occupation."""
    with np.load(ROOT / "world.npz") as archive:
        return {key: archive[key] for key in ("occ", "pf", "tilt", "old", "objnames", "chnames")}


def _names(key: str) -> tuple[str, ...]:
    return tuple(str(name) for name in _table()[key])


def occupations() -> tuple[str, ...]:
    """The 40 occupations of WinoBias, in the order of the distribution."""
    return _names("occ")


def objects() -> tuple[str, ...]:
    """The 60 objects and animals of the training data."""
    return _names("objnames")


def characters() -> tuple[str, ...]:
    """The four characters of known gender: controls for over-correction."""
    return _names("chnames")


@cache
def fine_law() -> NDArray[np.float64]:
    """P(gender, tone, age | occupation) over five tones, ``(40, 2, 5, 2)``; each occupation sums to one."""
    table = _table()
    position = np.linspace(-1, 1, len(FINE_TONES))
    tilt = table["tilt"][:, None]
    tone = BASE_TONES * np.exp(TONE_TILT * tilt * position)
    tone /= tone.sum(axis=1, keepdims=True)
    log_odds = GENDER_SHARPENING * _logit(table["pf"])[:, None] + TONE_GENDER_INTERACTION * tilt * (
        position + 0.7
    )
    woman = _logistic(log_odds)
    gender = np.stack([woman, 1 - woman], axis=1)
    older = _logistic(_logit(table["old"])[:, None] + OLDER_SHIFT)
    age = np.stack([1 - older, older], axis=2)
    law: NDArray[np.float64] = tone[:, None, :, None] * gender[:, :, :, None] * age[:, :, None, :]
    law.setflags(write=False)
    return law


def law(attributes: Sequence[str]) -> NDArray[np.float64]:
    """P(groups | occupation) of one attribute or of a joint attribute, over the groups of ``TAXONOMIES``.

    Args:
        attributes: Distinct attributes, in the order of the axes of the result.

    Returns:
        ``(40, K_1, ...)``; each occupation sums to one.

    Raises:
        EvenhandError: An attribute is unknown.
    """
    for attribute in attributes:
        if attribute not in TAXONOMIES:
            raise unknown("attribute", attribute, TAXONOMIES)
    merge = np.array(
        [[TONE_GROUPS[fine] == group for group in TAXONOMIES["tone"]] for fine in FINE_TONES], float
    )
    axes = dict(zip(TAXONOMIES, "gta", strict=True))
    shares: NDArray[np.float64] = np.einsum(
        f"ogsa,st->o{''.join(axes[attribute] for attribute in attributes)}", fine_law(), merge
    )
    return shares


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    share = share.clip(0.03, 0.97)
    return np.log(share / (1 - share))


def _logistic(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-log_odds))
