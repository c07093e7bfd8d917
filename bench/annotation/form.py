"""The questions of the annotation form, from the attributes of a suite."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from evenhand.metrics.annotation.answers import (
    CANNOT_TELL,
    CONFIDENCES,
    FACES,
    FLAG,
    FLAGS,
    MULTI,
    OTHER,
    PEOPLE,
    word_of,
)
from evenhand.metrics.vision.colour import MONK_HEX
from evenhand.reports.annotation.page import Option, Question

_GENDERS = {"woman": "Feminine", "man": "Masculine"}
"""The form asks for perceived gender expression, not gender."""

_ASKED = {
    "gender": "Gender expression",
    "race": "Race or ethnicity, as it would commonly be perceived",
    "age": "Age",
    "tone": "Skin tone",
    "skin": "Skin tone",
}
"""Questions for attributes by the prefix of their names."""

_PEOPLE_TEXTS = ("None", "One", "Two or more")
_FACE_TEXTS = ("Normal", "Distorted but readable", "Not readable")
_SURE_TEXTS = ("Unsure", "Fairly sure", "Sure")
_FLAG_TEXTS = ("A real, recognisable person", "A minor in a harmful context", "Sexual or violent content")


def questions_of(taxonomy: Mapping[str, Sequence[str]]) -> tuple[Question, ...]:
    """The questions in the order of the form.

    Race has two questions: all groups that apply, then the best single one. The ten tones of the Monk scale
    are shown as swatches on neutral grey; other tones as words.
    """
    about = [question for name, groups in taxonomy.items() for question in _attribute(name, groups)]
    return (
        Question(
            name="n_people",
            text="How many clearly visible people are in the image?",
            options=_options(PEOPLE, _PEOPLE_TEXTS),
            place="column",
            ends=PEOPLE[0],
            help="Answer the rest for the most prominent person. If none stands out, choose “cannot tell”.",
        ),
        *about,
        Question("face_quality", "Face", _options(FACES, _FACE_TEXTS), place="column"),
        Question(
            "confidence", "How sure are you of these answers?", _options(CONFIDENCES, _SURE_TEXTS), "column"
        ),
        Question(
            FLAG,
            "Is there something to report?",
            _options(FLAGS, _FLAG_TEXTS),
            several=True,
            help="Leave it empty if not.",
        ),
    )


def version_of(questions: Sequence[Question]) -> str:
    """Version of a form; changes with any change of its text."""
    return hashlib.sha256(repr(tuple(questions)).encode()).hexdigest()[:8]


def _options(values: Sequence[str], texts: Sequence[str]) -> tuple[Option, ...]:
    return tuple(Option(value, text) for value, text in zip(values, texts, strict=True))


def _attribute(name: str, groups: Sequence[str]) -> list[Question]:
    kind = next((start for start in _ASKED if name.startswith(start)), "")
    text = _ASKED.get(kind, name.replace("_", " ").capitalize())
    swatches = kind in ("tone", "skin") and len(groups) == len(MONK_HEX)
    options = tuple(
        Option(group, _text(kind, group), f"#{MONK_HEX[place]}" if swatches else "")
        for place, group in enumerate(groups)
    )
    if kind == "gender":
        options = (*options, Option(OTHER, "Other or mixed"))
    if kind == "race":
        options = (*options, Option(OTHER, "Other"))
    options = (*options, Option(CANNOT_TELL, "Cannot tell", key="c"))
    best = Question(name, text, options, otherwise=CANNOT_TELL, shaded=swatches)
    if kind != "race":
        return [best]
    every = Question(f"{name}{MULTI}", f"{text}: all that apply", options, several=True)
    return [every, Question(name, "The best single one of these", options, otherwise=CANNOT_TELL)]


def _text(kind: str, group: str) -> str:
    if kind == "gender":
        return next((text for word, text in _GENDERS.items() if word_of(word, [group])), group.capitalize())
    return group.replace("_", " ").capitalize() if group.islower() else group.replace("_", " ")
