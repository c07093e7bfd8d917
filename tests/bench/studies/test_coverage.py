"""The study of the intervals, with few repetitions."""

from dataclasses import replace

import numpy as np
import pandas as pd

from evenhand.bench.studies.coverage import fill, repetition, simulated, summary
from evenhand.bench.studies.label_tables import DESIGNS

SMALL = replace(DESIGNS[3], name="small")


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
