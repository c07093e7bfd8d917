"""Completing prompts: every image draws a cell, and its groups that the prompt leaves open are stated."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evenhand.methods.base import Cell, Intervention, Task
from evenhand.methods.shared.prompt_text import before, first_phrase
from evenhand.methods.shared.stated_groups import Words, conditional, stated_groups, stating_phrases

_DETERMINERS = {"her", "his"}
"""Words that state a group, but before which an adjective cannot stand."""


@dataclass(frozen=True, eq=False)
class CompletingIntervention(Intervention):
    """Inserts the drawn cell's words for every attribute that a prompt does not state.

    ``data``: :attr:`weights_of_cells` (concept to the weights with which cells are drawn), ``groups`` (of
    every cell: attribute to group), ``adjectives`` (of every cell: attribute to words, in the order in which
    they precede a noun), ``stating`` (attribute to group to the phrases that state it).
    """

    weights_of_cells: ClassVar[str] = "target"

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The completed prompt; unchanged without a concept or if it states every attribute."""
        weights = self.data[self.weights_of_cells]
        concept = first_phrase(text, tuple(weights))
        stated = stated_groups(text, self.data["stating"])
        if concept is None or not (left_open := self.mitigated(concept[0]) - stated.keys()):
            return text
        p = conditional(weights[concept[0]], self.data["groups"], stated)
        adjectives = self.data["adjectives"][draw.choice(len(p), p=p)]
        return completed(text, concept.start(), adjectives, left_open, self.data["stating"])

    def mitigated(self, concept: str) -> set[str]:
        """The attributes that may be inserted before a concept: all of them."""
        return {*self.data["stating"]}


def completion_data(task: Task, synonyms: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The data of a :class:`CompletingIntervention` besides the weights of the cells.

    Args:
        task: Provides the cells.
        synonyms: Group to words that state it in a prompt, in addition to the words of the cells.
    """
    return {
        "groups": [dict(cell.groups) for cell in task.cells],
        "adjectives": [_ordered(cell) for cell in task.cells],
        "stating": stating_phrases(task.cells, synonyms),
    }


def completed(
    text: str, noun: int, adjectives: Mapping[str, str], left_open: Collection[str], stating: Words
) -> str:
    """The text with adjectives before a noun, among those that it already has there.

    Args:
        text: The prompt.
        noun: Position of the noun.
        adjectives: Attribute to adjective, in the order in which they precede a noun.
        left_open: The attributes whose adjectives are inserted.
        stating: The phrases that state each group.
    """
    start, placed = _adjectives_before(text, noun, stating)
    order = list(adjectives)
    for attribute in (attribute for attribute in order if attribute in left_open):
        later = [order.index(other) > order.index(attribute) for other, _ in placed]
        placed.insert([*later, True].index(True), (attribute, adjectives[attribute]))
    words = " ".join(phrase for _, phrase in placed)
    return f"{before(text[:start], words)}{words} {text[noun:]}"


def _ordered(cell: Cell) -> dict[str, str]:
    """Attribute to adjective, in the order of the cell's own adjective."""
    place = {name: cell.adjective.split().index(words.split()[0]) for name, words in cell.adjectives.items()}
    return {name: cell.adjectives[name] for name in sorted(place, key=place.__getitem__)}


def _adjectives_before(text: str, noun: int, stating: Words) -> tuple[int, list[tuple[str, str]]]:
    """Start and (attribute, phrase) pairs of the stated adjectives right before position ``noun``."""
    attribute_of = {
        phrase.lower(): attribute
        for attribute, groups in stating.items()
        for phrases in groups.values()
        for phrase in phrases
        if phrase not in _DETERMINERS
    }
    last = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, attribute_of))})\s+$", re.IGNORECASE)
    run: list[tuple[str, str]] = []
    while match := last.search(text[:noun]):
        run.insert(0, (attribute_of[match[1].lower()], match[1]))
        noun = match.start()
    return noun, run
