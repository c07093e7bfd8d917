"""Cells derived from the cells of a task: the opposites of a cell, and the groups of each attribute alone."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.methods.base import Cell


def opposites(cell: Cell, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that differ from ``cell`` in the largest number of attributes, in all of them if possible."""
    distance = [sum(cell.groups[name] != other.groups[name] for name in cell.groups) for other in cells]
    return [other for other, d in zip(cells, distance, strict=True) if d == max(distance)]


def single_groups(cells: Sequence[Cell]) -> list[Cell]:
    """One cell for every group of every attribute alone: "female", "male", "young", "elderly"."""
    words = dict.fromkeys(
        (name, cell.groups[name], cell.adjectives[name]) for name in cells[0].groups for cell in cells
    )
    return [
        Cell(groups={name: group}, adjective=word, noun=f"{word} person", adjectives={name: word})
        for name, group, word in words
    ]
