"""Stored fits: their identity, which also seeds the random stream of a fit, and reading them back."""

import json
from pathlib import Path

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.method_spec import MethodUse, load_method, parse_method
from evenhand.bench.storage.fits import (
    COST_FILE,
    LATER,
    FitIdentity,
    fit_identity,
    load_fit,
    read_fit,
    write_cost,
)
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.prompts.random_attribute import RandomAttributePromptIntervention
from evenhand.methods.saving import save

ENTRIES = Path(__file__).parents[3] / "reports" / "entries"
PUBLISHED = {
    "equisteer": "796866fe2f196061",
    "balancing-act:step=300000.0": "4c6713ce9d6decb1",
    "difflens:expansion=4,unit_norm=false": "322201d8ac9748f7",
    "iti-gen:turns=epoch": "fbfcb3269d8a308f",
    "fairqueue:turns=epoch": "84382f95fa0e4742",
    "sfid:skip=false": "c84c1bfd6109db32",
    "mist": "d80e3038f06b42d7",
    "sortition": "fb0f0a8364743435",
}
"""Identities of the defaults of that time, before any later parameter existed."""


def identity(method):
    use = MethodUse(method.info.name, method)
    suite = load_suite("mini-quick")
    return fit_identity(use, suite=suite, concepts=("nurse",), model="r", protocol="p").fit


@pytest.mark.parametrize("use", PUBLISHED)
def test_a_later_parameter_changes_the_identity_of_a_fit_only_where_it_is_set(use):
    method = load_method(use)
    assert identity(method).startswith(PUBLISHED[use])
    later = {
        "gated": "attribute",
        "gate_depth": 0.1,
        "active": 0.5,
        "unit_norm": True,
        "edit": "scale",
        "amounts": {"man": 0.5},
        "keep": ("explicit",),
        "amplified": "end",
        "sampling_steps": 20,
        "skip": True,
        "turns": "step",
        "words": True,
    }
    assert later.keys() == LATER.keys()
    added = later.keys() & type(method).model_fields
    assert added
    for parameter in added:
        assert method.model_dump(mode="json")[parameter] == LATER[parameter]
        assert identity(method.model_copy(update={parameter: later[parameter]})) != identity(method)


def test_a_published_fit_has_the_parameters_that_its_suite_states_now():
    suite, compared = load_suite("mini"), set()
    for path in sorted(ENTRIES.glob("*@mini-v1/entry.json")):
        card = json.loads(path.read_text(encoding="utf-8"))["result"]["spec"]["method"]
        use = parse_method(card["label"], suite=suite)
        if use.version == card["version"]:
            later = {name: value for name, value in LATER.items() if name in use.parameters}
            assert use.parameters == later | card["parameters"], card["label"]
            compared.add(use.name)
    assert {"time", "difflens", "equisteer", "balancing-act", "sfid", "iti-gen", "fairqueue"} <= compared


def test_a_stored_fit_of_other_code_is_not_reused(tmp_path, caplog):
    method = load_method("random-attribute-prompt")
    use, fitted = MethodUse(method.info.name, method), RandomAttributePromptIntervention(data={"a": 1})
    save(fitted, tmp_path)
    cost = {"images": 0, "judgements": 0, "evaluations": 0, "bytes": 0}
    of_now = FitIdentity(fit="f", code="now")

    def stored(**made_by):
        (tmp_path / COST_FILE).write_text(json.dumps({**cost, **made_by}))
        return load_fit(tmp_path, use, of_now)

    assert stored(fit="f", code="now").intervention.digest() == fitted.digest()
    assert stored(fit="other", code="now") is None and not caplog.records
    assert stored(fit="f", code="before") is None
    assert "fitting again (the code of the method has changed since)" in caplog.text


@pytest.fixture
def fitted(tmp_path):
    """A stored fit that was pulled from a cache: its use and its identity."""
    method = load_method("random-attribute-prompt")
    intervention, made_by = RandomAttributePromptIntervention(data={"a": 1}), FitIdentity("f", "now")
    save(intervention, tmp_path)
    cost = {"images": 3, "judgements": 2, "evaluations": 1, "bytes": 0}
    write_cost(tmp_path, cost, made_by, intervention, cache="a cache")
    return MethodUse(method.info.name, method), made_by


def changed(folder, **members):
    path = folder / COST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


def test_a_fit_keeps_its_cost_and_the_cache_that_it_came_from(tmp_path, fitted):
    found = read_fit(tmp_path, *fitted)
    assert found.cost == {"images": 3, "judgements": 2, "evaluations": 1, "bytes": 0}
    assert found.cache == "a cache"


@pytest.mark.parametrize("member", [{"cache": ""}, {"cache": "mine"}, {"images": 4}])
def test_a_changed_cost_or_origin_does_not_match_the_seal(tmp_path, fitted, member):
    changed(tmp_path, **member)
    with pytest.raises(EvenhandError, match="costs do not match their checksum"):
        read_fit(tmp_path, *fitted)


@pytest.mark.parametrize("count", [-1, True, 1.5, "3", None, 10**16, [1]])
def test_a_count_that_is_no_count_is_refused(tmp_path, fitted, count):
    changed(tmp_path, images=count)
    with pytest.raises(EvenhandError, match="it is damaged"):
        read_fit(tmp_path, *fitted)
