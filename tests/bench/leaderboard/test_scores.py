"""The distance of unrelated images to those of the baseline."""

import numpy as np
import pandas as pd
import pytest
from helpers.report import ATTRIBUTES

from evenhand.bench.leaderboard.scores import with_preservation


def rows(*methods, kind="unrelated"):
    """A cat with two seeds for every method; ``same`` has the baseline's image of seed 0."""
    return pd.DataFrame(
        [
            {
                "key": f"base {seed}" if (method, seed) == ("same", 0) else f"{method} {seed}",
                "method": method,
                "prompt_id": "p",
                "prompt": "a photo of a cat",
                "concept": "cat",
                "template": "photo",
                "kind": kind,
                "cell": "",
                "seed_index": seed,
                "seed": seed,
                "status": "ok",
            }
            for method in methods
            for seed in range(2)
        ]
    )


def vectors(**angles):
    """Unit vectors in a plane."""
    return {
        name.replace("_", " "): np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)
        for name, angle in angles.items()
    }


def test_unit_is_the_distance_of_two_seeds_of_the_baseline():
    angles = {"base_0": 0.0, "base_1": np.pi / 2, "other_0": np.pi / 2, "other_1": np.pi / 2}
    found = with_preservation(rows("base", "other"), vectors(**angles), taxonomy=ATTRIBUTES)
    distance = found.set_index(["method", "seed_index"])["preservation_distance"]
    assert distance["base"].tolist() == [0, 0]
    assert distance["other"].tolist() == pytest.approx([1, 0], abs=1e-6)


def test_same_image_has_exactly_no_distance_and_rows_keep_their_order():
    images = rows("same", "base")
    angles = {"base_0": 0.3, "base_1": 1.3, "same_1": 1.0}
    found = with_preservation(images, vectors(**angles), taxonomy=ATTRIBUTES)
    assert found["key"].tolist() == images["key"].tolist()
    assert found["preservation_distance"][0] == 0 and found["preservation_distance"][1] > 0


@pytest.mark.parametrize(
    ("kind", "known"),
    [("neutral", {"base_0": 0.0}), ("unrelated", {})],
    ids=["no unrelated image", "no scorer"],
)
def test_without_unrelated_images_or_embeddings_there_is_no_distance(kind, known):
    found = with_preservation(rows("base", "other", kind=kind), vectors(**known), taxonomy=ATTRIBUTES)
    assert found["preservation_distance"].isna().all() and len(found) == 4
