"""Every registered method has a card that says what its class says."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest

CARDS = Path(__file__).parent.parent / "docs" / "methods"
METHODS = {
    entry.name: entry
    for entry in entry_points(group="evenhand.methods")
    if entry.value.startswith("evenhand.")
}
TEMPLATE = (CARDS / "TEMPLATE.md").read_text(encoding="utf-8")


def rows(card):
    """The first table of a card, field to value."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1] for row in cells[2:] if len(row) == 2}


def headings(card):
    return [line for line in card.splitlines() if line.startswith("## ")]


@pytest.fixture(params=sorted(METHODS))
def method(request):
    return METHODS[request.param].load()


@pytest.fixture
def card(method):
    return (CARDS / f"{method.info.name}.md").read_text(encoding="utf-8")


def test_every_card_belongs_to_a_registered_method():
    assert {path.stem for path in CARDS.glob("*.md")} - {"TEMPLATE"} == set(METHODS)


def test_a_method_is_registered_under_its_own_name(method):
    assert METHODS[method.info.name].load() is method


def test_the_card_repeats_the_info(method, card):
    info = method.info
    assert card.startswith(f"# {info.title}\n\n{info.summary}\n")
    assert rows(card) == {
        "name": f"`{info.name}`",
        "version": info.version,
        "paper": info.paper or "none",
        "licence": info.licence,
        "origin": info.origin,
        "family": info.family,
        "architectures": ", ".join(info.architectures),
        "attributes": info.attributes,
        "training data": "needed" if info.needs_training_data else "not needed",
    }


def test_the_card_has_the_sections_of_the_template(card):
    assert headings(card) == headings(TEMPLATE)


def test_the_card_explains_every_parameter_and_no_other(method, card):
    section = card.partition("## Parameters")[2].partition("\n## ")[0]
    heads = [line.partition(":")[0] for line in section.splitlines() if line.startswith("- ")]
    named = {name for head in heads for name in head.split("`")[1::2]}
    assert named == set(method.model_fields)
