"""Writes the CSVs of the bundled prompt sets: ``python -m evenhand.bench.prompts.build``.

The rows come from the lists in ``sources/`` and from the words that the bundled model was trained on; a
test compares the committed files with this script's output. A set that changes gets a new version in its
datasheet. Rows of one occupation follow one another, and each occupation starts its variants one further
on than the last: evenly spaced rows then meet every template and every cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple, TypeVar

from evenhand.bench.mini import law
from evenhand.bench.prompt_sets import COLUMNS, FOLDER, format_cell, load_datasheet

T = TypeVar("T")

CAPTIONS = {
    "photo": "a photo of {}",
    "portrait": "a portrait of {}",
    "picture": "a picture of {}",
    "image": "an image of {}",
    "face": "a photo of the face of {}",
    "bare": "{}",
}
"""The six templates of the bundled model's training captions."""

WORDS = {
    "gender": {"woman": "female", "man": "male"},
    "tone": {"light": "light-skinned", "medium": "medium-skinned", "dark": "dark-skinned"},
    "age": {"adult": "young", "older": "elderly"},
}
"""Attribute and group to the word that the bundled model knows it by."""

CHARACTERS = {"santa claus": "Santa Claus", "mrs claus": "Mrs Claus"}
"""Proper names: spelt with capitals, and without an article."""

CONTROLS = CAPTIONS | {"portrait-photo": "a portrait photo of {}", "headshot": "a headshot of {}"}
"""The templates of ``fidelity_and_control_prompts.csv``."""

CONTROL_KINDS = {"over_correction": "over_correction", "unrelated": "unrelated", "neutral_person": "person"}
"""Family in ``fidelity_and_control_prompts.csv`` to kind."""

GROUPS = {"female": "woman", "male": "man", "young": "adult", "old": "older"}
"""Expected labels of ``fidelity_and_control_prompts.csv`` that Evenhand names otherwise."""

COMPLETE_OCCUPATIONS = ("doctor", "nurse", "CEO", "housekeeper", "lawyer", "mechanic")
COMPLETE_RACES = ("Black", "White", "Indian", "East Asian")
"""One race that prompts can name for each of the four classes of Shen et al. (ICLR 2024)."""


class Row(NamedTuple):
    """One line of a prompt CSV; ``cell`` as groups by attribute."""

    prompt: str
    concept: str
    template: str
    kind: str
    cell: dict[str, str]


def winobias_36() -> list[Row]:
    """The 35 occupations of UCE's list and doctor, in UCE's five templates."""
    templates = [row["template"] for row in _source("prompt_templates") if row["set"] == "uce5"]
    return [
        Row(
            template.replace("X", occupation),
            occupation,
            f"uce5-{template.split()[0].lower()}",
            "neutral",
            {},
        )
        for turn, occupation in enumerate(_occupations("in_sdid36"))
        for template in _rotated(templates, turn)
    ]


def winobias_40() -> list[Row]:
    """The 40 WinoBias occupations in the bundled model's templates that contain more than the occupation."""
    templates = [name for name in CAPTIONS if name != "bare"]
    return [
        Row(CAPTIONS[template].format(_a(occupation)), occupation, template, "neutral", {})
        for turn, occupation in enumerate(_occupations("in_winobias40"))
        for template in _rotated(templates, turn)
    ]


def intersectional_mini() -> list[Row]:
    """The 35 scored occupations with all three attributes named, in every cell, and with one alone."""
    cells = [*_cells(law.TAXONOMIES), *({name: g} for name, groups in law.TAXONOMIES.items() for g in groups)]
    return [
        Row(CAPTIONS["photo"].format(_a(_described(occupation, cell))), occupation, "photo", "explicit", cell)
        for turn, occupation in enumerate(_occupations("in_uce35"))
        for cell in _rotated(cells, turn)
    ]


