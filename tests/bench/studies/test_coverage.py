"""The study of the intervals, with few repetitions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from evenhand.bench.studies.coverage import (
    KEY,
    outside,
    repetition,
    simulated,
    summary,
    verdicts,
    with_p_values,
)
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


def covered(*hits, repetitions=1000):
    """A summary of intervals of shares with these numbers of hits."""
    rows = pd.DataFrame(
        {
            "group": [f"g{place}" for place in range(len(hits))],
            "repetitions": repetitions,
            "coverage": np.array(hits) / repetitions,
        }
    )
    named = dict.fromkeys(KEY, "x") | {"statement": "value", "metric": "share", "attributes": "gender"}
    del named["group"]
    return rows.assign(**named)


def test_coverage_is_tested_exactly_and_adjusted_for_the_number_of_intervals():
    below, chance, above = with_p_values(covered(890, 922, 990)).to_dict("records")
    assert below["p_below"] == pytest.approx(3 * binomtest(890, 1000, 0.93, alternative="less").pvalue)
    assert above["p_above"] == pytest.approx(3 * binomtest(990, 1000, 0.97, alternative="greater").pvalue)
    assert chance["p_below"] > 0.05 and below["p_above"] == above["p_below"] == 1
    limits = binomtest(890, 1000).proportion_ci()
    assert (below["least"], below["most"]) == pytest.approx((limits.low, limits.high))


def test_only_coverages_that_chance_does_not_explain_are_named_as_too_low():
    few = covered(200, repetitions=220)
    assert few["coverage"].item() < 0.93 and not list(outside(few))
    (line,) = outside(covered(890, 922))
    assert "gender g0" in line and "89.0%" in line
    assert list(verdicts(covered(890, 922, 990)))[-1] == "| value of `share` | 3 | 1 | 1 | 1 | 93.4% |"
