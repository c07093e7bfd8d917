"""A suite with another model or other settings is a suite of its own."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.method_spec import parse_method
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.suites.variant import variant


def test_a_suite_without_changes_is_itself():
    assert variant("mini-quick") == load_suite("mini-quick")


def test_another_model_gives_another_suite_named_after_it():
    own, other = load_suite("gender-fast"), variant("gender-fast", model="my models/org--finetuned")
    assert other.model == "my models/org--finetuned" and other.name == "gender-fast+org--finetuned"
    assert other.digest() != own.digest()
    assert other == own.model_copy(update={"model": other.model, "name": other.name})


def test_tuned_parameters_are_not_those_of_another_model():
    assert load_suite("mini-2").tuned
    other = variant("mini-2", model="org/model")
    assert (other.tuned, other.searches) == ({}, {})
    assert other.tuning == load_suite("mini-2").tuning, "the protocol is the same for every model"
    assert variant("mini-2", settings=["bootstrap.draws=500"]).tuned == load_suite("mini-2").tuned


def test_settings_have_the_keys_and_values_of_the_suite_file():
    other = variant(
        "mini-quick",
        settings=[
            "protocol.steps=10",
            "protocol.solver=ddim",
            'report=[["gender"]]',
            "bootstrap.resample_concepts = true",
            "methods.uce.rounds=3",
        ],
    )
    assert (other.protocol.steps, other.protocol.solver) == (10, "ddim")
    assert other.report == (("gender",),) and other.bootstrap.resample_concepts
    assert other.methods["uce"]["rounds"] == 3
    assert other.name.startswith("mini-quick+steps-10+solver-ddim+report-") and len(other.name) <= 100
    assert other.digest() != load_suite("mini-quick").digest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("protocol.steps", "needs KEY=VALUE"),
        ("=3", "needs KEY=VALUE"),
        ("model=other", "other than name, version, model"),
        ("protocol.stepps=3", "protocol.stepps"),
        ("protocol.steps=many", "protocol.steps"),
        ("protocol.steps=0", "protocol.steps"),
        ("protokol.steps=3", "no table 'protokol'"),
        ("fits.more=3", "'fits' is not a table"),
    ],
)
def test_a_setting_that_the_suite_does_not_have_is_a_one_line_error(text, said):
    with pytest.raises(EvenhandError) as fault:
        variant("mini-quick", settings=[text])
    assert said in str(fault.value) and "\n" not in str(fault.value)


def test_the_command_plans_the_variant(evenhand):
    outcome = evenhand(
        "run",
        "gender-fast",
        "--model",
        "org/model",
        "--set",
        "protocol.steps=4",
        "--dry-run",
        "--method",
        "base",
    )
    assert outcome.code == 0
    assert "evenhand fetch gender-fast and evenhand fetch org/model get them" in outcome.out


@pytest.mark.parametrize(
    "setting", ["methods.mist.step_size=0.123", "methods.mist={step_size=0.123}"], ids=["one", "table"]
)
def test_a_set_parameter_of_a_tuned_method_is_used(setting):
    own, other = load_suite("mini-2"), variant("mini-2", settings=[setting])
    assert "step_size" in own.tuned["mist"] and "mist" in own.searches
    use = parse_method("mist", suite=other)
    assert use.parameters["step_size"] == 0.123 and use.search is None
    others = {key: found for key, found in own.tuned.items() if key.split(":")[0] != "mist"}
    assert others and others.items() <= other.tuned.items()
    kept = {name: value for name, value in own.tuned["mist"].items() if name != "step_size"}
    assert other.tuned["mist"] == kept


def test_a_number_that_is_too_long_is_a_one_line_error():
    with pytest.raises(EvenhandError, match=r"protocol\.steps"):
        variant("mini-quick", settings=["protocol.steps=" + "9" * 5000])
