"""Simulated label tables against their known truth."""

from dataclasses import replace

import numpy as np
import pytest

from evenhand.bench.studies.label_tables import BASE, DESIGNS, sampled, truths
from evenhand.metrics import catalog


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
