"""Labelled images for tests of judges: a few renders of every kind of person, as the model shows them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.mini.autoencoder import through_autoencoder
from evenhand.bench.mini.calibrate import anchor_specs
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS
from evenhand.bench.mini.world import render
from evenhand.metrics.judges.base import Images

SAMPLE = 192


@cache
def labelled_people() -> tuple[Images, dict[str, NDArray[np.str_]]]:
    """Renders through the autoencoder, and attribute to the group that each one shows."""
    specs = np.random.default_rng(7).permutation(anchor_specs(1))[:SAMPLE]
    truth = {
        "gender": np.array(TAXONOMIES["gender"])[specs[:, 2]],
        "tone": np.array([TONE_GROUPS[FINE_TONES[tone]] for tone in specs[:, 3]]),
        "age": np.array(TAXONOMIES["age"])[specs[:, 4]],
    }
    return through_autoencoder(render(specs, seed=3)), truth
