"""The marks of an image: groups that differ from the baseline, and groups that the prompt did not get."""

from __future__ import annotations

from evenhand.bench.results.result import ImageRow
from evenhand.bench.results.text import UNDETERMINED, parse_cell


def changed(row: ImageRow, base: ImageRow) -> dict[str, str]:
    """Attribute to the new group, where the perceived group differs from that of the baseline's image.

    An undetermined label on either side is not a change.
    """
    before = {name: base.labels.get(name, UNDETERMINED) for name in row.labels}
    return {
        name: group
        for name, group in row.labels.items()
        if UNDETERMINED not in (group, before[name]) and group != before[name]
    }


def disobeyed(row: ImageRow) -> dict[str, str]:
    """Attribute to the group that the prompt names, where the image shows another one.

    Only explicit prompts are disobeyed; an undetermined label is not a disobedience.
    """
    if row.kind != "explicit":
        return {}
    return {
        name: group
        for name, group in parse_cell(row.cell).items()
        if row.labels.get(name, UNDETERMINED) not in (group, UNDETERMINED)
    }
