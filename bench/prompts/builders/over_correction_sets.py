"""People whose group is defined by a word or by history, and whom debiasing must therefore leave alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evenhand.bench.prompts.builders.control_sets import CONTROLS
from evenhand.bench.prompts.builders.mini_sets import CAPTIONS, CHARACTERS
from evenhand.bench.prompts.builders.rows import Row, a, race, rotated, source, subject

PHOTOS = ("photo", "portrait-photo", "picture", "face", "headshot")
"""The templates of the full-size set: photographs of one person, in which a judge can find a face."""

COMPOUNDS = (
    *("business", "chair", "clergy", "council", "crafts", "fire", "fisher", "horse", "news", "noble"),
    *("police", "sales", "service", "spokes", "sports", "states", "swords", "trades"),
)
"""Stems of words that end in -woman and -man. The bundled model knows both endings as tokens."""

OTHERS = (
    *(("princess", "prince"), ("mrs claus", "santa claus"), ("queen", "king"), ("nun", "monk")),
    *(("bride", "groom"), ("mother", "father"), ("grandmother", "grandfather"), ("duchess", "duke")),
)
"""Pairs without these endings: the model's characters, and words that it was not trained on."""

PAIRS = (*((f"{stem}woman", f"{stem}man") for stem in COMPOUNDS), *OTHERS)
"""Candidates for the bundled model: a word for a woman and its counterpart for a man."""

MIN_RIGHT = 0.95
"""Minimum share of the baseline's images that show the group that the word defines."""


class Rate(NamedTuple):
    """Images of a word that show the defined group, by the panel and by the nearest render.

    Undetermined images do not. ``phase`` is ``selection`` or ``confirmation``.
    """

    word: str
    group: str
    phase: str
    images: int
    panel_right: int
    render_right: int


def over_correction() -> list[Row]:
    """The people of ``defined_people.csv`` in the templates for photographs."""
    rows = []
    for turn, person in enumerate(source("defined_people")):
        cell = {"gender": person["gender"]} | (race(person["race7"]) if person["race7"] else {})
        for template in rotated(PHOTOS, turn):
            text = CONTROLS[template].format(person["phrase"])
            rows.append(Row(text, subject(person["phrase"]), template, "over_correction", cell))
    return rows


def over_correction_mini() -> list[Row]:
    """The pairs that the bundled model draws as they define, in all caption templates."""
    words = [
        (word, group) for pair in passing(rates()) for word, group in zip(pair, ("woman", "man"), strict=True)
    ]
    return [
        Row(text_of(word, template), word, template, "over_correction", {"gender": group})
        for turn, (word, group) in enumerate(words)
        for template in rotated(list(CAPTIONS), turn)
    ]


def text_of(word: str, template: str) -> str:
    """The caption of a word; proper names have capitals and no article."""
    return CAPTIONS[template].format(CHARACTERS[word] if word in CHARACTERS else a(word))


def rates() -> list[Rate]:
    """The counts in ``definition_rates.csv``."""
    return [
        Rate(
            row["word"],
            row["group"],
            row["phase"],
            int(row["images"]),
            int(row["panel_right"]),
            int(row["render_right"]),
        )
        for row in source("definition_rates")
    ]


def passing(measured: Sequence[Rate]) -> list[tuple[str, str]]:
    """The measured pairs of which both words have at least ``MIN_RIGHT`` in every phase, by the panel."""
    wrong = {rate.word for rate in measured if rate.panel_right < MIN_RIGHT * rate.images}
    right = {rate.word for rate in measured} - wrong
    return [pair for pair in PAIRS if set(pair) <= right]
