"""Distances on fresh noise are to the baseline's images of the same noise."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from evenhand.bench.leaderboard.tables import PRESERVATION, Tables
from evenhand.bench.leaderboard.verification.drawn import Drawn, _with_distances
from evenhand.metrics.table import LABEL_COLUMNS

NOTHING = pd.DataFrame(columns=list(LABEL_COLUMNS))


def drawn(method, keys):
    """Two seeds of an unrelated prompt, and a neutral image."""
    images = pd.DataFrame(
        {
            "key": keys,
            "method": method,
            "prompt_id": ["a", "a", "c"],
            "prompt": ["a tree", "a tree", "a nurse"],
            "concept": ["", "", "nurse"],
            "template": "",
            "kind": ["unrelated", "unrelated", "neutral"],
            "cell": "",
            "seed_index": [0, 1, 0],
            "status": "ok",
            "alignment": 25.0,
        }
    )
    return Drawn(Tables(images, NOTHING), NOTHING)


def test_unrelated_images_have_distances_to_the_baseline_and_others_have_none():
    plan = SimpleNamespace(evaluation_config=SimpleNamespace(taxonomy={"gender": ("woman", "man")}))
    vectors = {"1": [1.0, 0.0], "2": [0.0, 1.0], "3": [1.0, 0.0], "4": [0.6, 0.8]}
    arrays = {key: np.array(vector, np.float32) for key, vector in vectors.items()}
    found = _with_distances([drawn("base", ["1", "2", "x"]), drawn("mist", ["3", "4", "y"])], arrays, plan)
    base, own = (one.tables.images[PRESERVATION].tolist() for one in found)
    assert base[:2] == pytest.approx([0, 0], abs=1e-6) and own[0] == pytest.approx(0, abs=1e-6)
    assert own[1] > 0 and np.isnan(own[2]) and np.isnan(base[2])
    assert [one.tables.images["method"].unique().tolist() for one in found] == [["base"], ["mist"]]


def test_held_back_labels_are_only_in_the_labels_of_all_judges():
    labels = pd.DataFrame([dict.fromkeys(LABEL_COLUMNS, "")])
    one = drawn("base", ["1", "2", "3"])
    both = Drawn(Tables(one.tables.images, labels.assign(judge="vit")), labels.assign(judge="held"))
    assert both.tables.labels["judge"].tolist() == ["vit"]
    assert both.every_label["judge"].tolist() == ["vit", "held"]
