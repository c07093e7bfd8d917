"""Calibration of the judges of a run, against counts and scores of scikit-learn."""

import pandas as pd
import pytest
from helpers.humans import a_run
from sklearn.metrics import confusion_matrix, recall_score

from evenhand.bench.calibration.calibrate import calibrate_run
from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import load_suite


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose judges err on a tenth of the images, with the truth of all images as anchors."""
    folder = tmp_path_factory.mktemp("run") / "run"
    truth = a_run(folder)
    rows = [(key, name, group) for key, cell in truth.items() for name, group in cell.items()]
    anchors = pd.DataFrame(rows, columns=["key", "attribute", "label"])
    anchors.to_csv(folder / "anchors.csv", index=False)
    return folder, anchors


@pytest.fixture(scope="module")
def report(run):
    return calibrate_run(run[0], anchors=run[0] / "anchors.csv", out=run[0] / "confusion.csv")


def answers(run, judge, attribute):
    """True and given labels of all images."""
    labels = RunFolder(run[0]).labels.read()
    given = labels[(labels["judge"] == judge) & (labels["attribute"] == attribute)]
    both = run[1][run[1]["attribute"] == attribute].merge(given[["key", "label"]], on="key")
    return both["label_x"], both["label_y"]


@pytest.mark.slow
@pytest.mark.parametrize("attribute", ["gender", "tone"])
def test_the_confusion_table_has_the_counts_of_the_labels(run, report, attribute):
    groups = list(load_suite("mini").taxonomy[attribute])
    table = load_confusion(str(report.path))
    own = table[(table["judge"] == "vit") & (table["attributes"] == attribute)]
    counts = own.pivot(index="truth", columns="label", values="count").reindex(groups)[groups].fillna(0)
    assert (counts.to_numpy() == confusion_matrix(*answers(run, "vit", attribute), labels=groups)).all()


@pytest.mark.slow
def test_recalls_and_numbers_of_anchors_are_reported(run, report):
    (found,) = [each for each in report.measured if (each.judge, each.attributes) == ("vit", "gender")]
    assert list(found.recall.values()) == pytest.approx(
        recall_score(*answers(run, "vit", "gender"), labels=["woman", "man"], average=None)
    )
    assert (found.anchors, found.smallest_row) == (240, 120)
    assert found.verdict == "corrected" and found.condition > 1
    assert (report.images, report.untold, report.remarks) == (240, 0, [])


@pytest.mark.slow
def test_errors_are_compared_between_kinds_stereotypes_and_models(report):
    assert {test.strata for test in report.carried} == {"kind", "stereotype", "model"}
    (test,) = [
        each
        for each in report.carried
        if (each.judge, each.attribute, each.group, each.strata) == ("vit", "gender", "woman", "kind")
    ]
    assert test.n == {"explicit": 60, "neutral": 60} and test.alike is (test.p_value >= 0.05)


def test_a_run_without_labels_and_a_folder_without_a_run_are_errors(tmp_path):
    with pytest.raises(EvenhandError, match="is not a run folder"):
        calibrate_run(tmp_path, anchors=tmp_path / "a.csv", out=tmp_path / "out.csv")
    RunFolder(tmp_path).initialize(load_suite("mini"))
    with pytest.raises(EvenhandError, match="run has no judged images; run the same `evenhand run` command"):
        calibrate_run(tmp_path, anchors=tmp_path / "a.csv", out=tmp_path / "out.csv")
