"""Cells derived from the cells of a task."""

from helpers.methods import GENDER, JOINT

from evenhand.methods.base import Cell
from evenhand.methods.shared.cells import opposites, single_groups


def test_opposites_differ_in_every_attribute_and_single_groups_have_one():
    three = (*GENDER, Cell(groups={"gender": "other"}, adjective="nonbinary", noun="nonbinary person"))
    assert opposites(three[0], three) == [three[1], three[2]]
    assert [opposites(cell, JOINT) for cell in JOINT] == [[cell] for cell in JOINT[::-1]]
    assert [(cell.groups, cell.noun) for cell in single_groups(JOINT)] == [
        ({"gender": "woman"}, "female person"),
        ({"gender": "man"}, "male person"),
        ({"age": "adult"}, "young person"),
        ({"age": "older"}, "elderly person"),
    ]
