"""Configurations that a search tries."""

import json
import math
from itertools import islice

import numpy as np
import pytest
from scipy.stats import kstest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.tuning.search import configuration, importances, proposals, quasi_random, start_of
from evenhand.methods.baseline import Base
from evenhand.methods.space import Choice, Range

SPACE = {
    "rate": Range(low=1e-4, high=1.0, log=True),
    "strength": Range(low=0.0, high=2.0),
    "steps": Range(low=1, high=6, integer=True),
    "form": Choice(("v1", "v2")),
}


def drawn(count, seed=0):
    return list(islice(quasi_random(SPACE, seed=seed), count))


class Steps(Base):
    steps: int | None = 3
    form: str = "v1"
    rate: float = 1.0

    @classmethod
    def space(cls):
        return {name: SPACE[name] for name in ("steps", "form", "rate")}


def started(method, space=None, **stated):
    return start_of(method, method.space() if space is None else space, stated=stated, cells=())


def test_a_search_starts_at_the_values_of_the_method():
    assert started(Steps(steps=2)) == {"steps": 2, "form": "v1", "rate": 1.0}
    assert started(Steps(steps=9), {"form": SPACE["form"]}) == {"form": "v1"}


def test_a_start_keeps_a_number_as_the_suite_writes_it():
    assert json.dumps(started(Steps(rate=1), rate=1)["rate"]) == "1"
    assert json.dumps(started(Steps(rate=1))["rate"]) == "1.0"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            Steps(steps=9),
            r"'base': the search would start at steps = 9, outside its space \(1 to 6\); set steps",
        ),
        (Steps(steps=None), r"steps = None, outside .* or keep it fixed: evenhand tune base:steps=VALUE"),
        (
            Steps(form="v3"),
            r"form = 'v3', outside its space \('v1' or 'v2'\); set form inside it in \[methods",
        ),
    ],
)
def test_a_start_outside_the_space_is_refused(method, message):
    with pytest.raises(EvenhandError, match=message):
        started(method)


def test_a_space_of_something_else_than_a_parameter_is_refused():
    class Misspelled(Steps):
        @classmethod
        def space(cls):
            return {"stepz": SPACE["steps"]}

    with pytest.raises(EvenhandError, match=r"space\(\) of method 'base' names 'stepz', not a parameter"):
        started(Misspelled())


def test_quasi_random_configurations_lie_in_the_space():
    for each in drawn(64):
        assert all(value in SPACE[name] for name, value in each.items())
        assert isinstance(each["steps"], int)


def test_quasi_random_configurations_fill_every_axis_evenly():
    found = drawn(128)
    assert kstest([math.log10(each["rate"]) for each in found], "uniform", args=(-4, 4)).pvalue > 0.9
    assert kstest([each["strength"] for each in found], "uniform", args=(0, 2)).pvalue > 0.9
    assert np.bincount([each["steps"] for each in found])[1:].min() >= 128 // 6 - 2
    assert sum(each["form"] == "v1" for each in found) == 64


def test_the_sequence_depends_on_the_seed_alone():
    assert drawn(20) == drawn(20)
    assert drawn(20) != drawn(20, seed=1)


def test_corners_of_the_cube_are_the_ends_of_the_ranges():
    assert configuration(SPACE, [0, 0, 0, 0]) == {"rate": 1e-4, "strength": 0, "steps": 1, "form": "v1"}
    last = np.nextafter(1, 0)
    assert configuration(SPACE, [last] * 4) == {"rate": 1.0, "strength": 2.0, "steps": 6, "form": "v2"}


def parabola(each):
    return (math.log10(each["rate"]) + 2) ** 2 + (each["form"] == "v1")


def test_proposals_improve_on_quasi_random_trials():
    tried = [(each, parabola(each)) for each in drawn(24)]
    for _ in range(12):
        each = next(proposals(SPACE, tried, seed=len(tried)))
        tried.append((each, parabola(each)))
    assert np.mean([score for _, score in tried[24:]]) < 0.5 * np.mean([score for _, score in tried[:24]])


def test_proposals_depend_on_trials_and_seed_alone():
    tried = [(each, parabola(each)) for each in drawn(12)]
    first = [next(proposals(SPACE, tried, seed=3)) for _ in range(2)]
    assert first[0] == first[1]
    assert all(value in SPACE[name] for name, value in first[0].items())


def test_importance_finds_the_parameter_that_matters():
    tried = [(each, parabola(each) - (each["form"] == "v1")) for each in drawn(32)]
    found = importances(SPACE, tried, seed=0)
    assert max(found, key=found.get) == "rate" and found["rate"] > 0.8


def test_importance_is_unknown_without_variation():
    assert importances(SPACE, [(each, 1.0) for each in drawn(8)], seed=0) == {}
