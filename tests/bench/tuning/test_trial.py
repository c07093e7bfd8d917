"""One configuration: its cost before it is fitted, and its trial without a result."""

import math

import pytest

from evenhand.bench.errors import EvenhandError, IncompleteRunError, MethodError, NotInstalledError
from evenhand.bench.registry.method_spec import parse_method
from evenhand.bench.storage.files import locked
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.tuning import trial as module
from evenhand.bench.tuning.trial import Planned, affordable, bound, run_trial, with_parameters
from evenhand.methods.base import Budget

SUITE = load_suite("mini")
PROTOCOL = SUITE.protocol.model_copy(update={"steps": 5, "guidance": 2.5})


@pytest.mark.parametrize(("guidance", "passes"), [(2.5, 10 * 5 * 2 + 7), (1.0, 10 * 5 + 7)])
def test_the_bound_counts_two_passes_per_step_with_guidance(guidance, passes):
    protocol = PROTOCOL.model_copy(update={"guidance": guidance})
    assert bound(Budget(images=10, evaluations=7, judgements=99), protocol) == passes


def test_parameters_are_added_to_those_that_the_suite_fixes():
    fixed = SUITE.model_copy(update={"methods": {"mist": {"judge": "clip-xs", "lam": 0.5}, "uce": {}}})
    found = with_parameters(fixed, "mist", {"lam": 1.0, "mu": 0.2})
    assert found.methods == {"mist": {"judge": "clip-xs", "lam": 1.0, "mu": 0.2}}
    assert fixed.methods["mist"]["lam"] == 0.5


def test_a_configuration_is_affordable_up_to_its_bound():
    given = {"concepts": 5, "parameters": {"rounds": 3}, "method": "mist"}
    suite = with_parameters(SUITE, "mist", given["parameters"])
    method = parse_method("mist", suite=suite).method
    cost = bound(method.budget(concepts=5, cells=suite.cells()), suite.protocol)
    assert cost > 0
    assert affordable(SUITE, passes=cost, **given) and not affordable(SUITE, passes=cost - 1, **given)


def test_a_parameter_that_is_not_valid_is_an_error():
    with pytest.raises(EvenhandError, match="did you mean 'rounds'"):
        affordable(SUITE, "mist", {"roundz": 3}, concepts=5, passes=10)


def test_a_trial_without_a_result_keeps_its_reason_and_never_wins():
    planned = Planned(number=4, origin="tpe", parameters={"lam": 1.0})
    trial = planned.without_result("over budget", "needs 9000 passes")
    assert (trial.number, trial.origin, trial.parameters) == (4, "tpe", {"lam": 1.0})
    assert (trial.status, trial.reason, trial.passes) == ("over budget", "needs 9000 passes", 0)
    assert math.isnan(trial.distance) and trial.score == math.inf


PLANNED = Planned(number=4, origin="tpe", parameters={"lam": 1.0})


def tried(folder):
    baseline = folder / "baseline"
    baseline.mkdir(exist_ok=True)
    return run_trial(PLANNED, development=SUITE, method="mist", baseline=baseline, folder=folder, quiet=True)


@pytest.mark.parametrize("fault", [MethodError("training diverged"), IncompleteRunError("3 of 9 images")])
def test_a_failure_of_the_method_is_the_result_of_the_trial(tmp_path, monkeypatch, fault):
    def evaluate(*_, **__):
        raise fault

    monkeypatch.setattr(module, "evaluate", evaluate)
    trial = tried(tmp_path)
    assert (trial.status, trial.reason) == ("failed", str(fault))


def test_a_missing_package_is_no_result_of_the_trial(tmp_path, monkeypatch):
    def evaluate(*_, **__):
        raise NotInstalledError("low-rank training needs the package peft")

    monkeypatch.setattr(module, "evaluate", evaluate)
    with pytest.raises(NotInstalledError, match="needs the package peft"):
        tried(tmp_path)


def test_a_folder_in_use_is_no_result_of_the_trial(tmp_path):
    with locked(tmp_path / "trial-004"), pytest.raises(EvenhandError, match="in use by another process"):
        tried(tmp_path)
