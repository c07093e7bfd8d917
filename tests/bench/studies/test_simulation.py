"""Simulated audits: their law, and estimates with and without correction."""

import numpy as np
import pytest
from helpers.studies import synthetic_pool

from evenhand.bench.mini.law import TAXONOMIES, occupations
from evenhand.bench.studies.simulation import (
    Design,
    Setting,
    Stratified,
    counted,
    neutral_views,
)
from evenhand.bench.studies.truth import sides
from evenhand.metrics.correction.calibration import Refusal, calibrate
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.estimation.tallies import Reading

SMALL = Design("one template", 1, 60)


@pytest.fixture(scope="module")
def pool():
    return synthetic_pool()


def every_seventh(pool):
    return {name: images[::7] for name, images in pool.itself.items()}


@pytest.mark.slow
def test_strata_of_equal_matrices_give_the_plain_correction_row_by_row(pool):
    setting = Setting(pool, pool, (SMALL,), {}, draws=100, seed=0)
    view = neutral_views(setting, SMALL, first=0)[0]
    table = counted(pool, every_seventh(pool), PANEL, ("gender",))
    known = calibrate(table, judge=PANEL, attributes=("gender",), taxonomy=TAXONOMIES, draws=100, seed=0)
    plain = Reading(view, PANEL, known, 0)
    strata = Stratified.of(view, PANEL, (known, known), sides())
    counts = np.random.default_rng(0).integers(1, 40, size=(100, len(occupations()), 3)).astype(float)
    for ours, theirs in (
        (strata.point(counts[0]), plain.point(counts[0])),
        (strata.resampled(counts), plain.resampled(counts)),
        (strata.supposed(counts), plain.supposed(counts)),
    ):
        for name in ("shares", "unbiased", "noise", "depicted", "target"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name))


@pytest.mark.slow
def test_an_occupation_without_a_matrix_is_excluded(pool):
    setting = Setting(pool, pool, (SMALL,), {}, draws=100, seed=0)
    view = neutral_views(setting, SMALL, first=0)[0]
    table = counted(pool, every_seventh(pool), PANEL, ("gender",))
    known = calibrate(table, judge=PANEL, attributes=("gender",), taxonomy=TAXONOMIES, draws=100, seed=0)
    strata = Stratified.of(view, PANEL, (Refusal("few"), known), sides())
    counts = np.random.default_rng(0).integers(1, 40, size=(len(occupations()), 3)).astype(float)
    point, plain = strata.point(counts), Reading(view, PANEL, known, 0).point(counts)
    there = sides() == 1
    assert np.isnan(point.unbiased[~there]).all() and np.isnan(point.noise[~there]).all()
    np.testing.assert_allclose(point.unbiased[there], plain.unbiased[there])
    assert strata.corrected.tolist() == np.flatnonzero(there).tolist()


@pytest.mark.slow
def test_confusion_counts_every_anchor(pool):
    table = counted(pool, every_seventh(pool), PANEL, ("gender",))
    assert table["count"].sum() == len(every_seventh(pool)["gender"])
