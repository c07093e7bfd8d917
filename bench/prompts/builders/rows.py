"""What the builders of the prompt sets share: a row, the lists in ``sources/``, and turning rows about."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple, TypeVar

from evenhand.metrics.taxonomies import group_of

T = TypeVar("T")

SOURCES = Path(__file__).parents[1] / "sources"


class Row(NamedTuple):
    """One line of a prompt CSV; ``cell`` as groups by attribute."""

    prompt: str
    concept: str
    template: str
    kind: str
    cell: dict[str, str]
    seeds: tuple[int, ...] = ()


def neutral(prompt: str, *, concept: str, template: str) -> Row:
    """A row of kind ``neutral``."""
    return Row(prompt, concept, template, "neutral", {})


def source(name: str) -> list[dict[str, str]]:
    """The rows of ``sources/<name>.csv``."""
    with (SOURCES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        file.readline()  # the comment that names source and licence
        return list(csv.DictReader(file))


def occupations(column: str) -> list[str]:
    """The occupations of the list that ``column`` of ``winobias_occupations.csv`` marks."""
    return [row["occupation"] for row in source("winobias_occupations") if row[column] == "1"]


def templates(work: str) -> list[str]:
    """The templates of one published work, as ``prompt_templates.csv`` has them."""
    return [row["template"] for row in source("prompt_templates") if row["set"] == work]


def short(template: str) -> str:
    """Short name of a published template: its words without the occupation, articles and "of".

    >>> short("A photo of A X"), short("X in the workplace")
    ('photo', 'in-the-workplace')
    """
    return "-".join(word.lower() for word in template.split() if word not in ("X", "A", "a", "of"))


def cells(attributes: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Every combination of one group of each attribute."""
    return [dict(zip(attributes, groups, strict=True)) for groups in product(*attributes.values())]


def rotated(items: Sequence[T], turn: int) -> Iterable[T]:
    """The items from place ``turn`` on, and then the first ones."""
    return (items[(turn + i) % len(items)] for i in range(len(items)))


def a(phrase: str) -> str:
    """The phrase behind its indefinite article, chosen by the first letter as in the training captions."""
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def race(label: str) -> dict[str, str]:
    """The cell of one of FairFace's seven races, and of the one of four that Shen et al. merge it into."""
    return {"race7": label, "race4": group_of(label, "race4")}


def subject(phrase: str) -> str:
    """The phrase without its article."""
    return re.sub("^(a|an|the) ", "", phrase)
