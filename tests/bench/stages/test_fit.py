"""The identity of a fit, which also seeds its random stream."""

import json
from types import SimpleNamespace

import pytest

from evenhand.bench.registry.method_spec import MethodUse, load_method
from evenhand.bench.stages.fit import _COST, _LATER, _identity, _load_stored
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.prompts.random_attribute import RandomAttributePromptIntervention
from evenhand.methods.saving import save

SAMPLE = SimpleNamespace(sampler=SimpleNamespace(model=SimpleNamespace(revision="r")), protocol="p")
PUBLISHED = {
    "equisteer": "796866fe2f196061",
    "balancing-act": "4c6713ce9d6decb1",
    "difflens": "322201d8ac9748f7",
    "iti-gen": "fbfcb3269d8a308f",
    "fairqueue": "84382f95fa0e4742",
}
"""Identities of the default parameters before any later parameter existed."""


def identity(method):
    use = MethodUse(method.info.name, method)
    return _identity(use, suite=load_suite("mini-quick"), concepts=("nurse",), sample=SAMPLE)["fit"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_later_parameter_changes_the_identity_of_a_fit_only_where_it_is_set(name):
    method = load_method(name)
    assert identity(method).startswith(PUBLISHED[name])
    later = {"gated": "attribute", "active": 0.5, "unit_norm": True, "amplified": "end"}
    added = later.keys() & type(method).model_fields
    assert added
    for parameter in added:
        assert type(method).model_fields[parameter].default == _LATER[parameter]
        assert identity(type(method)(**{parameter: later[parameter]})) != identity(method)


def test_a_stored_fit_of_other_code_is_not_reused(tmp_path, caplog):
    method = load_method("random-attribute-prompt")
    use, fitted = MethodUse(method.info.name, method), RandomAttributePromptIntervention(data={"a": 1})
    save(fitted, tmp_path)
    cost = {"images": 0, "judgements": 0, "evaluations": 0, "bytes": 0}
    of_now = {"fit": "f", "code": "now"}

    def stored(**made_by):
        (tmp_path / _COST).write_text(json.dumps({**cost, **made_by}))
        return _load_stored(tmp_path, use, of_now)

    assert stored(fit="f", code="now").intervention.digest() == fitted.digest()
    assert stored(fit="other", code="now") is None and not caplog.records
    assert stored(fit="f", code="before") is None
    assert "fitting again (the code of the method has changed since)" in caplog.text
