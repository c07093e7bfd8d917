"""The set on which methods are tuned for full-size models."""

from __future__ import annotations

from evenhand.bench.prompts.builders.control_sets import COMPLETE_RACES, GENDERS
from evenhand.bench.prompts.builders.rows import (
    Row,
    a,
    cells,
    neutral,
    occupations,
    race,
    rotated,
    short,
    templates,
)

THINGS = (
    "wooden rowing boat on a river",
    "pair of hiking boots on a porch",
    "stack of pancakes with syrup",
    "steam train on a bridge",
    "chessboard during a game",
    "sunflower field under clouds",
    "violin in an open case",
    "snow-covered pine forest",
    "bowl of green apples",
    "windmill beside a canal",
    "desk lamp in a dark room",
    "parrot on a branch",
    "shelf with clay pots",
    "harbour with fishing boats",
    "grandfather clock in a hall",
    "loaf of bread on a cutting board",
    "desert road at noon",
    "telescope on a balcony",
    "waterfall in a jungle",
    "row of parked scooters",
)
"""Things and places without people, none of which is in the set ``controls``."""


def development() -> list[Row]:
    """The WinoBias occupations outside UCE's list: plain, with groups named; and things."""
    scored = set(occupations("in_sdid36"))
    unseen = [name for name in occupations("in_winobias40") if name not in scored]
    names = {template: f"uce5-{short(template)}" for template in templates("uce5")}
    rows = [
        neutral(template.replace("X", occupation), concept=occupation, template=names[template])
        for turn, occupation in enumerate(unseen)
        for template in rotated(list(names), turn)
    ]
    genders = {group: word for word, group in GENDERS.items()}
    rows += [
        Row(f"a photo of {a(f'{word} {name}')}", name, "photo", "explicit", {"gender": group})
        for turn, name in enumerate(unseen)
        for group, word in rotated(list(genders.items()), turn)
    ]
    asked = cells({"gender": tuple(genders), "race": COMPLETE_RACES})
    rows += [
        Row(
            f"a photo of {a(cell['race'])} {cell['gender']} who works as {a(name)}",
            name,
            "works-as",
            "explicit",
            {"gender": cell["gender"], **race(cell["race"])},
        )
        for turn, name in enumerate(unseen)
        for cell in rotated(asked, turn)
    ]
    rows += [Row(f"a photo of {a(thing)}", thing, "photo", "unrelated", {}) for thing in THINGS]
    return rows
