"""The settings that a suite and an audit share."""

import pytest
from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.suites.evaluation_config import Bootstrap, EvaluationConfig
from evenhand.bench.suites.suite import load_suite

GROUPS = {"gender": ("woman", "man"), "age": ("adult", "older")}
NURSES = {"nurse": {"gender": {"woman": 0.7, "man": 0.3}}}


def config(**changes):
    fields = {"attributes": GROUPS, "report": (("gender", "age"),), "primary": ("gender",), "panel": ("vit",)}
    return EvaluationConfig(**fields | changes)


def test_the_levels_that_intervals_generalise_over():
    assert Bootstrap().resampled == ["concepts"]
    assert Bootstrap(resample_concepts=False, resample_templates=True).resampled == ["templates"]


@pytest.mark.parametrize(
    "wrong", [{"draws": 99}, {"seed": -1}, {"draw": 500}, {"scheme": "double"}, {"intervals": "wide"}]
)
def test_a_bootstrap_outside_its_limits_is_an_error(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Bootstrap(**wrong)


def test_an_even_target_is_written_nowhere_and_another_for_every_set():
    assert config().targets(["nurse"]) == {}
    found = config(target=NURSES).targets(["nurse"])
    assert list(found) == ["gender", "age", "gender*age"]
    assert found["gender"]["nurse"] == pytest.approx([0.7, 0.3]) and found["age"]["nurse"] == [0.5, 0.5]
    assert found["gender*age"]["nurse"] == pytest.approx([0.35, 0.35, 0.15, 0.15])


def test_a_concept_without_a_target_is_an_error():
    with pytest.raises(EvenhandError, match="no shares of gender for 'CEO'"):
        config(target=NURSES).target_shares(["CEO"], ("gender",))


def test_the_settings_of_a_suite_keep_their_values():
    suite = load_suite("mini")
    found = EvaluationConfig.of(suite)
    assert found.taxonomy == suite.taxonomy and found.panel == suite.panel
    assert found.bootstrap == suite.bootstrap and found.report == suite.report


def test_settings_cannot_be_changed_and_have_no_other_keys():
    with pytest.raises(ValidationError, match="frozen"):
        config().panel = ()
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        config(models=("mini",))


def test_completion_offers_fields_without_the_methods_of_pydantic():
    offered = {name for name in dir(load_suite("mini")) if not name.startswith("_")}
    assert {"model", "protocol", "cells", "digest"} <= offered
    assert not offered & {"model_dump", "copy", "json", "parse_obj"}
