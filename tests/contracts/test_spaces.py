"""The search space of every registered method: what it covers, and that all of it can be used."""

from importlib.metadata import entry_points

import numpy as np
import pytest

from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.space import Choice, Range

METHODS = {
    entry.name: entry
    for entry in entry_points(group="evenhand.methods")
    if entry.value.startswith("evenhand.")
}
BUNDLED = tuple(
    entry.name for entry in entry_points(group=SUITES.group) if entry.value.startswith("evenhand.")
)

NOTHING_TO_TUNE = {"base", "entigen", "random-attribute-prompt", "targeted-attribute-prompt"}
"""Methods without parameters, or with texts alone."""

CELLS = [load_suite(name).cells() for name in ("mini-gender", "mini-2")]
"""One attribute, and joint cells."""


@pytest.fixture(params=sorted(METHODS))
def method(request):
    return METHODS[request.param].load()


def released(method, name):
    """The defaults of a parameter, or the values that ``None`` stands for."""
    default = method.model_fields[name].default
    return [method().search_start(cells)[name] for cells in CELLS] if default is None else [default]


def drawn(values, rng):
    """A value of one parameter, uniform on its scale."""
    if isinstance(values, Choice):
        return values.values[rng.integers(len(values.values))]
    low, high = (np.log(end) if values.log else end for end in (values.low, values.high))
    value = float(np.exp(rng.uniform(low, high)) if values.log else rng.uniform(low, high))
    value = min(max(value, values.low), values.high)
    return round(value) if values.integer else value


def test_every_method_has_a_space_or_is_known_to_have_nothing_to_tune(method):
    assert bool(method.space()) == (method.info.name not in NOTHING_TO_TUNE)
    assert len(method.space()) <= 6


def test_a_space_names_parameters_and_their_types(method):
    for name, values in method.space().items():
        assert name in method.model_fields
        if isinstance(values, Range):
            of_type = {type(value) for value in released(method, name)}
            assert of_type == {int if values.integer else float}, name


def test_a_space_contains_the_released_values(method):
    for name, values in method.space().items():
        for value in released(method, name):
            assert value in values, f"{name} = {value}"


@pytest.mark.parametrize("suite", BUNDLED)
def test_a_search_on_a_bundled_suite_starts_inside_the_space(method, suite):
    resolved = load_suite(suite)
    start = method(**resolved.methods.get(method.info.name, {})).search_start(resolved.cells())
    assert start.keys() == method.space().keys()
    for name, values in method.space().items():
        assert start[name] in values, f"{name} = {start[name]}"


@pytest.mark.parametrize("suite", BUNDLED)
def test_every_point_of_a_space_is_valid_beside_the_values_of_a_suite(method, suite):
    given, space = load_suite(suite).methods.get(method.info.name, {}), method.space()
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = {name: drawn(values, rng) for name, values in space.items()}
        used = method(**given | point).model_dump()
        assert {name: used[name] for name in point} == point
    for name, values in space.items():
        for end in values.values if isinstance(values, Choice) else (values.low, values.high):
            method(**given | {name: round(end) if getattr(values, "integer", False) else end})


def test_a_space_contains_the_strength(method):
    if method.space() and method.strength is not None:
        assert method.strength in method.space()
