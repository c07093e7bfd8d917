"""``evenhand list`` and ``evenhand show`` describe what is installed."""

import json
from importlib.metadata import EntryPoint

import pytest

from evenhand.bench.catalog import LISTINGS
from evenhand.bench.registry.entry_points import METHODS, Registry


@pytest.mark.slow
@pytest.mark.parametrize("kind", LISTINGS)
def test_a_list_has_one_line_per_name_and_the_same_cards_as_json(evenhand, kind):
    names = list(LISTINGS[kind].names())
    listed = evenhand("list", kind)
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == names
    as_json = evenhand("list", kind, "--json")
    assert [card["name"] for card in json.loads(as_json.out)] == names
    assert as_json.err == ""


def test_the_methods_of_the_benchmark_are_listed(evenhand):
    cards = {card["name"]: card for card in json.loads(evenhand("list", "methods", "--json").out)}
    assert {"base", "mist", "uce", "random-attribute-prompt"} <= set(cards)
    assert cards["mist"]["paper"] == "https://arxiv.org/abs/2403.19738"
    assert cards["mist"]["package"].startswith("evenhand ")


def test_a_method_is_shown_with_every_parameter_its_default_and_its_meaning(evenhand):
    (card,) = json.loads(evenhand("show", "mist", "--json").out)
    fields = METHODS.get("mist").model_fields
    assert [parameter["name"] for parameter in card["parameters"]] == list(fields)
    step = next(parameter for parameter in card["parameters"] if parameter["name"] == "step_size")
    assert step["default"] == fields["step_size"].default
    assert all(parameter["meaning"] for parameter in card["parameters"])
    text = evenhand("show", "mist").out
    assert all(name in text for name in fields)


def test_a_name_on_two_lists_is_shown_from_both(evenhand):
    assert {card["kind"] for card in json.loads(evenhand("show", "mini", "--json").out)} == {"suite", "model"}


def test_plain_output_is_neither_wrapped_nor_coloured(evenhand):
    out = evenhand("show", "mist").out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) > 100
    assert not any(line.endswith(" ") for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "method"), "evenhand: unknown list 'method'; did you mean 'methods'?\n"),
        (("show", "missst"), "evenhand: unknown name 'missst'; did you mean 'mist'?\n"),
    ],
)
def test_an_unknown_name_is_a_one_line_error_with_a_suggestion(evenhand, arguments, message):
    outcome = evenhand(*arguments)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", message)


def test_a_package_that_fails_to_load_does_not_hide_the_others(evenhand, monkeypatch):
    broken = EntryPoint("broken", "no_such_package:Method", METHODS.group)
    known = METHODS.entries()
    monkeypatch.setattr(Registry, "entries", lambda registry: {"base": known["base"], "broken": broken})
    listed = evenhand("list", "methods")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["base"]
    assert "broken: method 'broken' of package an unknown package fails to load" in listed.err
    cards = json.loads(evenhand("list", "methods", "--json").out)
    assert [card["name"] for card in cards] == ["base", "broken"]
    assert "ModuleNotFoundError" in cards[1]["error"]
