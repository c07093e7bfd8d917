"""The two-group correction against published rows, and its interval."""

import numpy as np
import pytest
from helpers.metrics import read

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.rogan_gladen import cleam_point, rogan_gladen


def near(value, tolerance=1e-6):
    return pytest.approx(value, abs=tolerance)


def test_cleam_points_match_the_published_rows():
    table = read("cleam_reference").dropna(subset=["baseline_mu"])
    found = [
        cleam_point(row.baseline_mu, alpha_0=row.alpha0, alpha_1=row.alpha1) for row in table.itertuples()
    ]
    assert found == near([0.6375, 0.6415, 0.6482, 0.6587], 1e-4)


TEST_BED = {
    "deepface": (0.345588, 0.957317, 0.202669, 0.528172, 0.059705),
    "facellm": (1.000000, 0.780488, 0.582986, 0.465701, 0.020278),
}


@pytest.mark.parametrize("judge", TEST_BED)
def test_rogan_gladen_on_the_test_bed(judge, faces):
    anchors, audited = faces
    recall = anchors.groupby("true_gender")[f"{judge}_gender"].agg(lambda said: (said == "Female").mean())
    size = anchors["true_gender"].value_counts()
    observed = (audited[f"{judge}_gender"] == "Female").mean()
    found = rogan_gladen(
        observed,
        len(audited),
        sensitivity=recall["Female"],
        positives=size["Female"],
        specificity=1 - recall["Male"],
        negatives=size["Male"],
    )
    values = [
        recall["Female"],
        1 - recall["Male"],
        observed,
        float(found.value),
        float(np.sqrt(found.variance)),
    ]
    assert values == near(TEST_BED[judge])


def test_interval_covers_the_truth_at_its_nominal_rate():
    rng, sims = np.random.default_rng(0), 2000
    se, sp, pi, n, anchors = 0.93, 0.95, 0.3, 500, 100
    observed = rng.binomial(n, pi * se + (1 - pi) * (1 - sp), sims) / n
    found = rogan_gladen(
        observed,
        n,
        sensitivity=rng.binomial(anchors, se, sims) / anchors,
        positives=anchors,
        specificity=rng.binomial(anchors, sp, sims) / anchors,
        negatives=anchors,
    )
    assert 0.93 <= ((found.low <= pi) & (pi <= found.high)).mean() <= 0.97


def test_a_judge_no_better_than_chance_cannot_be_corrected():
    with pytest.raises(EvenhandError, match="no better than chance"):
        rogan_gladen(0.5, 100, sensitivity=0.4, positives=50, specificity=0.6, negatives=50)
