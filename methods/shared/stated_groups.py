"""Groups that a prompt states in words, and the target conditional on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evenhand.methods.base import Cell
from evenhand.methods.shared.prompt_text import first_phrase

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
