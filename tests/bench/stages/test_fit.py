"""The identity of a fit, which also seeds its random stream."""

from types import SimpleNamespace

import pytest

from evenhand.bench.registry.method_spec import MethodUse, load_method
from evenhand.bench.stages.fit import _LATER, _identity
from evenhand.bench.suites.suite import load_suite

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
