"""Group assignment: which group of every attribute each image shows.

For methods that treat attributes one by one. An image whose prompt mentions a treated concept draws a cell
from that concept's row of the target, with the random stream of the image. If the row is a product over
attributes, such as the uniform one, this is the same as drawing every attribute independently; otherwise the
joint shares are met as well. A method can respect the groups that a prompt states; the other attributes are
then drawn from the target conditional on them.
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
"""Assignment of an attribute that the prompt states: draw a group, leave it, or follow the stated group."""


def group_words(cells: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """Attribute to group to the adjective that names this group alone, in the order of the cells.

    Attributes with the same group in all cells are left out: there is nothing to balance.

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


def assignment_spec(task: Task, *, stated: Stated = "draw") -> dict[str, Any]:
    """The input of :func:`assigned_groups`, as JSON values.

    Args:
        task: Provides concepts, cells and target.
        stated: Assignment of attributes that the prompt states.

    Returns:
        ``target``: concept to its shares of the cells; ``cells``: the groups of every cell; ``order``: pairs
        of an attribute and its groups, in the order of :func:`group_words` (pairs, because stored JSON
        objects do not keep the order of their keys, and attributes are treated in order); ``stated``;
        ``stating``: attribute to group to the phrases that state it, empty if stated groups are ignored.
    """
    words = group_words(task.cells)
    return {
        "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
        "cells": [dict(cell.groups) for cell in task.cells],
        "order": [[attribute, list(groups)] for attribute, groups in words.items()],
        "stated": stated,
        "stating": {} if stated == "draw" else stating_phrases(task.cells, SYNONYMS),
    }


def assigned_groups(batch: Batch, spec: Mapping[str, Any]) -> dict[str, list[int]]:
    """Attribute, in order, to the index of the assigned group of every image; -1 without an assignment."""
    rows = [_image_groups(*pair, spec) for pair in zip(batch.texts, batch.draws, strict=True)]
    return {
        attribute: [order.index(row[attribute]) if attribute in row else -1 for row in rows]
        for attribute, order in spec["order"]
    }


def _image_groups(text: str, draw: np.random.Generator, spec: Mapping[str, Any]) -> dict[str, str]:
    """Attribute to assigned group of one image; attributes without an assignment are missing."""
    concept = first_phrase(text, tuple(spec["target"]))
    if concept is None:
        return {}
    stated = stated_groups(text, spec["stating"])
    shares = conditional(spec["target"][concept[0]], spec["cells"], stated)
    groups = dict(spec["cells"][draw.choice(len(shares), p=shares)])
    for attribute, named in stated.items():
        if spec["stated"] == "leave" or len(named) > 1:
            del groups[attribute]
        else:
            (groups[attribute],) = named
    return groups
