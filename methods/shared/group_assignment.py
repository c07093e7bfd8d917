"""Which group of every attribute each image is to show, for methods that treat attributes one by one.

An image whose prompt mentions a treated concept draws one of the cells from that concept's row of the
target, with its own random stream. Where the row is a product over attributes, as the uniform one, this is
the same as drawing every attribute on its own; where it is not, the joint shares are met all the same. A
method may heed what the prompt itself states; the rest is then drawn as the target has it among that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Cell, Task
from evenhand.methods.hooks import Batch
from evenhand.methods.shared.prompt_text import first_phrase
from evenhand.methods.shared.stated_groups import SYNONYMS, conditional, stated_groups, stating_phrases

Stated = Literal["draw", "leave", "follow"]
"""What is wanted of an attribute that a prompt states: a drawn group, nothing, or the stated group."""


def group_words(cells: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """Attribute to group to the adjective that names this group alone, in the cells' order.

    An attribute of which all cells have the same group is left out: there is nothing to balance.

    Raises:
        EvenhandError: No attribute is left.
    """
    words: dict[str, dict[str, str]] = {}
    for cell in cells:
        for attribute, group in cell.groups.items():
            words.setdefault(attribute, {})[group] = cell.adjectives[attribute]
    varied = {attribute: groups for attribute, groups in words.items() if len(groups) > 1}
    if not varied:
        raise EvenhandError(f"all cells show {cells[0].name!r}; give at least two groups to balance")
    return varied


def assignment(task: Task, *, stated: Stated = "draw") -> dict[str, Any]:
    """What :func:`assigned_groups` needs, as JSON values.

    Args:
        task: Gives concepts, cells and target.
        stated: What is wanted of an attribute that the prompt itself states.

    Returns:
        ``target``: concept to its shares of the cells; ``cells``: the groups of every cell; ``order``: pairs
        of an attribute and its groups, counted as in :func:`group_words` (pairs, since a stored object
        forgets the order of its names, and attributes are treated in order); ``stated``; ``stating``:
        attribute to group to the phrases that state it, empty where none is heeded.
    """
    words = group_words(task.cells)
    return {
        "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
        "cells": [dict(cell.groups) for cell in task.cells],
        "order": [[attribute, list(groups)] for attribute, groups in words.items()],
        "stated": stated,
        "stating": {} if stated == "draw" else stating_phrases(task.cells, SYNONYMS),
    }


def assigned_groups(batch: Batch, rule: Mapping[str, Any]) -> dict[str, list[int]]:
    """Attribute, in order, to the wanted group of every image; -1 where nothing is wanted of it."""
    rows = [_assigned(*pair, rule) for pair in zip(batch.texts, batch.draws, strict=True)]
    return {
        attribute: [groups.index(row[attribute]) if attribute in row else -1 for row in rows]
        for attribute, groups in rule["order"]
    }


def _assigned(text: str, draw: np.random.Generator, rule: Mapping[str, Any]) -> dict[str, str]:
    """Attribute to wanted group; attributes of which nothing is wanted are missing."""
    concept = first_phrase(text, tuple(rule["target"]))
    if concept is None:
        return {}
    stated = stated_groups(text, rule["stating"])
    shares = conditional(rule["target"][concept[0]], rule["cells"], stated)
    wanted = dict(rule["cells"][draw.choice(len(shares), p=shares)])
    for attribute, groups in stated.items():
        if rule["stated"] == "leave" or len(groups) > 1:
            del wanted[attribute]
        else:
            (wanted[attribute],) = groups
    return wanted
