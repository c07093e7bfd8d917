from itertools import chain, combinations

import numpy as np
import pandas as pd
import pytest
from helpers.mini import labelled_people

from evenhand.bench.mini.calibrate import (
    TABLE,
    anchor_specs,
    calibrate,
    comment,
    label_table,
    truth_table,
)
from evenhand.bench.mini.judges import clip_s
from evenhand.bench.mini.law import TAXONOMIES
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS, Calibration
from evenhand.metrics.correction.calibration import calibrate as matrix_of

SETS = ["*".join(names) for size in (1, 2, 3) for names in combinations(TAXONOMIES, size)]
BUNDLED = pd.read_csv(TABLE, skiprows=1)


def test_anchors_are_balanced_over_groups_and_over_fine_tones_within_a_group():
    specs = anchor_specs()
    assert len(specs) == 5760
    assert len(np.unique(specs, axis=0)) == 2400
    assert np.bincount(specs[:, 3]).tolist() == [960, 960, 1920, 960, 960]
    for column, count in ((1, 40), (2, 2), (4, 2), (5, 3)):
        assert set(np.bincount(specs[:, column])) == {len(specs) // count}


def test_truth_names_the_group_of_each_anchor():
    specs = np.array([[0, 3, 0, 1, 1, 2], [0, 3, 1, 3, 0, 0]])
    shown = truth_table(specs).pivot(index="key", columns="attribute", values="group")
    assert shown.to_dict("records") == [
        {"age": "older", "gender": "woman", "tone": "light"},
        {"age": "adult", "gender": "man", "tone": "dark"},
    ]


@pytest.mark.slow
def test_a_small_calibration_counts_every_anchor_once_per_judge_and_attribute_set():
    specs = anchor_specs(1)[::97]
    table = calibrate(specs)
    assert tuple(table.columns) == CONFUSION_COLUMNS
    counted = table.groupby(["judge", "attributes"])["count"].sum()
    assert set(counted) == {len(specs)}
    assert {judge: set(counted[judge].index) for judge in counted.index.levels[0]} == {
        "clip-s": set(SETS),
        "clip-xs": set(SETS),
        "panel": set(SETS),
        "tone-ita": {"tone"},
        "vit": set(SETS),
    }


def test_bundled_table_was_made_with_the_current_judges():
    assert TABLE.read_text().splitlines()[0] == comment(anchor_specs())


def test_bundled_table_has_every_anchor_of_every_truth():
    counted = BUNDLED.groupby(["judge", "attributes", "truth"])["count"].sum()
    for judge in ("clip-s", "clip-xs", "panel", "vit"):
        for attributes in SETS:
            cells = np.prod([len(TAXONOMIES[name]) for name in attributes.split("*")])
            assert counted[judge][attributes].tolist() == [len(anchor_specs()) / cells] * int(cells)


def test_bundled_table_agrees_with_fresh_labels():
    images, truth = labelled_people()
    labels = label_table(clip_s(), images).set_index("attribute")["label"]
    rows = BUNDLED[BUNDLED["judge"] == "clip-s"].set_index(["attributes", "truth", "label"])["count"]
    for attribute, groups in TAXONOMIES.items():
        expected = sum(rows.get((attribute, group, group), 0) for group in groups) / len(anchor_specs())
        assert (labels[attribute].to_numpy() == truth[attribute]).mean() == pytest.approx(expected, abs=0.025)


def test_every_matrix_of_the_bundled_table_is_invertible():
    for judge, attributes in chain.from_iterable(
        [(judge, names.split("*")) for names in SETS] for judge in ("panel", "clip-s", "vit", "clip-xs")
    ):
        found = matrix_of(BUNDLED, judge=judge, attributes=attributes, taxonomy=TAXONOMIES, draws=2, seed=0)
        assert isinstance(found, Calibration), (judge, attributes, found)


def test_the_mini_suites_share_a_panel_of_three_families_and_the_steering_judge_does_not_vote():
    for name in ("mini", "mini-quick"):
        suite = load_suite(name)
        assert suite.panel == ("clip-s", "vit", "tone-ita")
        assert suite.non_voting_judges == ("clip-xs",)
        assert len({load_judge(judge).info.family for judge in suite.panel}) == len(suite.panel)
