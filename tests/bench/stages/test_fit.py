"""The identity of a fit, which also seeds its random stream."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.registry.method_spec import MethodUse, load_method, parse_method
from evenhand.bench.stages.fit import COST_FILE, LATER, CountedSample, _identity, _load_stored
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import Protocol, load_suite
from evenhand.methods.prompts.random_attribute import RandomAttributePromptIntervention
from evenhand.methods.saving import save

PROTOCOL = Protocol(version="t", solver="ddim", steps=4, guidance=2, width=8, height=8, batch=2)
ENTRIES = Path(__file__).parents[3] / "reports" / "entries"
SAMPLE = SimpleNamespace(sampler=SimpleNamespace(model=SimpleNamespace(revision="r")), protocol="p")
PUBLISHED = {
    "equisteer": "796866fe2f196061",
    "balancing-act:step=300000.0": "4c6713ce9d6decb1",
    "difflens:expansion=4,unit_norm=false": "322201d8ac9748f7",
    "iti-gen:turns=epoch": "fbfcb3269d8a308f",
    "fairqueue:turns=epoch": "84382f95fa0e4742",
    "sfid:skip=false": "c84c1bfd6109db32",
    "mist": "d80e3038f06b42d7",
}
"""Identities of the defaults of that time, before any later parameter existed."""


def identity(method):
    use = MethodUse(method.info.name, method)
    return _identity(use, suite=load_suite("mini-quick"), concepts=("nurse",), sample=SAMPLE)["fit"]


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
    of_now = {"fit": "f", "code": "now"}

    def stored(**made_by):
        (tmp_path / COST_FILE).write_text(json.dumps({**cost, **made_by}))
        return _load_stored(tmp_path, use, of_now)

    assert stored(fit="f", code="now").intervention.digest() == fitted.digest()
    assert stored(fit="other", code="now") is None and not caplog.records
    assert stored(fit="f", code="before") is None
    assert "fitting again (the code of the method has changed since)" in caplog.text


class Grey(BatchSampler):
    """Images whose grey value is the number of denoising steps."""

    def __init__(self):
        model = SimpleNamespace(revision="r", device=torch.device("cpu"))
        super().__init__(model, PROTOCOL, cores=1)

    def _applied(self, intervention):
        return nullcontext()

    def _batch(self, pairs, intervention, negative):
        return np.full((len(pairs), 8, 8, 3), self.protocol.steps, np.uint8), np.full(len(pairs), True)


def counted(folder):
    return CountedSample(Grey(), ImageStore(folder), PROTOCOL.model_dump_json(), Progress(quiet=True))


def test_a_method_that_states_its_denoising_steps_is_fitted_on_images_of_that_many(tmp_path):
    sample = counted(tmp_path)
    fitting = sample.with_steps(2)
    for of, steps in ((sample, 4), (fitting, 2), (sample, 4), (sample.with_steps(None), 4)):
        assert (of(["a nurse"] * 3, range(3)) == steps).all(), "both are in one store, under other keys"
    assert (sample.images, fitting.images) == (9, 3)


def test_an_image_that_was_stored_as_broken_is_not_taken_for_a_black_one(tmp_path):
    sample = counted(tmp_path)
    sample.store.put(sample._key("a nurse", 0, "", ""), np.zeros((8, 8, 3), np.uint8), status="error")
    with pytest.raises(EvenhandError, match="non-finite pixels; lower its step size"):
        sample(["a nurse"], [0])
