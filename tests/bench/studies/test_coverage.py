"""The study of the intervals, with few repetitions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evenhand.bench.studies.coverage import fill, repetition, simulated, summary
from evenhand.bench.studies.label_tables import BASE, DESIGNS, sampled, truths
from evenhand.metrics import catalog

SMALL = replace(DESIGNS[3], name="small")


def test_large_samples_agree_with_the_truth():
    design = replace(DESIGNS[0], concepts=3000, templates=5, seeds=2)
    known = truths(design, [catalog.share, catalog.rms_delta])
    images, labels = sampled(design, np.random.default_rng(0))
    votes = labels[(labels["judge"] == "panel") & (labels["attribute"] == "gender")]
    base = votes[votes["key"].isin(images.loc[images["method"] == BASE, "key"])]
    seen = (base["label"] == "woman").mean()
    assert seen == pytest.approx(known[BASE, "share", "gender", "woman"], abs=0.02)


def test_a_fair_model_has_a_distance_of_zero():
    assert truths(DESIGNS[2], [catalog.rms_delta])[BASE, "rms_delta", "gender", ""] == pytest.approx(0)


def test_a_finished_repetition_is_not_repeated(tmp_path, monkeypatch):
    first = simulated(SMALL, tmp_path, repetitions=2)
    assert set(first["repetition"]) == {0, 1}
    monkeypatch.setattr("evenhand.bench.studies.coverage.repetition", None)
    again = simulated(SMALL, tmp_path, repetitions=2)
    pd.testing.assert_frame_equal(first.reset_index(drop=True), again.reset_index(drop=True), rtol=1e-4)


def test_every_row_has_a_truth_and_every_interval_is_counted():
    rows = pd.DataFrame(repetition(SMALL, 0))
    assert {"share", "rms_delta", "alignment"} <= set(rows["metric"])
    assert np.isfinite(rows["truth"]).all()
    found = summary(rows)
    assert found["coverage"].isin([0, 1]).all() and (found["repetitions"] == 1).all()


def test_only_the_marked_parts_of_the_page_change():
    page = "a\n<!-- one -->\nold\n<!-- end -->\nb"
    assert fill(page, one="new") == "a\n<!-- one -->\nnew\n<!-- end -->\nb"
