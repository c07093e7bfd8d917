"""Evenhand's own sets for full-size models: explicit prompts, and prompts on which nothing should change."""

from __future__ import annotations

from evenhand.bench.prompts.builders.mini_sets import CAPTIONS, WORDS
from evenhand.bench.prompts.builders.rows import Row, a, cells, race, rotated, source, subject

CONTROLS = CAPTIONS | {"portrait-photo": "a portrait photo of {}", "headshot": "a headshot of {}"}
"""The templates of ``fidelity_and_control_prompts.csv``."""

CONTROL_KINDS = {"over_correction": "over_correction", "unrelated": "unrelated", "neutral_person": "person"}
"""Family in ``fidelity_and_control_prompts.csv`` to kind."""

GENDERS = {"female": "woman", "male": "man"}
"""Expected gender in ``fidelity_and_control_prompts.csv`` to group."""

COMPLETE_OCCUPATIONS = ("doctor", "nurse", "CEO", "housekeeper", "lawyer", "mechanic")
COMPLETE_RACES = ("Black", "White", "Indian", "East Asian")
"""One race that prompts can name for each of the four classes of Shen et al. (ICLR 2024)."""

AGES = {"young": WORDS["age"]["adult"], "old": WORDS["age"]["older"]}
"""Age group to the word for it."""


def intersectional() -> list[Row]:
    """The explicit prompts of our control list, then complete gender x race x age cells."""
    rows = [
        _listed(row) for row in source("fidelity_and_control_prompts") if row["family"] not in CONTROL_KINDS
    ]
    asked = cells({"gender": tuple(GENDERS.values()), "race": COMPLETE_RACES, "age": tuple(AGES)})
    for turn, occupation in enumerate(COMPLETE_OCCUPATIONS):
        for cell in rotated(asked, turn):
            person = a(f"{AGES[cell['age']]} {cell['race']} {cell['gender']}")
            text = f"a photo of {person} who works as {a(occupation)}"
            rows.append(Row(text, occupation, "works-as", "explicit", _groups(cell)))
    return rows


def controls() -> list[Row]:
    """The over-correction, unrelated and neutral-person prompts of our control list."""
    return [_listed(row) for row in source("fidelity_and_control_prompts") if row["family"] in CONTROL_KINDS]


def _groups(expected: dict[str, str]) -> dict[str, str]:
    """The cell of an expected gender, race and age; what is not a group leaves it."""
    cell: dict[str, str] = {}
    if "gender" in expected:
        cell["gender"] = GENDERS.get(expected["gender"], expected["gender"])
    if "race" in expected:
        cell |= race(expected["race"])
    if "age" in expected:
        cell["age2"] = expected["age"]
    return cell


def _listed(row: dict[str, str]) -> Row:
    """A row of ``fidelity_and_control_prompts.csv``."""
    labels = dict(zip(row["attribute"].split(";"), row["expected"].split(";"), strict=True))
    cell = _groups({attribute: label for attribute, label in labels.items() if label != "mixed"})
    text = row["prompt"]
    if row["family"] in CONTROL_KINDS:
        template, concept = _split(text)
        return Row(text, concept, template, CONTROL_KINDS[row["family"]], cell)
    template = "works-as" if " who works as " in text else "photo"
    return Row(text, text.rsplit(" ", 1)[1], template, "explicit", cell)


def _split(text: str) -> tuple[str, str]:
    """The longest template that the text begins with, and the words after it without their article."""
    openings = {name: pattern.removesuffix("{}") for name, pattern in CONTROLS.items()}
    template = max(
        (name for name in openings if text.startswith(openings[name])), key=lambda n: len(openings[n])
    )
    return template, subject(text.removeprefix(openings[template]))
