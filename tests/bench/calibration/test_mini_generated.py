"""The bundled calibration of the judges of mini on generated images with independent labels."""

from itertools import combinations

import pandas as pd
import pytest

from evenhand.bench.calibration import mini_generated
from evenhand.bench.calibration.mini_generated import independent_labels, judge_labels, truth_table
from evenhand.bench.mini.calibrate import counted, panel_labels, versions
from evenhand.bench.mini.law import TAXONOMIES
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.calibration import Calibration, calibrate, counts_of
from evenhand.metrics.estimation.panel import PANEL

SETS = [names for size in (1, 2, 3) for names in combinations(TAXONOMIES, size)]


def test_every_image_has_one_label_of_each_attribute_and_is_of_a_development_occupation():
    images = independent_labels()
    assert len(images) == images["noise_seed"].nunique() == 1500
    for name, groups in TAXONOMIES.items():
        assert set(images[name]) == set(groups)
    assert images["kind"].value_counts().to_dict() == {"explicit": 900, "neutral": 600}
    scored = {concept for use in load_suite("mini").prompts for concept in use.concepts}
    assert scored.isdisjoint(images["concept"])


def test_the_images_are_those_that_the_suite_would_draw_for_their_prompts():
    from evenhand.bench.prompts.plan import noise_seed

    for _, rows in independent_labels().groupby("prompt"):
        assert {int(seed) for seed in rows["noise_seed"]} == {
            noise_seed(rows["prompt"].iloc[0], index) for index in range(len(rows))
        }


def test_the_table_is_counted_from_the_stored_labels_of_the_current_judges():
    again = counted(truth_table(independent_labels()), judge_labels())
    pd.testing.assert_frame_equal(load_confusion("mini-generated"), again.astype({"count": float}))
    for path in (mini_generated.JUDGED, mini_generated.TABLE):
        assert f"judged by {versions()};" in path.read_text(encoding="utf-8").splitlines()[0]


def test_every_matrix_of_the_panel_is_used_for_a_correction():
    table = load_confusion("mini-generated")
    for names in SETS:
        found = calibrate(table, judge=PANEL, attributes=names, taxonomy=TAXONOMIES, draws=2, seed=0)
        assert isinstance(found, Calibration) and not found.remark, (names, found)


def test_the_panel_misses_medium_tones_on_generated_images_only():
    shares = {}
    for name in ("mini", "mini-generated"):
        counts = counts_of(load_confusion(name), judge=PANEL, attributes=["tone"], taxonomy=TAXONOMIES)
        shares[name] = dict(zip(TAXONOMIES["tone"], counts.diagonal() / counts.sum(axis=1), strict=True))
    assert shares["mini"]["medium"] > 0.99 > 0.96 > shares["mini-generated"]["medium"]
    assert min(shares["mini-generated"][group] for group in ("light", "dark")) > 0.98


@pytest.mark.slow
def test_images_drawn_again_get_the_stored_labels():
    images = independent_labels().iloc[::150]
    fresh = mini_generated.wide(panel_labels(mini_generated.draw(images), images["noise_seed"].tolist()))
    stored = mini_generated.wide(judge_labels()).loc[fresh.index, fresh.columns]
    assert (fresh.to_numpy() == stored.to_numpy()).mean() > 0.98


def test_long_is_the_inverse_of_wide():
    wide = pd.DataFrame({"vit/tone": ["light", "undetermined"]}, index=pd.Index(["a", "b"], name="key"))
    labels = mini_generated.long(wide)
    assert labels["status"].tolist() == ["ok", "low_confidence"]
    pd.testing.assert_frame_equal(mini_generated.wide(labels), wide)
