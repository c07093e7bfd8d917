"""The taxonomies of perceived attributes, and how one is read as another: by name, by adding up.

Released judges order their classes differently (two orders of the FairFace races are in circulation), so
that a class is found by its name and never by its index. A coarser taxonomy's probability is the sum of the
finer one's; taking the arg max first would lose images that lie between two merged classes
(measurement.md 6.8).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError

DATA = Path(__file__).parent / "data"
"""Published tables that the judges read; the first line of each names its source."""

GENDER = {"woman": "woman", "female": "woman", "man": "man", "male": "man"}
"""A label of gender presentation to its group; no third visual class is invented by a judge."""

RACE4 = ("WMELH", "Black", "Indian", "Asian")
"""Shen et al. 2024: White, Middle Eastern and Latino or Hispanic merged; Black; Indian; Asian."""

TONE_ITA = ("very light", "light", "intermediate", "tan", "brown", "dark")
"""Classes of the individual typology angle (Chardon et al. 1991; Del Bino and Bernerd 2013)."""

MONK = tuple(f"monk {number}" for number in range(1, 11))
"""Monk skin tones, lightest first."""

COARSER = {"race4": "race7", "age2": "age5"}
"""Attributes that a judge of texts answers by adding up the groups of a finer one."""

SCALES = (("race4", "race7"), ("age2", "age5", "age9"), ("tone", "ita6", "mst10"))
"""Attributes that are one thing in several taxonomies, coarsest first."""

ORDERED = frozenset({"age", *SCALES[1], *SCALES[2]})
"""Attributes whose groups have an order: neighbours are confused more lightly than others."""

SYNONYMS = {"more than 70": "70+", "latino": "latino hispanic", "hispanic": "latino hispanic"}
"""Names of one class in different releases, as ``_plain`` writes them."""


def table(name: str) -> list[dict[str, str]]:
    """The rows of a bundled table, without its first line, which states the source."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        file.readline()
        return list(csv.DictReader(file))


@cache
def maps() -> Mapping[str, Mapping[str, str]]:
    """Attribute to label (as ``_plain`` writes it) to group.

    Attributes are ``gender``, ``race7`` (FairFace), ``race4`` (Shen et al.), ``age9`` (FairFace bins),
    ``age5`` (child below 20, young adult, adult, middle-aged from 40, senior from 60) and ``age2`` (old from
    40). ``race4`` also takes the labels of DeepFace and of FairFace's four-class head.
    """
    races, ages = table("race_taxonomy_mapping"), table("age_taxonomy_mapping")
    merged = {row["label"]: row["shen4"] for row in races}
    for row in races:
        merged[row["deepface6"]] = row["shen4"]
        merged |= {} if row["fairface4"].startswith("(") else {row["fairface4"]: row["shen4"]}
    found = {
        "gender": GENDER,
        "race7": {row["label"]: row["label"] for row in races},
        "race4": merged | {group: group for group in RACE4},
        "age9": {row["fairface9"]: row["fairface9"] for row in ages},
        "age5": {row["fairface9"]: row["ours5"] for row in ages},
        "age2": {row[column]: row["young_old"] for row in ages for column in ("fairface9", "ours5")},
    }
    own = {name: dict.fromkeys(entries.values()) for name, entries in found.items()}
    return {
        name: {_plain(label): group for label, group in (entries | {g: g for g in own[name]}).items()}
        for name, entries in found.items()
    }


@cache
def groups(attribute: str) -> tuple[str, ...]:
    """The groups of an attribute, in the order of every answer.

    >>> groups("race4")
    ('WMELH', 'Black', 'Indian', 'Asian')

    Raises:
        KeyError: No taxonomy has this name.
    """
    fixed = {"race4": RACE4, "ita6": TONE_ITA, "mst10": MONK}
    return fixed[attribute] if attribute in fixed else tuple(dict.fromkeys(maps()[attribute].values()))


def readable(labels: Iterable[str]) -> tuple[str, ...]:
    """The attributes that classes with these labels can be added up to: all labels known, all groups met."""
    plain = [_plain(label) for label in labels]
    return tuple(
        attribute
        for attribute, entries in maps().items()
        if all(label in entries for label in plain)
        and {entries[label] for label in plain} == set(groups(attribute))
    )


def distinct(attributes: Iterable[str]) -> tuple[str, ...]:
    """The attributes without those that say again, and finer, what another one says.

    A joint table of ``age2`` and ``age9`` holds cells that cannot be, and has too many for any image count.

    >>> distinct(["gender", "race7", "race4", "age9"])
    ('gender', 'race4', 'age9')
    """
    named = list(attributes)
    finer = {name for scale in SCALES for name in [one for one in scale if one in named][1:]}
    return tuple(name for name in named if name not in finer)


def group_of(label: str, attribute: str) -> str:
    """The group of ``attribute`` that a judge's class ``label`` belongs to.

    Raises:
        EvenhandError: The label is not known.
    """
    entries = maps()[attribute]
    if _plain(label) not in entries:
        raise EvenhandError(
            f"label {label!r} belongs to no group of {attribute} ({', '.join(groups(attribute))}); "
            "name its group"
        )
    return entries[_plain(label)]


def regroup(shares: NDArray[np.float64], labels: Sequence[str], attribute: str) -> NDArray[np.float64]:
    """Probabilities of a judge's classes ``(n, len(labels))`` added up to groups ``(n, K)``.

    Raises:
        EvenhandError: A label is not known.
    """
    found = [group_of(label, attribute) for label in labels]
    merge = np.array([[group == wanted for wanted in groups(attribute)] for group in found], np.float64)
    added: NDArray[np.float64] = shares @ merge
    return added


def age_bin(years: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index into ``groups("age9")`` of ages in completed years, ``(n,)``."""
    starts = [int(label.rstrip("+").split("-")[0]) for label in groups("age9")]
    index: NDArray[np.int64] = np.searchsorted(starts, np.floor(years), side="right") - 1
    return index


def _plain(label: str) -> str:
    """One spelling of a label: lower case, words separated by single blanks."""
    words = " ".join(label.lower().replace("_", " ").replace("/", " ").split())
    return SYNONYMS.get(words, words)
