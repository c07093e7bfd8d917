"""The metrics and the plan of a measurement, from the settings of a suite."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages.measure import measure_plan, metrics_of
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics import catalog

CONFIG = EvaluationConfig.of(load_suite("mini"))


def config(**changes):
    return CONFIG.model_copy(update=changes)


def test_named_metrics_follow_those_of_every_suite_and_count_once():
    found = metrics_of(config(metrics=("js_divergence", "share"), scorer="mini"))
    assert found == (*catalog.DEFAULT, catalog.js_divergence)


def test_without_a_scorer_alignment_is_not_measured():
    names = [metric.name for metric in metrics_of(config(scorer=""))]
    assert "alignment" not in names and "rms_delta" in names


def test_an_unknown_metric_suggests_the_nearest():
    with pytest.raises(EvenhandError, match="did you mean 'js_divergence'"):
        metrics_of(config(metrics=("js_divergense",)))


def plan(settings, **options):
    given = {"confusion": load_confusion(""), "metrics": (catalog.share,)}
    return measure_plan(settings, ["nurse", "CEO"], **given | options)


def test_only_sets_of_several_attributes_are_joint_and_an_even_target_is_left_out():
    found = plan(config(report=(("gender",), ("gender", "tone"), ("gender", "tone", "age"))))
    assert found.joints == (("gender", "tone"), ("gender", "tone", "age")) and found.target == {}


def test_the_target_has_the_shares_of_every_concept():
    found = plan(config(target="labour"))
    assert set(found.target["gender"]) == {"nurse", "CEO"}
    assert found.target["gender"]["nurse"] == pytest.approx([0.879, 0.121])


def test_steering_judges_do_not_vote_and_are_listed_once():
    found = plan(
        config(non_voting_judges=("tone-ita", "vit")),
        steering={"mist": "clip-xs", "uce": "clip-xs", "base": None},
    )
    assert found.non_voting_judges == ("clip-xs", "tone-ita", "vit")
    assert found.steering["mist"] == "clip-xs" and found.panel == CONFIG.panel


def test_the_bootstrap_is_that_of_the_settings():
    boot = CONFIG.bootstrap.model_copy(
        update={
            "draws": 123,
            "seed": 9,
            "resample_concepts": False,
            "scheme": "two-stage",
            "resample_templates": True,
        }
    )
    found = plan(config(bootstrap=boot), base="base", ranked=("mist",), look=2)
    assert (found.draws, found.seed, found.resample_concepts) == (123, 9, False)
    assert (found.scheme, found.resample_templates) == ("two-stage", True)
    assert (found.base, found.ranked, found.look) == ("base", ("mist",), 2)
