"""Labels of people in a run test the correction of every method."""

import pandas as pd
import pytest
from helpers.humans import CONCEPTS, a_run

from evenhand.bench.stages.correction import checks_of
from evenhand.bench.stages.measure import measure_plan
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import load_suite


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose judges err on a tenth of the images, and the truth as labels of people."""
    folder = tmp_path_factory.mktemp("run") / "run"
    truth = a_run(folder)
    rows = [(key, name, group) for key, cell in truth.items() for name, group in cell.items()]
    return RunFolder(folder), pd.DataFrame(rows, columns=["key", "attribute", "label"])


def checks(run, anchors, confusion):
    plan = measure_plan(
        EvaluationConfig.of(load_suite("mini")), CONCEPTS, confusion=confusion, metrics=(), base="base"
    )
    tables = run.image_table.read(), run.labels.read(compact=True)
    return checks_of(*tables, anchors, plan=plan, other_images=True)


def test_a_table_of_more_accurate_judges_is_contradicted_for_every_method(run):
    work, anchors = run
    found = checks(work, anchors, load_confusion("mini"))
    assert found["base"].labelled == {"base": 120}
    assert found["uce"].labelled == {"base": 120, "uce": 120}
    for method in ("base", "uce"):
        contradicted = {row.attribute for row in found[method].tests if row.p < 0.05}
        assert {"gender", "age"} <= contradicted


def test_labels_of_other_images_and_uncorrected_runs_are_not_tested(run):
    work, anchors = run
    assert checks(work, anchors.assign(key="elsewhere"), load_confusion("mini")) == {}
    assert checks(work, anchors, load_confusion("")) == {}
    assert checks(work, None, load_confusion("mini")) == {}
    assert checks(work, anchors.assign(label=""), load_confusion("mini")) == {}
