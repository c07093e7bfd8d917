"""Taxonomies of perceived attributes, and the mapping of classes to groups by name.

Released judges order their classes differently (two orders of the FairFace races are in circulation), so
classes are matched by name, never by index. The probability of a coarse group is the sum over its fine
classes. Deciding a fine class first would lose images that lie between two classes of one group.
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
"""Published tables used by the judges; the first line of each names its source."""

GENDER = {"woman": "woman", "female": "woman", "man": "man", "male": "man"}
"""Label of gender presentation to its group. No judge has a third class."""

RACE4 = ("WMELH", "Black", "Indian", "Asian")
"""Groups of Shen et al., arXiv 2311.07604; WMELH is White, Middle Eastern and Latino or Hispanic."""

TONE_ITA = ("very light", "light", "intermediate", "tan", "brown", "dark")
"""Classes of the individual typology angle (Chardon et al. 1991; Del Bino and Bernerd 2013)."""

MONK = tuple(f"monk {number}" for number in range(1, 11))
"""Monk skin tones, lightest first."""

COARSER = {"race4": "race7", "age2": "age5"}
"""Attributes that a zero-shot judge answers by summing the groups of a finer one."""

SCALES = (("race4", "race7"), ("age2", "age5", "age9"), ("tone", "ita6", "mst10"))
"""Attributes that are the same concept in several taxonomies, coarsest first."""

ORDERED = frozenset({"age", *SCALES[1], *SCALES[2]})
"""Attributes whose groups have an order."""

SYNONYMS = {"more than 70": "70+", "latino": "latino hispanic", "hispanic": "latino hispanic"}
"""Names of one class in different releases, normalised by ``_plain``."""


def table(name: str) -> list[dict[str, str]]:
    """The rows of a bundled table, without the first line, which names the source."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        file.readline()
        return list(csv.DictReader(file))


@cache
def maps() -> Mapping[str, Mapping[str, str]]:
    """Attribute to label (normalised by ``_plain``) to group.

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
        KeyError: The attribute has no taxonomy.
    """
    fixed = {"race4": RACE4, "ita6": TONE_ITA, "mst10": MONK}
    return fixed[attribute] if attribute in fixed else tuple(dict.fromkeys(maps()[attribute].values()))


def readable(labels: Iterable[str]) -> tuple[str, ...]:
    """The attributes that classes with these labels cover: all labels are known and every group occurs."""
    plain = [_plain(label) for label in labels]
    return tuple(
        attribute
        for attribute, entries in maps().items()
        if all(label in entries for label in plain)
        and {entries[label] for label in plain} == set(groups(attribute))
    )


def distinct(attributes: Iterable[str]) -> tuple[str, ...]:
    """The attributes without finer versions of other attributes in the list.

    A joint table of ``age2`` and ``age9`` would have impossible cells and too many of them.

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
            "give its group"
        )
    return entries[_plain(label)]


def regroup(shares: NDArray[np.float64], labels: Sequence[str], attribute: str) -> NDArray[np.float64]:
    """Probabilities ``(n, K)`` of the groups, summed from those of a judge's classes ``(n, len(labels))``.

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
    """A normalised label: lower case, words separated by single spaces."""
    words = " ".join(label.lower().replace("_", " ").replace("/", " ").split())
    return SYNONYMS.get(words, words)
