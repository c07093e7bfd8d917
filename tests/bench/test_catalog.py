"""Every registered method has a card: prose by hand, facts from its class."""

import re
from importlib.metadata import entry_points

import pytest
from helpers.paths import ROOT

from evenhand.bench.suites.suite import load_suite

CARDS = ROOT / "docs" / "methods"
METHODS = {
    entry.name: entry
    for entry in entry_points(group="evenhand.methods")
    if entry.value.startswith("evenhand.")
}
TEMPLATE = (CARDS / "TEMPLATE.md").read_text(encoding="utf-8")


def searches_of(name):
    """The method and its variants that a committed record sets for ``mini-2``."""
    return [key for key in load_suite("mini-2").searches if key.split(":")[0] == name]


def headings(card):
    return [line for line in card.splitlines() if line.startswith("## ")]


@pytest.fixture(params=sorted(METHODS))
def method(request):
    return METHODS[request.param].load()


@pytest.fixture
def card(method):
    return (CARDS / f"{method.info.name}.md").read_text(encoding="utf-8")


def test_every_card_belongs_to_a_registered_method():
    assert {path.stem for path in CARDS.glob("*.md")} - {"TEMPLATE", "index", "reproduction"} == set(METHODS)


def test_a_method_is_registered_under_its_own_name(method):
    assert METHODS[method.info.name].load() is method


def test_the_card_includes_the_facts_of_its_method_below_its_title(method, card):
    name = method.info.name
    assert card.startswith(f"# {method.info.title}\n\n<!-- evenhand: card methods {name} -->\n")
    assert f"\n## Parameters\n\n<!-- evenhand: parameters methods {name} -->\n" in card
    found = re.findall("<!-- evenhand: (.*) -->", card)
    assert sorted(found[2:]) == sorted(f"search mini-2 {key}" for key in searches_of(name))


def test_the_card_has_the_sections_of_the_template(card):
    assert headings(card) == headings(TEMPLATE)


def test_every_parameter_has_a_description(method):
    from evenhand.bench.catalog import find

    (facts,) = [fact for fact in find(method.info.name) if fact["kind"] == "method"]
    assert [p["name"] for p in facts["parameters"]] == list(method.model_fields)
    assert [p["name"] for p in facts["parameters"] if not p["meaning"]] == []
