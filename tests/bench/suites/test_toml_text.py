"""Writing a TOML file that a standard reader reads back."""

import tomllib

import pytest

from evenhand.bench.suites.toml_text import to_toml


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"name": "a", "steps": 4, "share": 0.5, "exact": True},
        {"texts": ["a", 'quoted "b"', "tab\t, delete \x7f, umlaut \u00e4, emoji \U0001f600"]},
        {"table": {"inner": {"deep": 1}, "plain": 2}},
        {"methods": {"mist:scope=joint": {"keep": ["explicit"], "lam": 0.5}}},
        {"prompts": [{"name": "a", "seeds": 2}, {"name": "b"}]},
    ],
)
def test_what_is_written_is_read_back(value):
    assert tomllib.loads(to_toml(value)) == value


def test_a_field_without_a_value_is_omitted():
    assert tomllib.loads(to_toml({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}
