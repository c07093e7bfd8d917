"""Which group of every attribute each picture is to show, for methods that treat attributes one by one.

A picture whose prompt mentions a treated concept draws one of the cells from that concept's row of the
target, with its own random stream. Where the row is a product over attributes, as the uniform one, this is
the same as drawing every attribute on its own; where it is not, the joint shares are met all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Cell, Task
from evenhand.methods.drawing import drawn_cell
from evenhand.methods.steering import Batch


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


def wish_list(task: Task) -> dict[str, Any]:
    """What :func:`wanted_groups` needs, as JSON values.

    Returns:
        ``target``: concept to its shares of the cells; ``groups``: pairs of an attribute and the index of
        its group in every cell, groups counted in the order of :func:`group_words`. Pairs, since a stored
        object forgets the order of its names, and attributes are treated in order.
    """
    words = group_words(task.cells)
    return {
        "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
        "groups": [
            [attribute, [list(groups).index(cell.groups[attribute]) for cell in task.cells]]
            for attribute, groups in words.items()
        ],
    }


def wanted_groups(batch: Batch, wishes: Mapping[str, Any]) -> dict[str, list[int]]:
    """Attribute, in order, to the drawn group of every picture; -1 where nothing is wanted of it."""
    pairs = zip(batch.texts, batch.draws, strict=True)
    drawn = [drawn_cell(text, draw, wishes["target"]) for text, draw in pairs]
    return {
        attribute: [-1 if cell is None else of_cell[cell[1]] for cell in drawn]
        for attribute, of_cell in wishes["groups"]
    }