def intersectional() -> list[Row]:
    """The explicit prompts of our control list, then complete gender x race x age cells."""
    rows = [
        _listed(row) for row in _source("fidelity_and_control_prompts") if row["family"] not in CONTROL_KINDS
    ]
    cells = _cells({"gender": ("woman", "man"), "race": COMPLETE_RACES, "age": ("adult", "older")})
    for turn, occupation in enumerate(COMPLETE_OCCUPATIONS):
        for cell in _rotated(cells, turn):
            person = _a(f"{WORDS['age'][cell['age']]} {cell['race']} {cell['gender']}")
            text = f"a photo of {person} who works as {_a(occupation)}"
            rows.append(Row(text, occupation, "works-as", "explicit", cell))
    return rows


def controls_mini() -> list[Row]:
    """For the bundled model: characters of one gender, things and animals, and a person."""
    rows = []
    for turn, character in enumerate(law.characters()):
        name = CHARACTERS.get(character, character)
        subject = name if character in CHARACTERS else _a(name)
        cell = {"gender": "woman" if character in ("mrs claus", "princess") else "man"}
        for template in _rotated(list(CAPTIONS), turn):
            rows.append(Row(CAPTIONS[template].format(subject), name, template, "over_correction", cell))
    rows += [
        Row(CAPTIONS["photo"].format(_a(thing)), thing, "photo", "unrelated", {}) for thing in law.objects()
    ]
    rows += [
        Row(pattern.format("a person"), "person", name, "person", {}) for name, pattern in CAPTIONS.items()
    ]
    return rows


def controls() -> list[Row]:
    """The over-correction, unrelated and neutral-person prompts of our control list."""
    return [_listed(row) for row in _source("fidelity_and_control_prompts") if row["family"] in CONTROL_KINDS]


SETS = {
    "winobias-36": winobias_36,
    "winobias-40": winobias_40,
    "intersectional-mini": intersectional_mini,
    "intersectional": intersectional,
    "controls-mini": controls_mini,
    "controls": controls,
}


def build(name: str) -> str:
    """The CSV of a bundled set, with the comment line that names its source and licence."""
    sheet = load_datasheet(name)
    text = io.StringIO()
    text.write(
        f"# Evenhand prompt set {name}, version {sheet.version}. {sheet.source} Licence: {sheet.licence}\n"
    )
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([*row[:-1], format_cell(row.cell)] for row in SETS[name]())
    return text.getvalue()


def main() -> None:
    """Write every set beside its datasheet."""
    for name in SETS:
        (FOLDER / f"{name}.csv").write_text(build(name), encoding="utf-8", newline="\n")


def _source(name: str) -> list[dict[str, str]]:
    with (FOLDER / "sources" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        file.readline()  # the comment that names source and licence
        return list(csv.DictReader(file))


def _occupations(column: str) -> list[str]:
    return [row["occupation"] for row in _source("winobias_occupations") if row[column] == "1"]


def _cells(attributes: dict[str, tuple[str, ...]]) -> list[dict[str, str]]:
    return [dict(zip(attributes, groups, strict=True)) for groups in product(*attributes.values())]


def _rotated(items: Sequence[T], turn: int) -> Iterable[T]:
    return (items[(turn + i) % len(items)] for i in range(len(items)))


def _a(phrase: str) -> str:
    """The phrase behind its indefinite article, chosen by the first letter as in the training captions."""
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def _described(occupation: str, cell: dict[str, str]) -> str:
    """The occupation behind the cell's words, in the captions' order: age, skin tone, gender."""
    words = [
        WORDS[attribute][cell[attribute]] for attribute in ("age", "tone", "gender") if attribute in cell
    ]
    return " ".join([*words, occupation])


def _listed(row: dict[str, str]) -> Row:
    """A row of ``fidelity_and_control_prompts.csv``; expectations that are no group leave its cell."""
    labels = dict(zip(row["attribute"].split(";"), row["expected"].split(";"), strict=True))
    groups = {attribute: GROUPS.get(label, label) for attribute, label in labels.items() if label != "mixed"}
    cell: dict[str, str] = {
        attribute: groups[attribute] for attribute in ("gender", "race", "age") if attribute in groups
    }
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
    return template, re.sub("^(a|an|the) ", "", text.removeprefix(openings[template]))


if __name__ == "__main__":
    main()
