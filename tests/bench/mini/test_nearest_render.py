"""The nearest render labels images of the bundled model without a trained network."""

import numpy as np
import pytest

from evenhand.bench.mini.autoencoder import through_autoencoder
from evenhand.bench.mini.calibrate import anchor_specs
from evenhand.bench.mini.law import TAXONOMIES, characters, objects
from evenhand.bench.mini.nearest_render import nearest_gender
from evenhand.bench.mini.world import KINDS, render


@pytest.mark.slow
def test_people_have_the_gender_of_their_head_also_after_the_autoencoder():
    specs = anchor_specs(1)[::37]
    expected = [TAXONOMIES["gender"][gender] for gender in specs[:, 2]]
    images = render(specs, seed=7)
    assert nearest_gender(images) == expected
    assert nearest_gender(through_autoencoder(images)) == expected


@pytest.mark.slow
def test_things_and_characters_have_no_label():
    specs = [(KINDS.index("object"), index, 0, 0, 0, 0) for index in range(len(objects()))]
    specs += [(KINDS.index("character"), index, 0, 0, 0, 0) for index in range(len(characters()))]
    labels = nearest_gender(render(np.array(specs), seed=7))
    assert labels.count("") >= 0.9 * len(labels)
