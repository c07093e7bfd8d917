"""The parts of a result that follow from a suite."""

import os

import pytest
import torch

from evenhand.bench.prompts.prompt_set import load_prompt_set
from evenhand.bench.results.result import Spec
from evenhand.bench.stages.write import machine, prompt_set_card, stated
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import load_suite

CONFIG = EvaluationConfig.of(load_suite("mini"))


def fields(concepts=("nurse", "CEO"), **changes):
    return stated(
        name="mini",
        version="1",
        digest="d",
        protocol={"steps": 8},
        evaluation_config=CONFIG.model_copy(update=changes),
        balanced=("gender",),
        concepts=concepts,
        prompt_sets=(),
    )


def test_an_even_target_is_stated_once():
    found = fields()
    assert (found["target"], found["target_name"], found["targets"]) == (
        {"woman": 0.5, "man": 0.5},
        "uniform",
        {},
    )


def test_a_target_by_concept_is_stated_for_each_and_on_average():
    found = fields(target="labour")
    assert found["target_name"] == "labour"
    assert found["targets"]["nurse"] == pytest.approx({"woman": 0.879, "man": 0.121})
    assert found["target"]["woman"] == pytest.approx((0.879 + 0.292) / 2)


def test_one_target_for_all_concepts_is_stated_once():
    table = {"*": {"gender": {"woman": 0.4, "man": 0.6}}}
    found = fields(target=table)
    assert (found["target_name"], found["targets"]) == ("table", {})
    assert found["target"] == pytest.approx({"woman": 0.4, "man": 0.6})


def test_the_fields_are_those_of_a_specification():
    found = fields()
    assert set(found) <= set(Spec.model_fields)
    assert found["primary"] == "*".join(CONFIG.primary) and found["concepts"] == ["nurse", "CEO"]
    assert found["attributes"]["gender"] == ["woman", "man"] and found["protocol"] == {"steps": 8}


def test_a_prompt_set_is_stated_with_its_digest_and_size():
    prompts = load_prompt_set("winobias-40")
    card = prompt_set_card(prompts)
    assert (card.name, card.version, card.digest) == (prompts.name, prompts.version, prompts.digest)
    assert card.prompts == 200


def test_a_processor_is_named_with_its_cores():
    assert machine(torch.device("cpu")).endswith(f", {os.cpu_count()} cores")
