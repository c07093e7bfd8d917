"""Groups that a prompt states in words, the target conditional on them, and stating more of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evenhand.methods.base import Cell
from evenhand.methods.shared.prompt_text import before, first_phrase

SYNONYMS = {
    "woman": ("woman", "female", "lady", "girl", "mother", "she", "her", "hers", "herself"),
    "man": ("man", "male", "gentleman", "boy", "guy", "father", "he", "him", "his", "himself"),
    "light": ("light-skinned", "fair-skinned", "light skin", "fair skin"),
    "medium": ("medium-skinned", "brown-skinned", "medium skin", "brown skin"),
    "dark": ("dark-skinned", "dark skin"),
    "adult": ("adult", "young", "middle-aged"),
    "older": ("older", "old", "elderly", "aged", "senior"),
}
"""Words that state a group in addition to the words of the cells, by the group's name."""

_DETERMINERS = {"her", "his"}
"""Words that state a group, but before which an adjective cannot stand."""

Words = Mapping[str, Mapping[str, Sequence[str]]]
"""Attribute to group to phrases."""


def conditional(
    target: Sequence[float], groups: Sequence[Mapping[str, str]], stated: Mapping[str, set[str]]
) -> NDArray[np.float64]:
    """``p*(z | s)``, ``(K,)``: the target given the groups ``s``; ``p*`` if it gives them no weight."""
    agrees = [all(cell[attribute] in allowed for attribute, allowed in stated.items()) for cell in groups]
    weights = np.where(agrees, target, 0.0)
    return weights / weights.sum() if weights.any() else np.asarray(target, np.float64)


def stated_groups(text: str, stating: Words) -> dict[str, set[str]]:
    """Attribute to the groups that the text names; attributes it leaves open are missing."""
    found = {
        attribute: {group for group, phrases in groups.items() if first_phrase(text, phrases, any_case=True)}
        for attribute, groups in stating.items()
    }
    return {attribute: groups for attribute, groups in found.items() if groups}


def stating_phrases(cells: Sequence[Cell], synonyms: Mapping[str, Sequence[str]]) -> Words:
    """The phrases that state each group: its adjective, the nouns of this group only, and its synonyms."""
    stating: dict[str, dict[str, list[str]]] = {}
    for attribute in cells[0].groups:
        for cell in cells:
            group = cell.groups[attribute]
            inside = [set(c.noun.split()) for c in cells if c.groups[attribute] == group]
            outside = [set(c.noun.split()) for c in cells if c.groups[attribute] != group]
            adjective = cell.adjectives[attribute]
            nouns = set.intersection(*inside).difference(*outside, adjective.split())
            phrases = {adjective, *nouns, *synonyms.get(group, ())}
            stating.setdefault(attribute, {})[group] = sorted(phrases)
    return stating


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


def ordered_adjectives(cell: Cell) -> dict[str, str]:
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
